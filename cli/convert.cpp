#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/execute.h"
#include "remap/output.h"
#include "remap/report.h"
#include "remap/values.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

std::atomic<bool> g_interrupted{false};  // the one thing a signal handler may touch

extern "C" void on_signal(int) { g_interrupted.store(true); }

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the program at once
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// The original scripts' own check, where a rule file asks for it: loud if a value was lost or counted twice.
std::string check_sums(const remap::Plan& plan, const std::vector<const remap::Source*>& sources, remap::Sink& output) {
  const bool rounds = std::any_of(plan.tensors.begin(), plan.tensors.end(), [&](const auto& t) {
    return !t.fill && !remap::irreversible_because(plan, t).empty();
  });
  if (rounds) return "sum of parameters: not compared, since the cast rounds";
  const auto sums = remap::parameter_sums(plan, sources, output);
  std::string parts;
  for (size_t s = 0; s < sources.size(); ++s)
    parts += fmt::format("{}{:.6g}{}", s == 0 ? "" : " + ", sums.sources[s],
                         plan.sources[s].name.empty() ? "" : " (" + plan.sources[s].name + ")");
  if (!sums.agree)
    throw remap::Error("parameter-sum", {},
                       fmt::format("the values written add up to {:.9g}, those of the source to {:.9g} ({})",
                                   sums.target, sums.source, parts),
                       "this should not happen: please report it, with the output of 'remap plan --full'");
  return fmt::format("sum of parameters: {:.6g} = {}", sums.target, parts);
}

std::string indented(const std::string& lines) {
  std::string text;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin) + 1;
    text += "  " + lines.substr(begin, end - begin);
    begin = end;
  }
  return text;
}

// Everything that is read, so that the output replaces none of it.
std::vector<std::string> files_read(const Options& options, const Inputs& inputs) {
  std::vector<std::string> read;
  // Rule files, and what stands beside them; only the files, since other things may be in these folders.
  std::vector<fs::path> folders = {fs::path(inputs.rules->file()).parent_path() / ".." / "schemas"};
  for (const auto& folder : rule_folders(options)) folders.emplace_back(folder);
  for (const auto& folder : folders) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".yaml") read.push_back(entry.path().string());
  }
  for (const auto& input : parse_inputs(options)) read.push_back(input.path);
  for (const auto& source : inputs.sources) read.push_back(source->folder());
  read.push_back(options.config);
  read.push_back(inputs.rules->file());
  return read;
}

}  // namespace

int convert(const Options& options) {
  if (options.inputs.empty()) {
    if (!options.rules.empty()) return describe_rules(options);
    throw remap::Error("usage", {}, "no checkpoint was given",
                       "remap [--rules RULES] CHECKPOINT -o OUT; 'remap --help' shows more");
  }
  if (options.output.empty())
    throw remap::Error("usage", {}, "no output folder was given",
                       "say where with -o OUT, or see what would happen with 'remap plan'");
  catch_signals();
  remap::Diagnostics diagnostics;
  const auto inputs = open_inputs(options, diagnostics);
  std::optional<remap::Plan> plan;
  if (inputs) {
    for (const auto& source : inputs->named)
      if (!source.source->has_data())
        throw remap::Error("source-without-data", remap::BytePlace{source.source->path(), {}, {}},
                           "this is a manifest: it lists tensors and holds none",
                           "use 'remap plan' to see what would happen");
    plan = plan_inputs(*inputs, options, diagnostics);
  }
  print(diagnostics, options);
  if (!plan) return kFailed;

  remap::OutputOptions output_options;
  output_options.max_shard_bytes = parse_bytes(options.max_shard_size);
  output_options.force = options.force;
  output_options.inputs = files_read(options, *inputs);
  output_options.metadata = plan->metadata;
  remap::OutputFolder output(options.output, plan->tensors, output_options);
  // First, so that what is wrong with them is known before the tensors are copied.
  output.add_file("config.json", remap::json_file_text(plan->config));
  for (const auto& [name, body] : plan->files) output.add_file(name, remap::json_file_text(body));
  Progress progress(options.quiet);
  remap::ExecOptions exec;
  exec.threads = options.threads;
  exec.cancel = &g_interrupted;
  exec.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const auto sources = remap::sources_of(*plan, inputs->named);
  remap::execute(plan->tensors, sources, output, exec);
  const std::string sums = plan->parameter_sum ? check_sums(*plan, sources, output) : "";
  output.commit();
  progress.clear();
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text({{"output", options.output},
                                            {"family", plan->family},
                                            {"architecture", plan->architecture},
                                            {"summary", remap::summary(*plan)},
                                            {"checked", sums},
                                            {"metadata", plan->metadata},
                                            {"left_behind", plan->left_behind}}));
  else if (!options.quiet)
    fmt::print(stderr, "{}: {}{}\n  {}\n{}{}", options.output, plan->architecture,
               progress.visible() ? fmt::format(" in {:.1f} s", progress.seconds()) : "", remap::summary(*plan),
               sums.empty() ? "" : "  " + sums + "\n", indented(remap::beside_text(*plan)));
  return options.verify ? verify_folder(*inputs, *plan, options.output, options) : kDone;
}

}  // namespace cli
