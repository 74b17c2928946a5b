#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "base/fetch.h"
#include "base/json_members.h"
#include "base/parallel_for.h"
#include "base/text.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/json_text.h"
#include "report/origin.h"

namespace remap {
namespace {

using report::Line;

// File names can be any bytes.
std::string json_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const std::vector<size_t> kUnpadded = {0, 0, 0};  // limits of columns

std::string rule_place(const Plan& plan, uint32_t rule) {
  const TextPlace& place = plan.rules[rule].place;
  return fmt::format("{}:{}", place.file, place.line);
}

std::string dtype_text(const Plan& plan, const PlannedTensor& tensor) {
  const auto is_same = [&](const Piece& piece) {
    return (*plan.sources[piece.source].manifest)[piece.tensor].dtype == tensor.dtype;
  };
  if (std::all_of(tensor.pieces.begin(), tensor.pieces.end(), is_same)) return std::string(name(tensor.dtype));
  std::set<std::string> from;
  for (const Piece& piece : tensor.pieces)
    from.insert(std::string(name((*plan.sources[piece.source].manifest)[piece.tensor].dtype)));
  return fmt::format("{}→{}", *from.begin(), name(tensor.dtype));
}

std::vector<report::Row> arranged(std::vector<Line> lines, bool folded) {
  return folded ? report::fold(std::move(lines)) : report::in_order(std::move(lines));
}

std::string header(const Plan& plan) {
  std::string text = plan.title.empty() ? plan.family + "\n" : fmt::format("{}: {}\n", plan.family, plan.title);
  std::vector<std::string> facts;
  if (!plan.architecture.empty()) facts.push_back("gives " + plan.architecture);
  for (const auto& [name, value] : plan.variants)
    facts.push_back(fmt::format("{} = {}", name, value.empty() ? "''" : value));
  if (!facts.empty()) text += join(facts, ", ") + "\n";
  std::vector<std::string> dims;
  for (const auto& dim : plan.dims) dims.push_back(fmt::format("{} {}", dim.name, dim.value));
  if (!dims.empty()) text += fmt::format("dims: {}\n", join(dims, ", "));
  return text + "\n";
}

// Writes the lines of a plan's tensors; for several threads at once.
class TensorLines {
 public:
  TensorLines(const Plan& plan, bool places) : plan_(plan) {
    for (uint32_t r = 0; r < plan.rules.size(); ++r) places_.push_back(places ? rule_place(plan, r) : "");
  }
  size_t size() const { return plan_.tensors.size(); }
  void operator()(size_t t, Line& line) const {
    const std::vector<PlannedTensor>& tensors = plan_.tensors;
    fetch_later(t, tensors.size(), [&](size_t later) { return tensors[later].key.data(); });
    fetch_later(t, tensors.size(), [&](size_t later) { return tensors[later].pieces.data(); });
    const PlannedTensor& tensor = tensors[t];
    line.cells.resize(4);
    line.cells[0] = tensor.key;
    line.cells[1] = dtype_text(plan_, tensor);
    line.cells[1] += ' ';
    append_shape(line.cells[1], tensor.shape);
    line.cells[2] = "← ";
    line.cells[2] += report::origin_of(plan_, tensor).text;
    line.cells[3] = places_[tensor.rule];
    line.group = line.cells[1];
    line.group += line.cells[3];
  }

 private:
  static void append_shape(std::string& text, const Shape& shape) {
    text += '[';
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d > 0) text += ',';
      const fmt::format_int size(shape[d]);
      text.append(size.data(), size.size());
    }
    text += ']';
  }

  const Plan& plan_;
  std::vector<std::string> places_;  // of each rule
};

std::vector<report::Row> tensor_rows(const TensorLines& tensors, bool folded) {
  if (folded) return report::fold(tensors.size(), std::cref(tensors));
  std::vector<Line> lines(tensors.size());
  for (size_t t = 0; t < lines.size(); ++t) tensors(t, lines[t]);
  return report::in_order(std::move(lines));
}

