#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/inputs.h"
#include "remap/nearest.h"
#include "remap/report.h"
#include "remap/text.h"

namespace cli {
namespace {

remap::Json as_json(const remap::Rules& rules) {
  remap::Json json = {{"file", rules.file()},
                      {"family", rules.family()},
                      {"title", rules.title()},
                      {"rules", rules.rule_count()},
                      {"architectures", rules.architectures()},
                      {"library", rules.library()}};
  json["sources"] = remap::Json::array();
  for (const auto& need : rules.sources()) {
    remap::Json source = {{"name", need.name}, {"format", need.format}, {"root", need.root}, {"doc", need.doc}};
    if (need.document) source["optional"] = true;
    if (!need.files.empty()) source["files"] = need.files;
    json["sources"].push_back(std::move(source));
  }
  json["variants"] = remap::Json::object();
  for (const auto& choice : rules.variants()) json["variants"][choice.name] = choice.doc;
  return json;
}

// What goes in and comes out, a line each.
std::string needs_text(const remap::Rules& rules) {
  std::string text;
  for (const auto& need : rules.sources()) {
    const std::string what = need.document ? need.format + " file, if there is one"
                                           : (need.format.empty() ? "a" : "a " + need.format) + " checkpoint" +
                                                 (need.files.empty() ? "" : " of files " + need.files) +
                                                 (need.root.empty() ? "" : ", the tensors below " + need.root);
    text += fmt::format("reads   {}{}{}\n", need.name.empty() ? "" : need.name + "=", what,
                        need.doc.empty() ? "" : " (" + need.doc + ")");
  }
  for (const auto& name : rules.architectures())
    text += fmt::format("writes  {}{}\n", name, rules.library().empty() ? "" : " as in " + rules.library());
  for (const auto& choice : rules.variants()) text += fmt::format("--set   {}=…  {}\n", choice.name, choice.doc);
  return text;
}

int list(const Options& options) {
  remap::Diagnostics diagnostics;
  const auto folders = rule_folders(options);
  std::vector<remap::Rules> known;
  std::vector<std::string> names;
  for (const auto& name : remap::Rules::known(folders))
    if (auto rules = remap::Rules::load(name, diagnostics, folders)) {
      known.push_back(std::move(*rules));
      names.push_back(name);
    }
  print(diagnostics, options);
  remap::Json json = remap::Json::array();
  for (size_t i = 0; i < known.size(); ++i) {
    json.push_back(as_json(known[i]));
    if (options.output_format() == Format::text)
      fmt::print("{}{}: {}\n{}", i == 0 ? "" : "\n", names[i], known[i].title(), needs_text(known[i]));
  }
  if (options.output_format() == Format::json) fmt::print("{}", remap::json_file_text(json));
  return diagnostics.has_errors() ? kFailed : kDone;
}

std::optional<remap::Rules> load(const std::string& name, const Options& options) {
  remap::Diagnostics diagnostics;
  auto rules = remap::Rules::load(name, diagnostics, rule_folders(options), limits_of(options));
  print(diagnostics, options);
  return rules;
}

}  // namespace

namespace {

// 'remap rules' was given words, and they are not 'show NAME': what was probably meant.
[[noreturn]] void refuse_words(const Options& options) {
  const auto known = remap::Rules::known(rule_folders(options));
  const std::string& first = options.inputs.front();
  const std::string message =
      fmt::format("'remap rules {}': nothing, or 'show NAME', was expected", fmt::join(options.inputs, " "));
  if (first == "show")
    throw remap::Error("usage", {}, "'remap rules show' takes NAME; it is missing",
                       fmt::format("NAME is one of: {}, or a file", fmt::join(known, ", ")));
  const std::string name = remap::nearest_name(options.inputs.back(), known);
  if (!name.empty()) throw remap::Error("usage", {}, message, fmt::format("did you mean 'remap rules show {}'?", name));
  throw remap::Error("usage", {}, message,
                     fmt::format("remap rules show NAME, with one of: {}, or a file", fmt::join(known, ", ")));
}

}  // namespace

int rules(const Options& options) {
  if (options.inputs.empty()) return list(options);
  if (options.inputs.size() != 2 || options.inputs[0] != "show") refuse_words(options);
  const auto found = load(options.inputs[1], options);
  if (!found) return kFailed;
  if (options.output_format() == Format::json) {
    remap::Json json = as_json(*found);
    json["text"] = found->text();
    fmt::print("{}", remap::json_file_text(json));
  } else {
    fmt::print("{}", found->text());
  }
  return kDone;
}

int describe_rules(const Options& options) {
  const auto found = load(options.rules, options);
  if (!found) return kFailed;
  if (options.output_format() == Format::json) {
    fmt::print("{}", remap::json_file_text(as_json(*found)));
    return kDone;
  }
  if (options.quiet) return kDone;
  fmt::print(
      "{}: good, {}\n{}: {}\n{}--set   dtype=…  keep, float32, float16, bfloat16 or float64\n\nconvert: remap "
      "--rules {} CHECKPOINT",
      found->file(), remap::count_text(found->rule_count(), "rule"), found->family(), found->title(),
      needs_text(*found), options.rules);
  for (const auto& need : found->sources())
    if (!need.name.empty()) fmt::print(" {}{}=PATH{}", need.document ? "[" : "", need.name, need.document ? "]" : "");
  fmt::print(" -o OUT\n");
  return kDone;
}

}  // namespace cli
