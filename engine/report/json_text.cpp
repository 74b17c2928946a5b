#include "report/json_text.h"

#include <cmath>

#include "remap/text.h"

namespace remap::report {
namespace {

// Puts `mark` and Python's word for it in place of every float that is none of JSON's numbers. Returns whether any is.
bool mark_not_finite(Json& json, const std::string& mark) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) {
    const double value = json.get<double>();
    json = mark + (std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
    return true;
  }
  bool any = false;
  if (json.is_structured())
    for (Json& part : json) any |= mark_not_finite(part, mark);
  return any;
}

std::string dumped(const Json& json, int indent) {
  const auto dump = [&](const Json& of) { return of.dump(indent, ' ', false, Json::error_handler_t::replace); };
  std::string text = dump(json);
  if (text.find("null") == std::string::npos) return text;  // which stands for such a float, too
  std::string mark = "float ";
  while (text.find('"' + mark) != std::string::npos) mark += '.';
  Json marked = json;
  if (!mark_not_finite(marked, mark)) return text;
  text = dump(marked);
  std::string shown;
  const std::string begin = '"' + mark;
  size_t done = 0;
  for (size_t at; (at = text.find(begin, done)) != std::string::npos;) {
    const size_t word = at + begin.size(), end = text.find('"', word);
    shown.append(text, done, at - done).append(text, word, end - word);
    done = end + 1;
  }
  return shown.append(text, done);
}

}  // namespace

std::string one_line(const Json& json) { return printable(dumped(json, -1)); }
std::string indented(const Json& json) { return dumped(json, 2); }

}  // namespace remap::report
