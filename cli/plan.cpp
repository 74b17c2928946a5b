#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/terminal.h"
#include "remap/html.h"
#include "remap/report.h"

namespace cli {

int plan(const Options& options) {
  const auto planned = open_and_plan(options);
  if (!planned) return kFailed;
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::render_json_text(planned->plan));
  else if (options.format == "html")
    fmt::print("{}", remap::render_html(
                         planned->plan,
                         [&](const std::vector<std::string>& keys) {
                           return remap::explain(planned->rules, planned->sources, planned->options, &planned->plan,
                                                 keys);
                         },
                         !options.full));
  else if (options.format == "markdown")
    fmt::print("{}", remap::render_markdown(planned->plan));
  else
    show(remap::render_text(planned->plan, {!options.full, true}), Paint::plan);
  return kDone;
}

}  // namespace cli
