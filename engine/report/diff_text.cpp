// What `remap diff` says.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/plan_diff.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/json_text.h"
#include "report/origin.h"

namespace remap {
namespace {

using report::Line;

std::string place(const Plan& plan, uint32_t rule) {
  return fmt::format("{}:{}", plan.rules[rule].place.file, plan.rules[rule].place.line);
}
std::string what(const PlannedTensor& tensor) {
  return fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape));
}
std::string from(const Plan& plan, const PlannedTensor& tensor) { return "← " + report::origin_of(plan, tensor).text; }

// What is not told apart by these cells may fold: sign, key, what it is, where it comes from, which rule.
Line line_of(const PlanDiff& diff, const TensorChange& change) {
  if (!change.before)
    return {{change.key, what(*change.after), from(*diff.after, *change.after), place(*diff.after, change.after->rule)},
            "+"};
  if (!change.after)
    return {{change.key, what(*change.before), from(*diff.before, *change.before),
             place(*diff.before, change.before->rule)},
            "-"};
  const bool retyped = change.dtype || change.shape;
  return {{change.key, retyped ? what(*change.before) + " → " + what(*change.after) : what(*change.after),
           from(*diff.after, *change.after) + (change.source ? "  was " + from(*diff.before, *change.before) : ""),
           place(*diff.after, change.after->rule)},
          "!"};
}

std::string value_text(const std::optional<Json>& value) {
  if (!value) return "(not there)";
  const std::string text = report::one_line(*value);
  return text.size() > 80 ? fmt::format("{}…", utf8_prefix(text, 77)) : text;
}

// Rows with a sign in front, as diff tools color them.
std::string body(const PlanDiff& diff) {
  std::string text;
  std::vector<std::vector<Line>> by_sign(3);
  const std::string signs = "-+!";
  for (const auto& change : diff.tensors) {
    Line line = line_of(diff, change);
    const size_t sign = signs.find(line.group);
    line.group = line.cells[1] + line.cells[3];
    by_sign[sign].push_back(std::move(line));
  }
  std::vector<report::Row> rows;
  for (size_t s = 0; s < signs.size(); ++s)
    for (auto& row : report::fold(std::move(by_sign[s]))) {
      row[0] = fmt::format("{} {}", signs[s], row[0]);
      rows.push_back(std::move(row));
    }
  text += report::table(rows, {78, 40, 84});
  std::vector<Line> drops;
  for (const auto& drop : diff.drops)
    drops.push_back({{(drop.after ? "! now dropped: " : "! no longer dropped: ") + drop.key,
                      (drop.after ? drop.after : drop.before)->because},
                     {}});
  text += report::table(report::fold(std::move(drops)), {90});
  for (const auto& field : diff.fields)
    text += fmt::format("! {}: {}{}{} → {}\n", field.file, field.field, field.field.empty() ? "" : ": ",
                        value_text(field.before), value_text(field.after));
  return text;
}

}  // namespace

std::string summary(const PlanDiff& diff) {
  size_t added = 0, removed = 0, sources = 0, shapes = 0, dtypes = 0;
  for (const auto& change : diff.tensors) {
    added += change.before == nullptr;
    removed += change.after == nullptr;
    sources += change.source;
    shapes += change.shape;
    dtypes += change.dtype;
  }
  std::vector<std::string> parts;
  const auto count = [&](size_t n, const char* text) {
    if (n > 0) parts.push_back(fmt::format("{} {}", n, text));
  };
  count(added, "added");
  count(removed, "removed");
  count(sources, "from another source");
  count(shapes, "of another shape");
  count(dtypes, "of another dtype");
  count(diff.drops.size(), "dropped or no longer dropped");
  count(diff.fields.size(), diff.fields.size() == 1 ? "field of a JSON file" : "fields of JSON files");
  count(diff.n_same, "tensors the same");
  return join(parts, ", ");
}

std::string render_text(const PlanDiff& diff) {
  return diff.empty() ? fmt::format("no change: {}\n", summary(diff)) : body(diff) + "\n" + summary(diff) + "\n";
}

std::string render_markdown(const PlanDiff& diff) {
  return diff.empty() ? fmt::format("No change: {}\n", summary(diff))
                      : fmt::format("{}\n\n```diff\n{}```\n", summary(diff), body(diff));
}

Json render_json(const PlanDiff& diff) {
  Json json = {{"remap_diff", 1}, {"same", diff.n_same}};
  const auto side = [](const Plan& plan, const PlannedTensor* tensor) {
    return tensor == nullptr ? Json()
                             : Json{{"dtype", name(tensor->dtype)},
                                    {"shape", tensor->shape},
                                    {"origin", report::origin_of(plan, *tensor).text},
                                    {"rule", place(plan, tensor->rule)}};
  };
  json["tensors"] = Json::array();
  for (const auto& change : diff.tensors)
    json["tensors"].push_back({{"key", change.key},
                               {"before", side(*diff.before, change.before)},
                               {"after", side(*diff.after, change.after)}});
  json["dropped"] = Json::array();
  for (const auto& drop : diff.drops)
    json["dropped"].push_back({{"key", drop.key},
                               {"before", drop.before ? Json(drop.before->because) : Json()},
                               {"after", drop.after ? Json(drop.after->because) : Json()}});
  json["fields"] = Json::array();
  for (const auto& field : diff.fields) {
    Json entry = {{"file", field.file}, {"field", field.field}};
    if (field.before) entry["before"] = *field.before;
    if (field.after) entry["after"] = *field.after;
    json["fields"].push_back(std::move(entry));
  }
  json["summary"] = summary(diff);
  return json;
}

}  // namespace remap
