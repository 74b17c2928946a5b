#include <filesystem>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/document.h"
#include "remap/html.h"
#include "remap/report.h"

namespace cli {
namespace fs = std::filesystem;

int verify_folder(const remap::Conversion& conversion, const std::string& folder, const Options& options,
                  Progress& progress) {
  progress.begin("computing both forward passes, and comparing");
  const auto target = remap::open_source(folder, {.limits = limits_of(options)});
  const std::string config =
      (fs::is_directory(folder) ? fs::path(folder) : fs::path(folder).parent_path()) / "config.json";
  remap::VerifyOptions verify_options;
  verify_options.atol = options.verify_atol;
  verify_options.max_records = static_cast<size_t>(options.layers);
  verify_options.input = options.probe;
  verify_options.config = conversion.options.config;
  verify_options.progress = progress.function();
  verify_options.documents = conversion.options.documents;
  const auto report = remap::verify(conversion.rules, conversion.plan, conversion.sources, *target,
                                    remap::read_document(config, "json", limits_of(options)), verify_options);
  progress.end();
  if (options.output_format() == Format::json)
    fmt::print("{}", remap::json_file_text(remap::render_json(report)));
  else if (options.format == "html")
    fmt::print("{}", remap::render_html(report));
  else if (!options.quiet || !report.passed)
    fmt::print("{}", remap::render_text(report));
  return report.passed ? kDone : kFound;
}

int verify(const Options& options) {
  Progress progress(options.quiet, "opening and planning");
  const auto planned = open_and_plan(options);
  return planned ? verify_folder(*planned, options.target, options, progress) : kFailed;
}

}  // namespace cli
