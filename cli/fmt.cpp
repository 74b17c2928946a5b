#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/write_file.h"
#include "remap/format_rules.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) throw Error("io-read", remap::BytePlace{path, {}, {}}, "cannot be read");
  return text;
}

int format_input(bool check) {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  remap::Diagnostics diagnostics;
  const auto result = remap::format_rules("<stdin>", text, diagnostics);
  print(diagnostics, Format::text);
  if (!result) return kFailed;
  if (!check) fmt::print("{}", *result);
  return check && *result != text ? kFound : kDone;
}

}  // namespace

int format(const Options& options) {
  if (options.inputs.size() == 1 && options.inputs[0] == "-") return format_input(options.check);
  int exit = kDone;
  for (const auto& file : rule_files(options.inputs)) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) throw Error("io-read", remap::BytePlace{file, {}, {}}, "there is no such file", "name rule files, or folders of them");
    const std::string text = read(file);
    remap::Diagnostics diagnostics;
    const auto result = remap::format_rules(file, text, diagnostics);
    print(diagnostics, Format::text);
    if (!result) exit = kFailed;
    if (!result || *result == text) continue;
    if (!options.check) write_file(file, *result, Existing::replace);
    else if (exit == kDone) exit = kFound;
    fmt::print("{}\n", file);
  }
  return exit;
}

}  // namespace cli
