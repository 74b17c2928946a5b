// What `remap compare --format html` says.
#include <algorithm>

#include <fmt/format.h>

#include "remap/html.h"
#include "report/html_page.h"

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
  body += report::html_tools(comparison.what, false);
  body += "<main>\n" + said +
          "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"tensors that differ\"><table><caption>"
          "tensors that differ</caption><thead><tr><th scope=\"col\">tensor</th><th scope=\"col\">how</th><th "
          "scope=\"col\">"
          "largest difference</th></tr></thead><tbody>\n";
  const auto largest =
      std::max_element(comparison.different.begin(), comparison.different.end(),
                       [](const auto& a, const auto& b) { return a.max_absolute_diff < b.max_absolute_diff; });
  for (const auto& one : comparison.different)
    body += fmt::format("<tr class=\"leaf\"><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td></tr>\n",
                        html_text(one.key), html_text(one.text),
                        one.max_absolute_diff == 0 ? ""
                                                   : fmt::format("{:.3g}{}", one.max_absolute_diff,
                                                                 &one == &*largest ? " <strong>largest</strong>" : ""));
  return report::html_page("comparison", body + "</tbody></table></div>\n</main>\n");
}

}  // namespace remap
