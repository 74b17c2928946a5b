#include <charconv>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "remap/report.h"
#include "remap/verify.h"

namespace cli {
namespace {

// How the sum of parameters came out, where the rules ask for it.
std::string sums_line(const remap::Plan& plan, bool is_part, const remap::Outcome& outcome) {
  if (!plan.parameter_sum) return "";
  if (is_part) return "sum of parameters: not compared, since this is a part";
  if (!outcome.sums) return "sum of parameters: not compared, since the cast rounds";
  return fmt::format("sum of parameters: {:.6g} = {}", outcome.sums->target, remap::sums_text(plan, *outcome.sums));
}

// "3/16"
remap::OutputPart part_of(const Options& options) {
  const std::string& text = options.shard;
  remap::OutputPart part{0, 0};
  const char* const end = text.data() + text.size();
  const auto [slash, bad_number] = std::from_chars(text.data(), end, part.number);
  if (bad_number != std::errc() || slash == end || *slash != '/' ||
      std::from_chars(slash + 1, end, part.of).ptr != end || part.number == 0 || part.number > part.of)
    throw remap::Error("usage", {}, fmt::format("'{}' is not a part of an output", text),
                       "for example 3/16: the third of 16 parts");
  for (const auto& [name, given] : {std::pair("--verify", options.verify), {"--provenance", options.provenance}})
    if (given)
      throw remap::Error("usage", {},
                         fmt::format("{} and --shard do not go together: a part is not a whole output", name),
                         "leave it out");
  return part;
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
  Progress progress(options.quiet, "opening and planning");
  remap::Diagnostics diagnostics;
  remap::Request request = request_of(options);
  request.needs_data = true;
  const auto& conversion = kept(remap::prepare(request, diagnostics));
  print(diagnostics, options);
  if (!conversion) return kFailed;

  if (options.verify && !remap::names_forward_passes(conversion->rules))
    throw remap::Error("usage", {}, fmt::format("--verify: {} names no forward passes", conversion->rules.file()),
                       "leave it out, or add 'verify: {source: NAME, target: NAME}' to the rules");
  remap::OutputOptions output;
  output.max_shard_bytes = parse_bytes(options.max_shard_size);
  output.force = options.force;
  output.sync = !options.no_sync;
  output.resume = options.resume;
  output.provenance = options.provenance;
  if (!options.shard.empty()) output.part = part_of(options);
  output.notice = [&](const remap::Diagnostic& diagnostic) { print(diagnostic, options); };
  output.clone = options.clone;
  remap::ExecOptions exec;
  exec.threads = options.threads;
  exec.cancel = &catch_signals();
  exec.progress = progress.function();
  const remap::Plan& plan = conversion->plan;
  progress.begin("copying");
  const bool is_part = !output.part.is_whole();
  const std::string sums = sums_line(plan, is_part, remap::write(*conversion, options.output, output, exec));
  progress.end();
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text({{"output", options.output},
                                            {"family", plan.family},
                                            {"architecture", plan.architecture},
                                            {"summary", remap::summary(plan)},
                                            {"checked", sums},
                                            {"metadata", plan.metadata},
                                            {"left_behind", plan.left_behind}}));
  else if (!options.quiet)
    fmt::print(stderr, "{}: {}{}{}\n  {}\n{}{}", options.output,
               plan.architecture.empty() ? "tensors" : plan.architecture,
               is_part ? fmt::format(", part {} of {}", output.part.number, output.part.of) : "",
               progress.visible() ? fmt::format(" in {:.1f} s", progress.seconds()) : "", remap::summary(plan),
               sums.empty() ? "" : "  " + sums + "\n", indented(remap::beside_text(plan)));
  if (!options.verify) return kDone;
  release_signals();  // there is nothing to remove any more
  if (*exec.cancel) {
    fmt::print(stderr, "interrupted; {} is whole, and was not verified\n", options.output);
    return kInterrupted;
  }
  return verify_folder(*conversion, options.output, options, progress);
}

}  // namespace cli
