#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/files_read.h"
#include "remap/html.h"
#include "remap/manifest_file.h"
#include "remap/report.h"

namespace cli {

int inspect(const Options& options) {
  Progress progress(options.quiet, "opening");
  // As text they are among the remarks.
  const bool listed = options.format == "json" || options.format == "folded" || options.format == "manifest";
  const auto source = listed ? open_whole(options.inputs.at(0), options)
                             : remap::open_source(options.inputs.at(0), {.limits = limits_of(options)});
  remap::FilesRead({source.get()}).require_unchanged();  // since they were opened
  const std::string text = options.format == "json"     ? remap::render_inspect_json(*source)
                           : options.format == "html"   ? remap::render_html(*source)
                           : options.format == "folded" ? remap::render_folded_manifest(*source)
                           : options.format == "manifest"
                               ? remap::manifest_to_text(source->manifest())
                               : remap::render_text(*source, {!options.full, options.metadata});
  progress.end();
  fmt::print("{}", text);
  return kDone;
}

}  // namespace cli
