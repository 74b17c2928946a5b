#include "cli/inputs.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command_line.h"
#include "remap/compare.h"
#include "remap/document.h"
#include "remap/nearest.h"
#include "remap/source.h"
#include "remap/values.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

}  // namespace

remap::Limits limits_of(const Options& options) {
  remap::Limits limits;
  for (const auto& text : options.limits) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) throw Error("usage", {}, fmt::format("--limit {}: NAME=VALUE was expected", text));
    remap::set_limit(limits, text.substr(0, equals), parse_bytes(text.substr(equals + 1)));
  }
  return limits;
}

std::unique_ptr<remap::Source> open_whole(const std::string& path, const Options& options) {
  auto source = remap::open_source(path, {.limits = limits_of(options)});
  remap::Diagnostics noticed;
  if (!options.quiet) remap::add_notices(*source, noticed);
  print(noticed, options);
  return source;
}

NamedPath parse_input(const std::string& text) {
  const size_t equals = text.find('=');
  std::error_code ignored;
  if (equals == std::string::npos || equals == 0 || fs::exists(text, ignored) || text.find('/') < equals)
    return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<NamedPath> parse_inputs(const Options& options) {
  std::vector<NamedPath> inputs;
  for (const auto& text : options.inputs) {
    inputs.push_back(parse_input(text));
    size_t same = 0;
    for (const auto& other : inputs) same += other.name == inputs.back().name;
    if (same > 1)
      throw Error("usage", {},
                  inputs.back().name.empty() ? fmt::format("'{}': a second checkpoint without a name", text)
                                             : fmt::format("'{}' is given twice", inputs.back().name),
                  "name further sources: NAME=PATH");
  }
  return inputs;
}

std::vector<std::string> rule_folders(const Options& options) {
  std::vector<std::string> folders = options.rules_dirs;
  const char* variable = std::getenv("REMAP_RULES_DIR");
  const std::string_view list = variable == nullptr ? "" : variable;
  for (size_t start = 0; start < list.size();) {
    const size_t end = std::min(list.find(':', start), list.size());
    if (end > start) folders.emplace_back(list.substr(start, end - start));
    start = end + 1;
  }
  return folders;
}

remap::Request request_of(const Options& options) {
  remap::Request request;
  for (const auto& input : parse_inputs(options))
    (input.name.empty() ? request.checkpoint : request.inputs[input.name]) = input.path;
  if (request.checkpoint.empty())
    throw Error("usage", {}, "no checkpoint was given", "remap [--rules RULES] CHECKPOINT -o OUT");
  request.rules = options.rules;
  request.rule_folders = rule_folders(options);
  for (const auto& text : options.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error("usage", {}, fmt::format("--set {}: NAME=VALUE was expected", text));
    request.set[text.substr(0, equals)] = text.substr(equals + 1);
  }
  request.limits = limits_of(options);
  request.config_file = options.config;
  if (!options.config.empty()) request.config = remap::read_document(options.config, "json", request.limits);
  request.notices = !options.quiet;
  return request;
}

std::optional<remap::Conversion> open_and_plan(const Options& options, remap::Diagnostics& diagnostics) {
  return remap::prepare(request_of(options), diagnostics);
}

std::optional<remap::Conversion> open_and_plan(const Options& options) {
  remap::Diagnostics diagnostics;
  auto planned = open_and_plan(options, diagnostics);
  print(diagnostics, options);
  return planned;
}

}  // namespace cli
