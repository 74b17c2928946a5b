#include "remap/diagnostic_pages.h"

#include <string>

#include "report/built_in_pages.h"

namespace remap {

std::string_view diagnostic_page(std::string_view id) {
  const std::string_view pages = report::diagnostics_file().front().text;
  const std::string headline = "\n## " + std::string(id) + "\n";
  const size_t found = pages.find(headline);
  if (found == std::string_view::npos) return "";
  const size_t begin = found + 1, end = pages.find("\n## ", begin);
  return pages.substr(begin, end == std::string_view::npos ? end : end - begin);
}

}  // namespace remap
