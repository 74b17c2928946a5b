#include <fmt/format.h>

#include "cli/inputs.h"
#include "remap/files_read.h"
#include "remap/html.h"
#include "remap/manifest_file.h"
#include "remap/report.h"

namespace cli {

int inspect(const Options& options) {
  // As text they are among the remarks.
  const bool listed = options.format == "json" || options.format == "folded" || options.format == "manifest";
  const auto source = listed ? open_whole(options.inputs.at(0), options)
                             : remap::open_source(options.inputs.at(0), {.limits = limits_of(options)});
  remap::FilesRead({source.get()}).require_unchanged();  // since they were opened
  if (options.format == "json")
    fmt::print("{}", remap::render_inspect_json(*source));
  else if (options.format == "html")
    fmt::print("{}", remap::render_html(*source));
  else if (options.format == "folded")
    fmt::print("{}", remap::render_folded_manifest(*source));
  else if (options.format == "manifest")
    fmt::print("{}", remap::manifest_to_text(source->manifest()));
  else
    fmt::print("{}", remap::render_text(*source, {!options.full, options.metadata}));
  return kDone;
}

}  // namespace cli
