#include "infer/yaml_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::infer {

std::string quoted(const std::string& text) {
  const bool plain = !text.empty() &&
                     std::all_of(text.begin(), text.end(),
                                 [](char c) {
                                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                          c == '_' || c == '.' || c == '/' || c == '-' || c == '*' || c == '+';
                                 }) &&
                     text[0] != '*' && text[0] != '-' && text[0] != '.' && text[0] != '+' &&
                     text.find("**") == std::string::npos;
  const bool word = text == "true" || text == "false" || text == "null" || text == "yes" || text == "no" ||
                    text == "on" || text == "off" || text == "~";
  if (plain && !word) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string list_of(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}
std::string list_of(const std::vector<std::string>& texts) { return "[" + join(texts, ", ") + "]"; }

}  // namespace remap::infer
