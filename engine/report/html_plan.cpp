// What `remap plan --format html` says.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/html.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/html_page.h"
#include "report/origin.h"

namespace remap {
namespace {

using report::FoldedRow;
using report::Line;
using report::OriginKind;

enum Cell : size_t { kKey, kDtype, kOrigin, kSources, kSourceDtype, kCells };

struct KindRow {
  OriginKind kind;
  const char* name;  // also a class of the page's styles
  const char* word;
};
const KindRow kKinds[] = {
    {OriginKind::renamed, "renamed", "renamed"},       {OriginKind::transposed, "transposed", "transposed"},
    {OriginKind::regrouped, "regrouped", "regrouped"}, {OriginKind::part, "part", "part of a tensor"},
    {OriginKind::joined, "joined", "joined"},          {OriginKind::filled, "filled", "filled"},
    {OriginKind::computed, "computed", "computed"},
};
const KindRow& kind_row(OriginKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindRow& row) { return row.kind == kind; });
}

std::string place_text(const TextPlace& place) { return fmt::format("{}:{}", place.file, place.line); }

const TensorInfo& info_of(const Plan& plan, const Piece& piece) {
  return (*plan.sources[piece.source].manifest)[piece.tensor];
}

std::string source_key(const Plan& plan, uint32_t source, uint32_t tensor) {
  const PlanSource& of = plan.sources[source];
  return (of.name.empty() ? "" : of.name + ":") + (*of.manifest)[tensor].key;
}

// The keys that a tensor is made of; several as few that say the same, a line each.
std::string sources_text(const Plan& plan, const PlannedTensor& tensor) {
  if (tensor.pieces.size() == 1) return source_key(plan, tensor.pieces[0].source, tensor.pieces[0].tensor);
  std::vector<std::string> keys;
  for (const Piece& piece : tensor.pieces) keys.push_back(source_key(plan, piece.source, piece.tensor));
  return join(report::fold_keys(std::move(keys)), "\n");
}

void plan_line(const Plan& plan, size_t t, Line& line) {
  const PlannedTensor& tensor = plan.tensors[t];
  line.cells.assign(kCells, "");
  line.cells[kKey] = tensor.key;
  line.cells[kDtype] = fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape));
  line.cells[kOrigin] = report::origin_of(plan, tensor).text;
  line.cells[kSources] = sources_text(plan, tensor);
  if (!tensor.pieces.empty()) {
    const TensorInfo& first = info_of(plan, tensor.pieces.front());
    line.cells[kSourceDtype] = dtype_text(first) + " " + shape_text(first);
  }
  line.group = fmt::format("{} {} {}", line.cells[kDtype], line.cells[kSourceDtype], tensor.rule);
}

// A row of the page: the tensors that differ in nothing but numbers.
struct WayRow {
  report::Row cells;
  std::vector<uint32_t> tensors;  // the first is the example
  uint64_t bytes = 0;
  OriginKind kind = OriginKind::renamed;
  std::vector<std::string> sources;
};

