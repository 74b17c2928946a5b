// What `remap explain` says.
#include <fmt/format.h>

#include "base/text.h"
#include "remap/report.h"

namespace remap {

std::string render_text(const Explanation& explanation) {
  const bool known = explanation.is_source || explanation.is_target;
  std::string text = fmt::format("{}: {}\n", printable(explanation.key),
                                 explanation.is_target && explanation.is_source ? "a key of both sides"
                                 : explanation.is_target                        ? "a target tensor"
                                 : explanation.is_source                        ? "a source tensor"
                                                                                : "neither a source nor a target key");
  for (const auto& rule : explanation.rules) {
    text += "\n";
    if (rule.target.empty())
      text += fmt::format("{}\n  {}\n", printable(rule.source), printable(rule.what));
    else
      text += fmt::format("{}\n  {}{}{}\n", printable(rule.target), printable(rule.what),
                          rule.source.empty() ? "" : " ← ", printable(rule.source));
    text += fmt::format("  by {}: {}\n{:>5} | {}\n", to_string(Place(rule.place)), rule.summary, rule.place.line,
                        rule.place.source_line.str());
    std::vector<std::string> captures;
    for (const auto& [name, value] : rule.captures) captures.push_back(fmt::format("{} = {}", name, value));
    if (!captures.empty()) text += fmt::format("  {}\n", printable(join(captures, ", ")));
    for (const auto& dim : rule.dims) text += fmt::format("  {}\n", dim);
  }
  if (explanation.n_more > 0) text += fmt::format("\n… and {} more\n", explanation.n_more);
  if (!explanation.near.empty()) text += known ? "\nno rule matches it:\n" : "\n";
  for (const auto& near : explanation.near) text += fmt::format("  {}\n", printable(near));
  return text;
}

Json render_json(const Explanation& explanation) {
  Json json = {{"remap_explain", 1},
               {"key", explanation.key},
               {"source", explanation.is_source},
               {"target", explanation.is_target},
               {"more", explanation.n_more},
               {"near", explanation.near},
               {"rules", Json::array()}};
  for (const auto& rule : explanation.rules) {
    Json captures = Json::array();
    for (const auto& [name, value] : rule.captures) captures.push_back({{"name", name}, {"value", value}});
    json["rules"].push_back({{"rule", fmt::format("{}:{}", rule.place.file, rule.place.line)},
                             {"summary", rule.summary},
                             {"source", rule.source},
                             {"target", rule.target},
                             {"what", rule.what},
                             {"captures", captures},
                             {"dims", rule.dims}});
  }
  return json;
}

}  // namespace remap