std::string dropped_text(const Plan& plan, const PlanTextOptions& options) {
  if (plan.dropped.empty()) return "";
  std::vector<Line> lines;
  for (const auto& d : plan.dropped) {
    const PlanSource& source = plan.sources[d.source];
    lines.push_back({{(source.name.empty() ? "" : source.name + ":") + (*source.manifest)[d.tensor].key + d.part,
                      d.because, options.stable ? "" : rule_place(plan, d.rule)},
                     {}});
  }
  return "\ndropped:\n" + report::table(arranged(std::move(lines), options.folded),
                                        options.stable ? kUnpadded : std::vector<size_t>{80, 60});
}

std::string rests_text(const Plan& plan, const PlanTextOptions& options) {
  std::string text = plan.rests.empty() ? "" : "\n";
  for (const auto& rest : plan.rests)
    text += printable(fmt::format("for the rest: {} by '{}', {}{}", count_text(rest.n_keys, "key"),
                                  plan.rules[rest.rule].summary, rest.because,
                                  options.stable ? "" : "  " + rule_place(plan, rest.rule))) +
            "\n";
  return text;
}

std::string computed_text(const Plan& plan, const PlanTextOptions& options) {
  std::string text = plan.computed.empty() ? "" : "\n";
  for (const auto& one : plan.computed)
    text += printable(fmt::format("computed: {} by '{}', {}{}", count_text(one.n_keys, "key"), one.summary, one.because,
                                  options.stable ? "" : fmt::format("  {}:{}", one.place.file, one.place.line))) +
            "\n";
  return text;
}

std::string checks_text(const Plan& plan, bool folded) {
  std::vector<Line> lines;
  for (const auto& check : plan.checks)
    lines.push_back({{check.a, check.b,
                      check.same ? (*check.same ? "hold the same values" : "differ")
                                 : "are taken as equal: there is no data to compare"},
                     {}});
  std::string text = lines.empty() ? "" : "\n";
  for (const auto& row : arranged(std::move(lines), folded))
    text += printable(fmt::format("check: '{}' and '{}' {}", row[0], row[1], row[2])) + "\n";
  return text;
}

}  // namespace

std::string beside_text(const Plan& plan) {
  std::string text;
  std::vector<std::string> names;
  for (const auto& [name, value] : plan.metadata) names.push_back(name);
  if (!names.empty()) text += fmt::format("metadata carried over: {}\n", printable(join(names, ", ")));
  for (const auto& line : plan.left_behind) text += fmt::format("left out: {}\n", printable(line));
  return text;
}

std::string summary(const Plan& plan) {
  using report::OriginKind;
  struct Total {
    std::map<OriginKind, size_t> counts;
    size_t n_padded = 0;
    uint64_t bytes = 0;
  } total;
  std::mutex mutex;
  const auto n_tensors = static_cast<int64_t>(plan.tensors.size());
  parallel_for(n_tensors, n_tensors * 100, [&](int64_t begin, int64_t end) {
    Total part;
    for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
      fetch_later(t, plan.tensors.size(), [&](size_t later) { return plan.tensors[later].pieces.data(); });
      ++part.counts[report::kind_of(plan, plan.tensors[t])];
      part.n_padded += !plan.tensors[t].pieces.empty() && !plan.tensors[t].filled.empty();
      part.bytes += static_cast<uint64_t>(data_bytes(plan.tensors[t]));
    }
    const std::lock_guard lock(mutex);
    for (const auto& [kind, count] : part.counts) total.counts[kind] += count;
    total.n_padded += part.n_padded;
    total.bytes += part.bytes;
  });
  static const std::vector<std::pair<OriginKind, const char*>> kNames = {
      {OriginKind::renamed, "renamed"},     {OriginKind::transposed, "transposed"},
      {OriginKind::regrouped, "regrouped"}, {OriginKind::part, "part of a tensor"},
      {OriginKind::joined, "joined"},       {OriginKind::filled, "filled"},
      {OriginKind::computed, "computed"}};
  std::vector<std::string> parts;
  for (const auto& [kind, text] : kNames)
    if (total.counts[kind] > 0)
      parts.push_back(fmt::format("{} {}{}", total.counts[kind], text,
                                  kind == OriginKind::joined && total.n_padded > 0
                                      ? fmt::format(" ({} of them with constants)", total.n_padded)
                                      : ""));
  const auto n_parts = static_cast<size_t>(
      std::count_if(plan.dropped.begin(), plan.dropped.end(), [](const DroppedTensor& d) { return !d.part.empty(); }));
  return fmt::format(
      "{}, {}: {}; {} dropped{}", count_text(plan.tensors.size(), "tensor"), human_bytes(total.bytes),
      join(parts, ", "), plan.dropped.size() - n_parts,
      n_parts == 0 ? ""
                   : fmt::format(", and {} of a tensor", n_parts == 1 ? "a part" : fmt::format("{} parts", n_parts)));
}