std::vector<WayRow> rows_of(const Plan& plan, bool folded) {
  std::vector<FoldedRow> found;
  if (folded) {
    found = report::fold_with_lines(plan.tensors.size(), [&](size_t t, Line& line) { plan_line(plan, t, line); });
  } else {
    for (uint32_t t = 0; t < plan.tensors.size(); ++t) {
      Line line;
      plan_line(plan, t, line);
      found.push_back({std::move(line.cells), {t}});
    }
  }
  std::vector<WayRow> rows;
  for (FoldedRow& one : found) {
    WayRow row;
    row.cells = std::move(one.row);
    row.tensors = std::move(one.lines);
    for (const uint32_t t : row.tensors) row.bytes += static_cast<uint64_t>(data_bytes(plan.tensors[t]));
    row.kind = report::kind_of(plan, plan.tensors[row.tensors.front()]);
    for (size_t begin = 0; begin < row.cells[kSources].size();) {
      const size_t end = std::min(row.cells[kSources].find('\n', begin), row.cells[kSources].size());
      row.sources.push_back(row.cells[kSources].substr(begin, end - begin));
      begin = end + 1;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// What happens between the source tensor and the target tensor, a step each.
Json steps_of(const Plan& plan, const WayRow& row) {
  const PlannedTensor& tensor = plan.tensors[row.tensors.front()];
  Json steps = Json::array();
  const std::string& origin = row.cells[kOrigin];
  if (is_made(tensor)) {
    steps.push_back("a constant: " + origin);
  } else if (tensor.pieces.size() == 1 && tensor.filled.empty()) {
    steps.push_back(row.kind == OriginKind::computed ? "compute " + row.cells[kSources]
                                                     : "read " + row.cells[kSourceDtype]);
    const std::string how = origin.substr(std::min(origin.size(), row.cells[kSources].size()));
    const size_t point = how.find_last_of(']') == std::string::npos ? 0 : how.find_last_of(']') + 1;
    if (point > 0) steps.push_back("take the part " + how.substr(0, point));
    if (how.compare(point, std::string::npos, ".T") == 0)
      steps.push_back("transpose");
    else if (how.compare(point, 8, ".permute") == 0)
      steps.push_back("permute the axes " + how.substr(point + 8));
    else if (row.kind == OriginKind::regrouped)
      steps.push_back("regroup the axes (reshape in another order)");
  } else {
    steps.push_back(
        fmt::format("join {}, the first of {}", count_text(tensor.pieces.size(), "piece"), row.cells[kSourceDtype]));
    for (const FilledPart& part : tensor.filled)
      steps.push_back("with a constant that is not from the source: " + report::filled_text(part));
  }
  if (!tensor.pieces.empty() && info_of(plan, tensor.pieces.front()).dtype != tensor.dtype)
    steps.push_back(fmt::format("cast {} to {}", name(info_of(plan, tensor.pieces.front()).dtype), name(tensor.dtype)));
  steps.push_back("write " + row.cells[kDtype]);
  return steps;
}

// What the script shows of each row.
Json ways_of(const Plan& plan, const std::vector<WayRow>& rows, const ExplainKeys& explain) {
  std::vector<std::string> keys;
  for (const WayRow& row : rows) keys.push_back(plan.tensors[row.tensors.front()].key);
  const std::vector<Explanation> explained = explain ? explain(keys) : std::vector<Explanation>(rows.size());
  Json ways = Json::array();
  for (size_t r = 0; r < rows.size(); ++r) {
    const WayRow& row = rows[r];
    const PlannedTensor& example = plan.tensors[row.tensors.front()];
    const PlanRule& rule = plan.rules[example.rule];
    Json way = {{"to", row.cells[kKey]},
                {"what", row.cells[kDtype]},
                {"from", row.sources},
                {"size", report::counted_tensors(row.tensors.size(), row.bytes)},
                {"kind", kind_row(row.kind).word},
                {"rule", rule.summary},
                {"place", place_text(rule.place)},
                {"steps", steps_of(plan, row)}};
    if (row.tensors.size() > 1) way["example"] = example.key;
    for (const ExplainedRule& one : explained[r].rules) {
      if (one.target != example.key) continue;
      way["captures"] = Json::array();
      for (const auto& [name, value] : one.captures) way["captures"].push_back({name, value});
      way["dims"] = one.dims;
      break;
    }
    if (const std::string why = irreversible_because(plan, example); !why.empty()) way["irreversible"] = why;
    ways.push_back(std::move(way));
  }
  return ways;
}

std::string badge(const KindRow& kind) {
  return fmt::format("<span class=\"badge {}\">{}</span>", kind.name, kind.word);
}

std::string target_tree(const Plan& plan, const std::vector<WayRow>& rows) {
  report::HtmlTree tree;
  for (size_t r = 0; r < rows.size(); ++r) {
    const WayRow& row = rows[r];
    const KindRow& kind = kind_row(row.kind);
    tree.add(row.cells[kKey],
             fmt::format(" <span class=\"what\">{}</span> {}<span class=\"from\">← {} <span class=\"rule\">{}</span>"
                         "</span>",
                         report::html_text(row.cells[kDtype]), badge(kind), report::html_text(row.cells[kOrigin]),
                         report::html_text(place_text(plan.rules[plan.tensors[row.tensors[0]].rule].place))),
             kind.name, fmt::format(" data-ways=\"{}\"", r), row.tensors.size(), row.bytes);
  }
  return tree.html("target tensors", 80);
}

// Source tensors as the rows name them, and those that are dropped.
std::string source_tree(const Plan& plan, const std::vector<WayRow>& rows) {
  struct Used {
    std::string dtype, ways;
    size_t n_ways = 0;
    std::vector<std::pair<uint32_t, uint32_t>> tensors;  // by source and index, each once
  };
  std::map<std::string, Used> used;
  std::vector<std::string> order;
  for (size_t r = 0; r < rows.size(); ++r)
    for (const auto& key : rows[r].sources) {
      const auto [one, fresh] = used.try_emplace(key);
      if (fresh) order.push_back(key);
      Used& of = one->second;
      if (of.n_ways == 0) of.dtype = rows[r].cells[kSourceDtype];
      of.ways += fmt::format("{}{}", of.n_ways++ == 0 ? "" : " ", r);
      if (rows[r].sources.size() > 1) continue;
      for (const uint32_t t : rows[r].tensors)
        for (const Piece& piece : plan.tensors[t].pieces) of.tensors.emplace_back(piece.source, piece.tensor);
    }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return natural_less(a, b); });
  report::HtmlTree tree;
  for (const auto& key : order) {
    Used& of = used[key];
    std::sort(of.tensors.begin(), of.tensors.end());
    of.tensors.erase(std::unique(of.tensors.begin(), of.tensors.end()), of.tensors.end());
    uint64_t bytes = 0;
    for (const auto& [source, tensor] : of.tensors)
      bytes += static_cast<uint64_t>(data_bytes((*plan.sources[source].manifest)[tensor]));
    tree.add(key,
             fmt::format(" <span class=\"what\">{}</span>{}", report::html_text(of.dtype),
                         of.n_ways > 1 ? fmt::format(" <span class=\"sum\">to {} lines</span>", of.n_ways) : ""),
             "used", fmt::format(" data-ways=\"{}\"", of.ways), std::max<size_t>(1, of.tensors.size()), bytes);
  }
  std::vector<Line> lines;
  for (const auto& d : plan.dropped)
    lines.push_back(
        {{source_key(plan, d.source, d.tensor) + d.part, d.because, place_text(plan.rules[d.rule].place)}, {}});
  for (const FoldedRow& one : report::fold_with_lines(lines.size(), [&](size_t i, Line&line) { line = lines[i]; })) {
    uint64_t bytes = 0;
    for (const uint32_t i : one.lines) {
      const DroppedTensor& d = plan.dropped[i];
      const TensorInfo& info = (*plan.sources[d.source].manifest)[d.tensor];
      bytes += static_cast<uint64_t>(d.part.empty() ? data_bytes(info) : d.elements * bits(info.dtype) / 8);
    }
    tree.add(one.row[0],
             fmt::format(" <span class=\"badge dropped\">dropped</span><span class=\"from\">{} <span class=\"rule\">{}"
                         "</span></span>",
                         report::html_text(one.row[1]), report::html_text(one.row[2])),
             "dropped", "", one.lines.size(), bytes);
  }
  return tree.html("source tensors", 80);
}

std::string list(const char* headline, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string html = fmt::format("<section><h2>{}</h2><ul class=\"lines\">\n", headline);
  for (const auto& line : lines) html += fmt::format("<li>{}</li>\n", report::html_text(line));
  return html + "</ul></section>\n";
}

std::string beside(const Plan& plan) {
  std::string html;
  if (!plan.dims.empty()) {
    html +=
        "<section><h2>Dims</h2><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"dims\"><table>"
        "<thead><tr><th scope=\"col\">name</th><th scope=\"col\">size</th><th scope=\"col\">known by</th>"
        "<th scope=\"col\">rule</th></tr></thead><tbody>\n";
    for (const auto& dim : plan.dims)
      html += fmt::format("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
                          report::html_text(dim.name), dim.value, report::html_text(dim.origin),
                          report::html_text(place_text(dim.place)));
    html += "</tbody></table></div></section>\n";
  }
  std::vector<std::string> checks;
  for (const auto& check : plan.checks)
    checks.push_back(fmt::format("'{}' and '{}' {}", check.a, check.b,
                                 !check.same   ? "are taken as equal: there is no data to compare"
                                 : *check.same ? "hold the same values"
                                               : "differ"));
  std::vector<std::string> rests;
  for (const auto& rest : plan.rests)
    rests.push_back(fmt::format("{} by '{}' ({}), {}", count_text(rest.n_keys, "key"), plan.rules[rest.rule].summary,
                                place_text(plan.rules[rest.rule].place), rest.because));
  std::vector<std::string> computed;
  for (const auto& one : plan.computed)
    computed.push_back(fmt::format("{} by '{}' ({}), {}", count_text(one.n_keys, "key"), one.summary,
                                   place_text(one.place), one.because));
  html += list("For the rest", rests) + list("Computed", computed) + list("Checked", checks) +
          list("Open, since a manifest cannot tell", plan.open);
  std::vector<std::string> left;
  for (const auto& [name, value] : plan.metadata) left.push_back("metadata carried over: " + name);
  for (const auto& line : plan.left_behind) left.push_back("left out: " + line);
  html += list("Beside the tensors", left) + "<section><h2>Files</h2><ul class=\"json\">";
  html += report::html_json("config.json", plan.config);
  for (const auto& [name, body] : plan.files) html += report::html_json(name, body);
  return html + "</ul></section>\n";
}

}  // namespace

