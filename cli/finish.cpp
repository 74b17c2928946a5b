#include <fmt/format.h>

#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "remap/parts.h"
#include "remap/report.h"
#include "remap/text.h"

namespace cli {

int finish(const Options& options) {
  const std::string output = options.inputs.at(0);
  Progress progress(options.quiet, "joining the parts");
  remap::FinishOptions finish_options;
  finish_options.sync = !options.no_sync;
  finish_options.limits = limits_of(options);
  finish_options.cancel = &catch_signals();
  finish_options.notice = [&](const remap::Diagnostic& diagnostic) { print(diagnostic, options); };
  const auto finished = remap::finish_parts(output, finish_options);
  progress.end();
  if (options.output_format() == Format::json)
    fmt::print(
        "{}",
        remap::json_file_text(
            {{"output", output}, {"parts", finished.parts}, {"files", finished.files}, {"bytes", finished.bytes}}));
  else if (!options.quiet && finished.parts == 0)
    fmt::print(stderr, "{}: is there already, and no parts of it are: there is nothing to join\n", output);
  else if (!options.quiet)
    fmt::print(stderr, "{}: {}, {}, {}\n", output, remap::count_text(finished.parts, "part"),
               remap::count_text(finished.files, "file"), remap::human_bytes(finished.bytes));
  return kDone;
}

}  // namespace cli
