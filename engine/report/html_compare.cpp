// What `remap compare --format html` says.
#include <algorithm>

#include <fmt/format.h>

#include "remap/html.h"
#include "report/html_page.h"
#include "report/remark_list.h"

namespace remap {

using report::html_text;

std::string render_html(const ComparisonPage& comparison) {
  const size_t n_differ = comparison.different.size() - comparison.n_not_compared;
  std::string body =
      report::html_header(comparison.different.empty() ? "The two are equal" : "The two differ", "",
                          {{"first", comparison.a}, {"second", comparison.b}, {"compared", comparison.how}});
  const std::string said =
      fmt::format("<p class=\"summary {}\">{} {} equal, {} differ{}</p>\n",
                  comparison.different.empty() ? "good" : "bad", comparison.n_equal, comparison.what, n_differ,
                  comparison.n_not_compared == 0 ? "" : fmt::format(", {} not compared", comparison.n_not_compared));
  if (comparison.different.empty()) return report::html_page("comparison", body + "<main>\n" + said + "</main>\n");
  std::vector<report::TensorRemark> remarks;
  for (const auto& one : comparison.different) remarks.push_back({one.key, one.text, one.max_absolute_diff});
  const auto [lines, n_left_out] = report::remark_list(remarks);
  body += report::html_tools(comparison.what, false);
  body += "<main>\n" + said +
          "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"tensors that differ\"><table><caption>"
          "tensors that differ</caption><thead><tr><th scope=\"col\">tensor</th><th scope=\"col\">how</th><th "
          "scope=\"col\">"
          "largest difference</th></tr></thead><tbody>\n";
  const auto largest =
      std::max_element(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.size < b.size; });
  for (const auto& one : lines)
    body += fmt::format(
        "<tr class=\"leaf\"><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td></tr>\n",
        html_text(one.keys), html_text(one.text),
        one.size == 0 ? "" : fmt::format("{:.3g}{}", one.size, &one == &*largest ? " <strong>largest</strong>" : ""));
  body += "</tbody></table></div>\n" + report::html_left_out(n_left_out, ", which differ less");
  return report::html_page("comparison", body + "</main>\n");
}

}  // namespace remap
