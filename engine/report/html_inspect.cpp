// What `remap inspect --format html` says.
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/html.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/html_page.h"
#include "report/html_treemap.h"
#include "report/structure.h"

namespace remap {

using report::html_text;
using report::Line;

std::string render_html(const Source& source) {
  const Manifest& manifest = source.manifest();
  // Tied tensors are there once, as far as bytes go.
  std::vector<uint64_t> bytes(manifest.size());
  std::vector<report::Weighted> weighted;
  std::set<std::string> aliases;
  uint64_t total = 0;
  size_t unread = 0;
  for (size_t t = 0; t < manifest.size(); ++t) {
    unread += manifest[t].unread != nullptr;
    if (manifest[t].alias.empty() || aliases.insert(manifest[t].alias).second)
      bytes[t] = static_cast<uint64_t>(data_bytes(manifest[t]));
    total += bytes[t];
    weighted.push_back({manifest[t].key, bytes[t]});
  }
  report::HtmlTree tree;
  const auto line_of = [&](size_t t, Line& line) {
    const TensorInfo& tensor = manifest[t];
    line.cells = {tensor.key, dtype_text(tensor), shape_text(tensor),
                  tensor.unread == nullptr ? "" : "not read: " + tensor.unread->why};
    line.group = line.cells[1] + line.cells[2] + line.cells[3];
  };
  for (const auto& one : report::fold_with_lines(manifest.size(), line_of)) {
    uint64_t of = 0;
    for (const uint32_t t : one.lines) of += bytes[t];
    tree.add(
        one.row[0],
        fmt::format(" <span class=\"what\">{} {}</span> <span class=\"sum\">{}</span>{}", html_text(one.row[1]),
                    html_text(one.row[2]), human_bytes(of),
                    one.row[3].empty() ? "" : " <span class=\"badge dropped\">" + html_text(one.row[3]) + "</span>"),
        one.row[3].empty() ? "used" : "dropped", "", one.lines.size(), of);
  }
  std::vector<std::pair<std::string, std::string>> facts = {{"format", std::string(source.format())},
                                                            {"tensors", std::to_string(manifest.size())},
                                                            {"bytes", human_bytes(total)}};
  const report::Structure structure = report::structure_of(source);
  if (structure.step) facts.emplace_back("step", std::to_string(*structure.step));
  if (unread > 0) facts.emplace_back("not read", std::to_string(unread));
  std::string body = report::html_header(source.path(), "", facts);
  body += report::html_tools("lines", true);
  body += "<main>\n";
  if (const auto map =
          report::html_treemap(weighted, "the tensors by the bytes they take; the tree below says the same");
      !map.empty())
    body += "<section><h2>By bytes</h2>\n" + map + "</section>\n";
  body += "<section><h2>Tensors</h2>\n" + tree.html("tensors", 60) + "</section>\n";
  if (!structure.files.empty()) {
    body += "<section><h2>Files</h2><ul class=\"lines\">\n";
    for (const auto& file : structure.files)
      body +=
          fmt::format("<li>{} <span class=\"what\">{} tensors, {} in part</span> <span class=\"sum\">{}</span></li>\n",
                      html_text(file.file), file.n_tensors, file.n_partly, human_bytes(file.bytes));
    body += "</ul></section>\n";
  }
  auto remarks = source.remarks();
  for (const auto& notice : source.notices()) remarks.push_back(notice.message);
  if (!remarks.empty()) {
    body += "<section><h2>Remarks</h2><ul class=\"lines\">\n";
    for (const auto& remark : remarks) body += fmt::format("<li>{}</li>\n", html_text(remark));
    body += "</ul></section>\n";
  }
  if (!source.metadata().empty())
    body += "<section><h2>Metadata</h2><ul class=\"json\">" + report::html_json("metadata", source.metadata()) +
            "</ul></section>\n";
  return report::html_page("inspect: " + source.path(), body + "</main>\n");
}

}  // namespace remap