std::string render_html(const Plan& plan, const ExplainKeys& explain, bool folded) {
  const auto rows = rows_of(plan, folded);
  std::vector<std::pair<std::string, std::string>> facts;
  if (!plan.architecture.empty()) facts.emplace_back("gives", plan.architecture);
  for (const auto& [name, value] : plan.variants) facts.emplace_back(name, value.empty() ? "''" : value);
  std::string source_facts;
  for (const auto& source : plan.sources) {
    uint64_t bytes = 0;
    for (size_t t = 0; t < source.manifest->size(); ++t)
      if (!source.is_computed(t)) bytes += static_cast<uint64_t>(data_bytes((*source.manifest)[t]));
    source_facts +=
        fmt::format("{}{}{}, {}", source_facts.empty() ? "" : "; ", source.name.empty() ? "" : source.name + ": ",
                    source.format, report::counted_tensors(source.manifest->size() - source.computed.size(), bytes));
  }
  uint64_t bytes = 0;
  for (const WayRow& row : rows) bytes += row.bytes;
  std::string body = report::html_header(plan.family, plan.title, facts);
  body += report::html_tools("lines", true);
  body += fmt::format(
      "<main>\n<p class=\"summary\">{}</p>\n<div class=\"columns\">\n<section aria-labelledby=\"source\"><h2 "
      "id=\"source\">Source "
      "<small>{}</small></h2>\n{}</section>\n",
      report::html_text(summary(plan)), report::html_text(source_facts), source_tree(plan, rows));
  body += fmt::format(
      "<section aria-labelledby=\"target\"><h2 id=\"target\">Target <small>{}</small></h2>\n{}"
      "</section>\n</div>\n",
      report::counted_tensors(plan.tensors.size(), bytes), target_tree(plan, rows));
  body += beside(plan);
  body += "</main>\n<aside id=\"way\" aria-live=\"polite\" aria-label=\"the way of a tensor\" hidden></aside>\n";
  return report::html_page("plan: " + plan.family, body, {{"ways", ways_of(plan, rows, explain)}});
}

}  // namespace remap
