#include <fmt/format.h>

#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {

int plan(const Options& options) {
  remap::Diagnostics diagnostics;
  const auto inputs = open_inputs(options, diagnostics);
  std::optional<remap::Plan> plan;
  if (inputs) plan = plan_inputs(*inputs, options, diagnostics);
  print(diagnostics, options.output_format());
  if (!plan) return kFailed;
  if (options.output_format() == Format::json) fmt::print("{}", remap::render_json_text(*plan));
  else fmt::print("{}", remap::render_text(*plan, {!options.full, true}));
  return kDone;
}

}  // namespace cli