std::string render_text(const Plan& plan, const PlanTextOptions& options) {
  std::string text = options.header ? header(plan) : "";
  text += report::table(tensor_rows(TensorLines(plan, !options.stable), options.folded),
                        options.stable ? kUnpadded : std::vector<size_t>{76, 24, 84});
  text += dropped_text(plan, options);
  text += rests_text(plan, options);
  text += computed_text(plan, options);
  text += checks_text(plan, options.folded);
  if (const std::string beside = beside_text(plan); !beside.empty()) text += "\n" + beside;
  if (!plan.open.empty()) text += "\nopen, since a manifest cannot tell:\n";
  for (const auto& open : plan.open) text += fmt::format("  {}\n", open);
  return text + "\n" + summary(plan) + "\n";
}

std::string render_markdown(const Plan& plan) {
  std::string text = fmt::format(
      "**{}**{}\n\n{}\n\n<details><summary>every tensor</summary>\n\n| target | dtype, shape | source | rule "
      "|\n|---|---|---|---|\n",
      plan.family, plan.architecture.empty() ? "" : " gives " + plan.architecture, summary(plan));
  for (const auto& row : tensor_rows(TensorLines(plan, true), true))
    text += fmt::format("| `{}` | {} | `{}` | {} |\n", report::table_cell(row[0]), row[1],
                        report::table_cell(row[2].substr(std::string("← ").size())), row[3]);
  std::vector<Line> dropped;
  for (const auto& d : plan.dropped)
    dropped.push_back(
        {{(*plan.sources[d.source].manifest)[d.tensor].key + d.part, d.because, rule_place(plan, d.rule)}, {}});
  for (const auto& row : report::fold(std::move(dropped)))
    text +=
        fmt::format("| dropped | | `{}`: {} | {} |\n", report::table_cell(row[0]), report::table_cell(row[1]), row[2]);
  text += "\n</details>\n";
  if (const std::string rests = rests_text(plan, {}); !rests.empty()) text += report::table_cell(rests);
  if (const std::string computed = computed_text(plan, {}); !computed.empty()) text += report::table_cell(computed);
  if (const std::string beside = beside_text(plan); !beside.empty()) text += "\n" + report::table_cell(beside);
  return text;
}

std::string render_snapshot(const Plan& plan) {
  std::string text = render_text(plan, {true, true, true});
  text += "\nconfig.json:\n" + json_file_text(plan.config);
  for (const auto& [name, body] : plan.files) text += "\n" + name + ":\n" + json_file_text(body);
  return text;
}

