#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/origin.h"

namespace remap {
namespace {

using report::Line;

std::string rule_place(const Plan& plan, uint32_t rule) {
  const TextPlace& place = plan.rules[rule].place;
  return fmt::format("{}:{}", place.file, place.line);
}

std::string dtype_text(const Plan& plan, const PlannedTensor& tensor) {
  std::set<std::string> from;
  for (const Piece& piece : tensor.pieces) from.insert(std::string(name((*plan.sources[piece.source].manifest)[piece.tensor].dtype)));
  const std::string to(name(tensor.dtype));
  if (from.empty() || (from.size() == 1 && *from.begin() == to)) return to;
  return fmt::format("{}→{}", *from.begin(), to);
}

std::vector<report::Row> arranged(std::vector<Line> lines, bool folded) {
  return folded ? report::fold(std::move(lines)) : report::in_order(std::move(lines));
}

std::string header(const Plan& plan) {
  std::string text = plan.title.empty() ? plan.family + "\n" : fmt::format("{}: {}\n", plan.family, plan.title);
  std::vector<std::string> facts;
  if (!plan.architecture.empty()) facts.push_back("gives " + plan.architecture);
  for (const auto& [name, value] : plan.variants) facts.push_back(fmt::format("{} = {}", name, value));
  if (!facts.empty()) text += join(facts, ", ") + "\n";
  std::vector<std::string> dims;
  for (const auto& dim : plan.dims) dims.push_back(fmt::format("{} {}", dim.name, dim.value));
  if (!dims.empty()) text += fmt::format("dims: {}\n", join(dims, ", "));
  return text + "\n";
}

std::string dropped_text(const Plan& plan, bool folded) {
  if (plan.dropped.empty()) return "";
  std::vector<Line> lines;
  for (const auto& d : plan.dropped) {
    const PlanSource& source = plan.sources[d.source];
    lines.push_back({{(source.name.empty() ? "" : source.name + ":") + (*source.manifest)[d.tensor].key, d.because, rule_place(plan, d.rule)}, {}});
  }
  return "\ndropped:\n" + report::table(arranged(std::move(lines), folded), {80, 60});
}

std::string checks_text(const Plan& plan, bool folded) {
  std::vector<Line> lines;
  for (const auto& check : plan.checks) lines.push_back({{check.a, check.b, check.same ? (*check.same ? "hold the same values" : "differ") : "are taken as equal: there is no data to compare"}, {}});
  std::string text = lines.empty() ? "" : "\n";
  for (const auto& row : arranged(std::move(lines), folded)) text += fmt::format("check: '{}' and '{}' {}\n", row[0], row[1], row[2]);
  return text;
}

}  // namespace

std::string summary(const Plan& plan) {
  using report::OriginKind;
  std::map<OriginKind, size_t> counts;
  uint64_t bytes = 0;
  for (const auto& tensor : plan.tensors) {
    ++counts[report::origin_of(plan, tensor).kind];
    bytes += static_cast<uint64_t>(data_bytes(tensor));
  }
  static const std::vector<std::pair<OriginKind, const char*>> kNames = {{OriginKind::renamed, "renamed"}, {OriginKind::transposed, "transposed"}, {OriginKind::regrouped, "regrouped"}, {OriginKind::part, "part of a tensor"}, {OriginKind::joined, "joined"}, {OriginKind::filled, "filled"}};
  std::vector<std::string> parts;
  for (const auto& [kind, text] : kNames)
    if (counts[kind] > 0) parts.push_back(fmt::format("{} {}", counts[kind], text));
  return fmt::format("{} tensors, {}: {}; {} dropped", plan.tensors.size(), human_bytes(bytes), join(parts, ", "), plan.dropped.size());
}

std::string render_text(const Plan& plan, const PlanTextOptions& options) {
  std::string text = options.header ? header(plan) : "";
  std::vector<Line> lines;
  for (const auto& tensor : plan.tensors) {
    const std::string dtype = dtype_text(plan, tensor), shape = to_string(tensor.shape), place = rule_place(plan, tensor.rule);
    lines.push_back({{tensor.key, dtype + " " + shape, "← " + report::origin_of(plan, tensor).text, place}, dtype + shape + place});
  }
  text += report::table(arranged(std::move(lines), options.folded), {76, 24, 84});
  text += dropped_text(plan, options.folded);
  text += checks_text(plan, options.folded);
  if (!plan.open.empty()) text += "\nopen, since a manifest cannot tell:\n";
  for (const auto& open : plan.open) text += fmt::format("  {}\n", open);
  return text + "\n" + summary(plan) + "\n";
}

Json render_json(const Plan& plan) {
  Json json = {{"remap_plan", 1}, {"family", plan.family}, {"title", plan.title}, {"architecture", plan.architecture}};
  json["variants"] = Json::object();
  for (const auto& [name, value] : plan.variants) json["variants"][name] = value;
  json["dims"] = Json::object();
  for (const auto& dim : plan.dims) json["dims"][dim.name] = {{"value", dim.value}, {"origin", dim.origin}, {"rule", fmt::format("{}:{}", dim.place.file, dim.place.line)}};
  Json tensors = Json::array();
  for (const auto& tensor : plan.tensors) {
    Json one = {{"key", tensor.key}, {"dtype", name(tensor.dtype)}, {"shape", tensor.shape}};
    if (tensor.fill) one["fill"] = *tensor.fill;
    else one["pieces"] = Json::array();
    for (const Piece& piece : tensor.pieces) one["pieces"].push_back(report::piece_json(plan, piece));
    one["origin"] = report::origin_of(plan, tensor).text;
    one["rule"] = rule_place(plan, tensor.rule);
    if (const std::string why = irreversible_because(plan, tensor); !why.empty()) one["irreversible"] = why;
    tensors.push_back(std::move(one));
  }
  json["tensors"] = std::move(tensors);
  Json dropped = Json::array();
  for (const auto& d : plan.dropped) dropped.push_back({{"source", plan.sources[d.source].name}, {"key", (*plan.sources[d.source].manifest)[d.tensor].key}, {"because", d.because}, {"rule", rule_place(plan, d.rule)}});
  json["dropped"] = std::move(dropped);
  json["checks"] = Json::array();
  for (const auto& check : plan.checks) json["checks"].push_back({{"same", {check.a, check.b}}, {"result", check.same ? Json(*check.same) : Json()}});
  json["config"] = plan.config;
  json["files"] = Json::object();
  for (const auto& [name, body] : plan.files) json["files"][name] = body;
  json["open"] = plan.open;
  json["summary"] = summary(plan);
  return json;
}

std::string render_json_text(const Plan& plan) {
  const Json json = render_json(plan);
  std::string text = "{";
  for (const auto& [name, value] : json.items()) {
    text += text.size() == 1 ? "\n" : ",\n";
    text += Json(name).dump() + ": ";
    if (!value.is_array() || value.empty()) {
      text += value.dump();
      continue;
    }
    for (size_t i = 0; i < value.size(); ++i) text += (i == 0 ? "[\n " : ",\n ") + value[i].dump();
    text += "\n]";
  }
  return text + "\n}\n";
}

std::string json_file_text(const Json& json) { return json.dump(2) + "\n"; }

}  // namespace remap
