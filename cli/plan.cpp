#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "remap/html.h"
#include "remap/report.h"

namespace cli {

int plan(const Options& options) {
  Progress progress(options.quiet, "opening and planning");
  const auto& planned = kept(open_and_plan(options));
  if (!planned) return kFailed;
  const auto explained = [&](const std::vector<std::string>& keys) {
    return remap::explain(planned->rules, planned->sources, planned->options, &planned->plan, keys);
  };
  const bool folded = !options.full;
  const std::string text = options.output_format() == Format::json ? remap::render_json_text(planned->plan)
                           : options.format == "html"     ? remap::render_html(planned->plan, explained, folded)
                           : options.format == "markdown" ? remap::render_markdown(planned->plan)
                                                          : remap::render_text(planned->plan, {folded, true});
  progress.end();
  if (options.format == "text")
    show(text, Paint::plan);
  else
    fmt::print("{}", text);
  return kDone;
}

}  // namespace cli