namespace {

Json tensor_json(const Plan& plan, const PlannedTensor& tensor) {
  Json one = {{"key", tensor.key}, {"dtype", name(tensor.dtype)}, {"shape", tensor.shape.list()}};
  if (tensor.fill)
    one["fill"] = *tensor.fill;
  else
    one["pieces"] = Json::array();
  for (const Piece& piece : tensor.pieces) one["pieces"].push_back(report::piece_json(plan, piece));
  for (const FilledPart& part : tensor.filled) one["filled"].push_back(report::filled_json(part));
  one["origin"] = report::origin_of(plan, tensor).text;
  one["rule"] = rule_place(plan, tensor.rule);
  if (is_computed(plan, tensor)) one["computed"] = true;
  if (const std::string why = irreversible_because(plan, tensor); !why.empty()) one["irreversible"] = why;
  return one;
}

// All but the tensors, for which there is an empty list.
Json json_without_tensors(const Plan& plan) {
  Json json = {{"remap_plan", 1}, {"family", plan.family}, {"title", plan.title}, {"architecture", plan.architecture}};
  json["variants"] = Json::object();
  for (const auto& [name, value] : plan.variants) json["variants"][name] = value;
  json["dims"] = Json::object();
  for (const auto& dim : plan.dims)
    append_member(
        json["dims"], dim.name,
        {{"value", dim.value}, {"origin", dim.origin}, {"rule", fmt::format("{}:{}", dim.place.file, dim.place.line)}});
  json["tensors"] = Json::array();
  Json dropped = Json::array();
  for (const auto& d : plan.dropped) {
    dropped.push_back({{"source", plan.sources[d.source].name},
                       {"key", (*plan.sources[d.source].manifest)[d.tensor].key},
                       {"because", d.because},
                       {"rule", rule_place(plan, d.rule)}});
    if (!d.part.empty()) dropped.back()["part"] = d.part, dropped.back()["elements"] = d.elements;
  }
  json["dropped"] = std::move(dropped);
  for (const auto& rest : plan.rests)
    json["rests"].push_back({{"keys", rest.n_keys}, {"because", rest.because}, {"rule", rule_place(plan, rest.rule)}});
  for (const auto& one : plan.computed)
    json["computed"].push_back({{"by", one.summary},
                                {"keys", one.n_keys},
                                {"because", one.because},
                                {"rule", fmt::format("{}:{}", one.place.file, one.place.line)}});
  json["checks"] = Json::array();
  for (const auto& check : plan.checks)
    json["checks"].push_back({{"same", {check.a, check.b}}, {"result", check.same ? Json(*check.same) : Json()}});
  json["config"] = plan.config;
  json["files"] = Json::object();
  for (const auto& [name, body] : plan.files) json["files"][name] = body;
  json["metadata"] = plan.metadata;
  json["left_behind"] = plan.left_behind;
  json["open"] = plan.open;
  json["summary"] = summary(plan);
  return json;
}

}  // namespace

Json render_json(const Plan& plan) {
  Json json = json_without_tensors(plan);
  for (const auto& tensor : plan.tensors) json["tensors"].push_back(tensor_json(plan, tensor));
  return json;
}

std::string render_json_text(const Plan& plan) {
  const Json json = json_without_tensors(plan);
  std::string text = "{";
  for (const auto& [name, value] : json.items()) {
    text += text.size() == 1 ? "\n" : ",\n";
    text += json_line(name) + ": ";
    const bool tensors = name == "tensors";
    const size_t n_lines = tensors ? plan.tensors.size() : value.is_array() ? value.size() : 0;
    if (n_lines == 0) {
      text += json_line(value);
      continue;
    }
    for (size_t i = 0; i < n_lines; ++i) {
      text += i == 0 ? "[\n " : ",\n ";
      text += json_line(tensors ? tensor_json(plan, plan.tensors[i]) : value[i]);
    }
    text += "\n]";
  }
  return text + "\n}\n";
}

std::string sums_text(const Plan& plan, const ParameterSums& sums) {
  std::string text;
  for (size_t s = 0; s < sums.sources.size(); ++s)
    text += fmt::format("{}{:.6g}{}", s == 0 ? "" : " + ", sums.sources[s],
                        plan.sources[s].name.empty() ? "" : " (" + plan.sources[s].name + ")");
  return text;
}

std::string json_file_text(const Json& json) { return report::indented(json) + "\n"; }

}  // namespace remap
