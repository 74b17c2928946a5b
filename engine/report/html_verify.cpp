// What `remap verify --format html` says.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/html.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/html_page.h"
#include "report/remark_list.h"

namespace remap {
namespace {

using report::html_text;

std::string short_number(double value) { return value == 0 ? "0" : fmt::format("{:.2g}", value); }

// 0: nothing differs; then a step a power of ten, from 1e-9 and less to 1 and more.
int heat(double difference) {
  if (difference == 0) return 0;
  if (!std::isfinite(difference)) return 9;
  return std::clamp(static_cast<int>(std::floor(std::log10(difference))) + 10, 1, 9);
}

// "decoder.3.attention" is the part "decoder.*.attention" of layer 3; a name without a number is a part of no layer.
struct NamePlace {
  std::string part;
  std::string layer;  // digits, or ""
};
NamePlace place_of(const std::string& name) {
  const auto begin = std::find_if(name.begin(), name.end(), is_digit);
  const auto end = std::find_if_not(begin, name.end(), is_digit);
  if (begin == name.end()) return {name, ""};
  return {std::string(name.begin(), begin) + "*" + std::string(end, name.end()), std::string(begin, end)};
}

std::string cell_html(const VerifyReport& report, size_t l) {
  const LayerDifference& layer = report.layers[l];
  const bool first = report.first_divergence == l;
  return fmt::format("<td class=\"heat{}{}{}\"{}>{}{}<span class=\"sr\"> {}, mean {}, shape {}</span></td>",
                     heat(layer.max_absolute_diff), layer.agrees ? "" : " differs", first ? " first" : "",
                     first ? " id=\"divergence\"" : "", layer.agrees ? "" : "<span aria-hidden=\"true\">≠ </span>",
                     short_number(layer.max_absolute_diff),
                     first          ? "the two diverge here first"
                     : layer.agrees ? "agrees"
                                    : "differs",
                     short_number(layer.mean_absolute_diff), html_text(to_string(layer.shape)));
}

// Layers down, their parts across.
std::string heat_map(const VerifyReport& report) {
  std::vector<std::string> parts, layers;
  std::map<std::pair<std::string, std::string>, size_t> at;  // by layer and part
  for (size_t l = 0; l < report.layers.size(); ++l) {
    const auto [part, layer] = place_of(report.layers[l].name);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    if (std::find(layers.begin(), layers.end(), layer) == layers.end()) layers.push_back(layer);
    at.emplace(std::pair(layer, part), l);
  }
  std::stable_sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return !a.empty() && (b.empty() || natural_less(a, b));  // what belongs to no layer comes last
  });
  std::string html =
      "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"differences by layer and part\"><table "
      "class=\"heat\"><caption>largest absolute difference of each recorded value</caption><thead><tr><th "
      "scope=\"col\">layer</th>";
  for (const auto& part : parts) html += fmt::format("<th scope=\"col\">{}</th>", html_text(part));
  html += "</tr></thead><tbody>\n";
  for (const auto& layer : layers) {
    html +=
        fmt::format("<tr class=\"leaf\"><th scope=\"row\">{}</th>", layer.empty() ? "whole model" : html_text(layer));
    for (const auto& part : parts) {
      const auto found = at.find({layer, part});
      html += found == at.end() ? "<td class=\"none\"></td>" : cell_html(report, found->second);
    }
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n<p class=\"scale\">scale:";
  const char* steps[] = {"0", "≤ 1e-8", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "0.01", "≥ 0.1"};
  for (int h = 0; h < 10; ++h) html += fmt::format(" <span class=\"heat{}\">{}</span>", h, steps[h]);
  return html + "</p>\n";
}

std::string keys_html(const VerifyReport& report, VouchedBy by, const char* headline) {
  std::vector<std::string> keys;
  for (const auto& tensor : report.tensors)
    if (tensor.by == by) keys.push_back(tensor.key);
  if (keys.empty()) return "";
  std::string html = fmt::format("<details><summary>{} <span class=\"sum\">{}</span></summary><ul class=\"lines\">\n",
                                 headline, keys.size());
  for (const auto& key : report::fold_keys(std::move(keys)))
    html += fmt::format("<li class=\"leaf\"><code>{}</code></li>\n", html_text(key));
  return html + "</ul></details>\n";
}

std::string accounts(const VerifyReport& report) {
  std::string html = "<section><h2>What vouches for each tensor</h2>\n";
  std::vector<report::TensorRemark> faults;
  for (const auto& tensor : report.tensors)
    if (!tensor.fault.empty()) faults.push_back({tensor.key, tensor.fault});
  if (!faults.empty()) {
    const auto [lines, n_left_out] = report::remark_list(faults);
    html += "<h3>Wrong</h3><ul class=\"lines\">\n";
    for (const auto& line : lines)
      html += fmt::format("<li class=\"leaf removed\"><code>{}</code>: {}</li>\n", html_text(line.keys),
                          html_text(line.text));
    html += "</ul>\n" + report::html_left_out(n_left_out);
  }
  html += keys_html(report, VouchedBy::forward_and_bytes, "the forward pass and their bytes");
  html += keys_html(report, VouchedBy::bytes,
                    report.all_layers ? "their bytes alone: no forward pass reads them"
                                      : "their bytes alone: not read by the layers compared");
  html += keys_html(report, VouchedBy::none, "nothing");
  for (const auto& [key, first] : report.duplicates)
    html += fmt::format("<p>the same part of the source twice: <code>{}</code> = <code>{}</code></p>\n", html_text(key),
                        html_text(first));
  if (report.sums)
    html += fmt::format("<p>sum of parameters: source {:.9g}, target {:.9g}{}</p>\n", report.sums->source,
                        report.sums->target, report.sums->agree ? "" : ": <strong>they differ</strong>");
  return html + "</section>\n";
}

}  // namespace

std::string render_html(const VerifyReport& report) {
  std::string body = report::html_header(report.family, report.architecture,
                                         {{"source as", report.source_library},
                                          {"target as", report.target_library},
                                          {"samples", std::to_string(report.n_samples)}});
  std::string said =
      fmt::format("<p class=\"summary {}\"><strong>{}</strong>; the largest absolute difference is {}</p>\n",
                  report.passed ? "good" : "bad", report.passed ? "the two agree" : "the two do not agree",
                  short_number(report.max_absolute_diff));
  if (report.first_divergence)
    said += fmt::format("<p class=\"summary bad\">first divergence: <a href=\"#divergence\">{}</a>{}</p>\n",
                        html_text(report.layers[*report.first_divergence].name),
                        report.cause.empty() ? "" : "; likely cause: " + html_text(report.cause));
  else if (!report.cause.empty())
    said += fmt::format("<p class=\"summary bad\">likely cause: {}</p>\n", html_text(report.cause));
  body += report::html_tools("lines", false);
  body +=
      "<main>\n" + said + "<section><h2>Layer by layer</h2>\n" + heat_map(report) + "</section>\n" + accounts(report);
  return report::html_page("verify: " + report.family, body + "</main>\n");
}

}  // namespace remap
