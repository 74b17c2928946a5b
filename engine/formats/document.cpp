#include "remap/document.h"

#include "base/mapped_file.h"
#include "formats/json_text.h"
#include "formats/yaml_document.h"
#include "remap/diagnostic.h"

namespace remap {
namespace {

Json lines_of(const std::string& path, const std::string& text) {
  if (!is_utf8(text)) throw Error("document-syntax", BytePlace{path, {}, {}}, "the file is not UTF-8 text");
  Json lines = Json::array();
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const bool carriage_return = end > start && text[end - 1] == '\r';
    lines.push_back(text.substr(start, end - start - (carriage_return ? 1 : 0)));
    start = end + 1;
  }
  return Json{{"lines", std::move(lines)}};
}

}  // namespace

Json read_document(const std::string& path, const std::string& format, const Limits& limits) {
  const std::string text = read_text_file(path, limits.max_index_bytes);
  if (format == "lines") return lines_of(path, text);
  return format == "yaml" ? formats::parse_yaml_document(text, path, limits) : formats::parse_python_json(text, {path});
}

}  // namespace remap
