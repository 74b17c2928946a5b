#include <fmt/format.h>

#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {

int plan(const Options& options) {
  const auto planned = open_and_plan(options);
  if (!planned) return kFailed;
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::render_json_text(planned->plan));
  else if (options.format == "markdown")
    fmt::print("{}", remap::render_markdown(planned->plan));
  else
    fmt::print("{}", remap::render_text(planned->plan, {!options.full, true}));
  return kDone;
}

}  // namespace cli
