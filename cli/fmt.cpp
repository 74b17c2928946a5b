#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/line_diff.h"
#include "cli/write_file.h"
#include "remap/format_rules.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

constexpr size_t kShownOfFile = 16, kShownInAll = 50;  // lines of what differs

// What laying out would change. `shown` counts the lines printed so far: many files must not drown the names of the
// others.
void print_changes(const std::string& before, const std::string& after, size_t& shown) {
  const Lines lines = unified_changes(lines_of(before), lines_of(after));
  const size_t left = kShownInAll - std::min(shown, kShownInAll), n = std::min({lines.size(), kShownOfFile, left});
  if (n == 0) return;
  for (size_t i = 0; i < n; ++i) fmt::print("  {}\n", lines[i]);
  if (n < lines.size()) fmt::print("  … and {} lines more\n", lines.size() - n);
  shown += n;
}

int format_input(const Options& options) {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  remap::Diagnostics diagnostics;
  const auto result = remap::format_rules("<stdin>", text, diagnostics);
  print(diagnostics, options);
  if (!result) return kFailed;
  size_t shown = 0;
  if (!options.check)
    fmt::print("{}", *result);
  else if (*result != text)
    print_changes(text, *result, shown);
  return options.check && *result != text ? kFound : kDone;
}

}  // namespace

int format(const Options& options) {
  if (options.inputs.size() == 1 && options.inputs[0] == "-") return format_input(options);
  int exit = kDone;
  size_t shown = 0;
  remap::Diagnostics diagnostics;
  struct Change {
    std::string file, before, after;
  };
  std::vector<Change> changed;
  for (const auto& file : rule_files(options.inputs)) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored))
      throw Error("io-read", remap::BytePlace{file, {}, {}}, "there is no such file",
                  "name rule files, or folders of them");
    const std::string text = read_file(file);
    remap::Diagnostics own;  // format_rules() stops at errors that it is given
    const auto result = remap::format_rules(file, text, own);
    for (const auto& d : own.items()) diagnostics.add(d);
    if (!result)
      exit = kFailed;
    else if (*result != text)
      changed.push_back({file, text, *result});
  }
  print(diagnostics, options);
  for (const auto& [file, before, after] : changed) {
    if (!options.check) write_file(file, after, Existing::replace);
    fmt::print("{}\n", file);
    if (!options.check) continue;
    print_changes(before, after, shown);
    if (exit == kDone) exit = kFound;
  }
  return exit;
}

}  // namespace cli
