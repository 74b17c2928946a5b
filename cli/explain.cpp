#include <fmt/format.h>

#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {

int explain(const Options& options) {
  Options planning = options;
  const std::string key = planning.inputs.front();
  planning.inputs.erase(planning.inputs.begin());
  remap::Diagnostics diagnostics;
  const auto opened = remap::open_checkpoint(request_of(planning), diagnostics);
  std::optional<remap::Plan> plan;
  if (opened) plan = remap::make_plan(opened->rules, opened->sources, opened->options, diagnostics);
  print(diagnostics, options);
  if (!opened) return kFailed;
  const auto explanation =
      remap::explain(opened->rules, opened->sources, opened->options, plan ? &*plan : nullptr, key);
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text(remap::render_json(explanation)));
  else
    fmt::print("{}", remap::render_text(explanation));
  return explanation.rules.empty() ? kFound : kDone;
}

}  // namespace cli
