// The segments of a tensor's key: what stands between its separators.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remap {

inline bool is_separator(char c) { return c == '.' || c == '/'; }

inline std::vector<std::string> segments_of(std::string_view key) {
  std::vector<std::string> segments(1);
  for (const char c : key) {
    if (is_separator(c))
      segments.emplace_back();
    else
      segments.back() += c;
  }
  return segments;
}

}  // namespace remap
