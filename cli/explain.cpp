#include <algorithm>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/diagnostic_pages.h"
#include "remap/nearest.h"
#include "remap/report.h"

namespace cli {

namespace {

constexpr const char* kHowTo = "remap explain KEY CHECKPOINT...; 'remap explain --help' shows more";

// A class of diagnostic, which needs no checkpoint.
int explain_diagnostic(const std::string& id, const Options& options) {
  const auto& rows = remap::diagnostic_table();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.id == id; });
  if (row == rows.end()) {
    std::vector<std::string> ids;
    for (const auto& one : rows) ids.emplace_back(one.id);
    throw remap::Error("usage", {}, "'remap explain' takes KEY CHECKPOINT...; CHECKPOINT is missing",
                       remap::did_you_mean(id, ids, kHowTo));
  }
  const std::string page(remap::diagnostic_page(row->id));
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text({{"remap_diagnostic", 1},
                                            {"id", row->id},
                                            {"severity", remap::to_string(row->severity)},
                                            {"purpose", row->purpose},
                                            {"page", page}}));
  else
    fmt::print("{}", page);
  return kDone;
}

}  // namespace

int explain(const Options& options) {
  if (options.inputs.empty())
    throw remap::Error("usage", {}, "'remap explain' takes KEY CHECKPOINT...; KEY and CHECKPOINT are missing", kHowTo);
  if (options.inputs.size() == 1) return explain_diagnostic(options.inputs.front(), options);
  Options planning = options;
  const std::string key = planning.inputs.front();
  planning.inputs.erase(planning.inputs.begin());
  Progress progress(options.quiet, "opening and planning");
  remap::Diagnostics diagnostics;
  const auto opened = remap::open_checkpoint(request_of(planning), diagnostics);
  std::optional<remap::Plan> plan;
  if (opened) plan = remap::make_plan(opened->rules, opened->sources, opened->options, diagnostics);
  print(diagnostics, options);
  if (!opened) return kFailed;
  const auto explanation =
      remap::explain(opened->rules, opened->sources, opened->options, plan ? &*plan : nullptr, key);
  progress.end();
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text(remap::render_json(explanation)));
  else
    fmt::print("{}", remap::render_text(explanation));
  return explanation.rules.empty() ? kFound : kDone;
}

}  // namespace cli
