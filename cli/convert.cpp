#include <atomic>
#include <csignal>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/execute.h"
#include "remap/output.h"
#include "remap/report.h"

namespace cli {
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

// `remap --rules FILE` alone: is the file right, and what does it need?
int describe(const Options& options) {
  remap::Diagnostics diagnostics;
  const auto rules = remap::Rules::load(options.rules, diagnostics);
  print(diagnostics, options.output_format());
  if (!rules) return kFailed;
  if (options.output_format() == Format::json) {
    remap::Json json = {{"file", rules->file()}, {"family", rules->family()}, {"title", rules->title()}, {"rules", rules->rule_count()}, {"architectures", rules->architectures()}};
    json["sources"] = remap::Json::array();
    for (const auto& need : rules->sources()) json["sources"].push_back({{"name", need.name}, {"format", need.format}, {"root", need.root}, {"doc", need.doc}});
    json["variants"] = remap::Json::object();
    for (const auto& choice : rules->variants()) json["variants"][choice.name] = choice.doc;
    fmt::print("{}", remap::json_file_text(json));
    return kDone;
  }
  fmt::print("{}: good, {} rules\n{}: {}\n", rules->file(), rules->rule_count(), rules->family(), rules->title());
  for (const auto& need : rules->sources())
    fmt::print("reads   {}{} checkpoint{}{}\n", need.name.empty() ? "" : need.name + "=", need.format.empty() ? "a" : "a " + need.format, need.root.empty() ? "" : ", the tensors below '" + need.root + "'", need.doc.empty() ? "" : " (" + need.doc + ")");
  for (const auto& name : rules->architectures()) fmt::print("writes  {}\n", name);
  for (const auto& choice : rules->variants()) fmt::print("--set   {}=…  {}\n", choice.name, choice.doc);
  fmt::print("--set   dtype=…  keep, float32, float16, bfloat16 or float64\n\nconvert: remap --rules {} CHECKPOINT", options.rules);
  for (const auto& need : rules->sources())
    if (!need.name.empty()) fmt::print(" {}=PATH", need.name);
  fmt::print(" -o OUT\n");
  return kDone;
}

}  // namespace

int convert(const Options& options) {
  if (options.inputs.empty()) {
    if (!options.rules.empty()) return describe(options);
    throw remap::Error("usage", {}, "no checkpoint was given", "remap [--rules RULES] CHECKPOINT -o OUT; 'remap --help' shows more");
  }
  if (options.output.empty()) throw remap::Error("usage", {}, "no output folder was given", "say where with -o OUT, or see what would happen with 'remap plan'");
  catch_signals();
  remap::Diagnostics diagnostics;
  const auto inputs = open_inputs(options, diagnostics);
  std::optional<remap::Plan> plan;
  if (inputs) {
    for (const auto& source : inputs->named)
      if (!source.source->has_data()) throw remap::Error("source-without-data", remap::BytePlace{source.source->path(), {}, {}}, "this is a manifest: it lists tensors and holds none", "use 'remap plan' to see what would happen");
    plan = plan_inputs(*inputs, options, diagnostics);
  }
  if (inputs && !options.quiet)
    for (const auto& source : inputs->named)
      for (const auto& text : source.source->warnings())
        diagnostics.warning("source-incomplete", remap::BytePlace{source.source->path(), {}, {}}, text, "if the checkpoint was downloaded, check that all of its files arrived");
  print(diagnostics, options.output_format());
  if (!plan) return kFailed;

  remap::OutputFolder output(options.output, plan->tensors, {parse_bytes(options.max_shard_size), options.force});
  Progress progress(options.quiet);
  remap::ExecOptions exec;
  exec.threads = options.threads;
  exec.cancel = &g_interrupted;
  exec.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  std::vector<const remap::Source*> sources;
  for (const auto& plan_source : plan->sources)
    for (const auto& named : inputs->named)
      if (named.name == plan_source.name) sources.push_back(named.source);
  remap::execute(plan->tensors, sources, output, exec);
  output.add_file("config.json", remap::json_file_text(plan->config));
  for (const auto& [name, body] : plan->files) output.add_file(name, remap::json_file_text(body));
  output.commit();
  progress.clear();
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text({{"output", options.output}, {"family", plan->family}, {"architecture", plan->architecture}, {"summary", remap::summary(*plan)}}));
  else if (!options.quiet)
    fmt::print(stderr, "{}: {}{}\n  {}\n", options.output, plan->architecture, progress.visible() ? fmt::format(" in {:.1f} s", progress.seconds()) : "", remap::summary(*plan));
  return kDone;
}

}  // namespace cli
