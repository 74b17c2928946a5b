// What `remap diff --format html` says.
#include <fmt/format.h>

#include "remap/html.h"
#include "remap/report.h"
#include "remap/text.h"
#include "report/fold.h"
#include "report/html_page.h"
#include "report/json_text.h"
#include "report/origin.h"

namespace remap {
namespace {

using report::html_text;
using report::Line;

struct Sign {
  const char *mark, *name, *word;  // name: also a class of the page's styles
};
constexpr Sign kRemoved = {"−", "removed", "removed"}, kAdded = {"+", "added", "added"},
               kChanged = {"~", "changed", "made otherwise"};

std::string diff_what(const PlannedTensor& tensor) {
  return fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape));
}
std::string diff_place(const Plan& plan, const PlannedTensor& tensor) {
  const TextPlace& at = plan.rules[tensor.rule].place;
  return fmt::format("{}:{}", at.file, at.line);
}

std::string sign_cell(const Sign& sign) {
  return fmt::format("<td class=\"sign\"><span aria-hidden=\"true\">{}</span><span class=\"sr\">{}</span></td>",
                     sign.mark, sign.word);
}

std::string row_html(const Sign& sign, const std::vector<std::string>& cells, size_t count) {
  std::string html =
      fmt::format("<tr class=\"leaf {}\">{}<th scope=\"row\">{}{}</th>", sign.name, sign_cell(sign),
                  html_text(cells[0]), count > 1 ? fmt::format(" <span class=\"times\">×{}</span>", count) : "");
  for (size_t c = 1; c < cells.size(); ++c) html += "<td>" + html_text(cells[c]) + "</td>";
  return html + "</tr>\n";
}

// The cells: key, what it was, what it is, where it came from, where it comes from, rule.
std::string tensors_table(const PlanDiff& diff, const std::string& caption) {
  std::string html = fmt::format(
      "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table class=\"diff\"><caption>{0}"
      "</caption><thead><tr><th scope=\"col\"><span class=\"sr\">change</span></th><th scope=\"col\">target tensor</th>"
      "<th scope=\"col\">was</th><th scope=\"col\">is</th><th scope=\"col\">came from</th><th scope=\"col\">comes from"
      "</th><th scope=\"col\">rule</th></tr></thead><tbody>\n",
      html_text(caption));
  for (const Sign* sign : {&kRemoved, &kAdded, &kChanged}) {
    std::vector<Line> lines;
    for (const auto& change : diff.tensors) {
      const Sign* of = !change.before ? &kAdded : !change.after ? &kRemoved : &kChanged;
      if (of != sign) continue;
      const auto side = [](const Plan& plan, const PlannedTensor* tensor) {
        return tensor ? report::origin_of(plan, *tensor).text : std::string();
      };
      lines.push_back(
          {{change.key, change.before ? diff_what(*change.before) : "", change.after ? diff_what(*change.after) : "",
            side(*diff.before, change.before), side(*diff.after, change.after),
            change.after ? diff_place(*diff.after, *change.after) : diff_place(*diff.before, *change.before)},
           ""});
      Line& line = lines.back();
      line.group = line.cells[1] + "\n" + line.cells[2] + "\n" + line.cells[5];
    }
    for (const auto& one : report::fold_with_lines(lines.size(), [&](size_t i, Line&line) { line = lines[i]; }))
      html += row_html(*sign, one.row, one.lines.size());
  }
  return html + "</tbody></table></div>\n";
}

std::string drops_and_fields(const PlanDiff& diff) {
  std::string html;
  for (const auto& drop : diff.drops)
    html += fmt::format("<li class=\"leaf {}\">{} <code>{}</code>: {}</li>\n", drop.after ? "removed" : "added",
                        drop.after ? "now dropped:" : "not dropped any more:", html_text(drop.key),
                        html_text((drop.after ? drop.after : drop.before)->because));
  const auto value = [](const std::optional<Json>& json) {
    return json ? html_text(report::one_line(*json)) : std::string("(not there)");
  };
  for (const auto& field : diff.fields)
    html += fmt::format("<li class=\"leaf changed\"><code>{}</code> {}: <del>{}</del> → <ins>{}</ins></li>\n",
                        html_text(field.file), html_text(field.field), value(field.before), value(field.after));
  return html.empty() ? "" : "<ul class=\"lines\">\n" + html + "</ul>\n";
}

}  // namespace

std::string render_html(const std::vector<DiffSection>& sections) {
  size_t n_changed = 0;
  std::string main = "<main>\n";
  for (const DiffSection& section : sections) {
    const bool same = section.diff != nullptr && section.diff->empty();
    n_changed += !same;
    main += fmt::format("<section><h2>{}</h2>\n<p class=\"summary\">{}</p>\n", html_text(section.name),
                        html_text(section.diff == nullptr ? section.refused
                                  : same                  ? "no change: " + summary(*section.diff)
                                                          : summary(*section.diff)));
    if (section.diff != nullptr && !section.diff->tensors.empty())
      main += tensors_table(*section.diff, "target tensors that change: " + section.name);
    if (section.diff != nullptr) main += drops_and_fields(*section.diff);
    main += "</section>\n";
  }
  std::string body =
      report::html_header("What the change of rules does",
                          fmt::format("{} of {} change", n_changed, count_text(sections.size(), "checkpoint")), {});
  body += report::html_tools("changes", false);
  return report::html_page("diff of rules", body + main + "</main>\n");
}

}  // namespace remap
