#include <fmt/format.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "remap/parts.h"
#include "remap/report.h"
#include "remap/text.h"

namespace cli {

int finish(const Options& options) {
  const std::string output = options.inputs.at(0);
  Progress progress(options.quiet, "joining the parts");
  const auto finished = remap::finish_parts(output, {.sync = !options.no_sync});
  progress.end();
  if (options.output_format() == Format::json)
    fmt::print(
        "{}",
        remap::json_file_text(
            {{"output", output}, {"parts", finished.parts}, {"files", finished.files}, {"bytes", finished.bytes}}));
  else if (!options.quiet)
    fmt::print(stderr, "{}: {} parts, {} files, {}\n", output, finished.parts, finished.files,
               remap::human_bytes(finished.bytes));
  return kDone;
}

}  // namespace cli
