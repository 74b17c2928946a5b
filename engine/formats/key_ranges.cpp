#include "formats/key_ranges.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace remap::formats {
namespace {

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr int64_t kLargest = 1'000'000'000'000;
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kLargest) return std::nullopt;
  return value;
}

// "0..11", "1,3", "1,3..11", "00..11": what stands between the braces. Empty: none of these.
std::vector<int64_t> parse_set(std::string_view text, uint64_t max_values) {
  std::vector<int64_t> values;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t dots = part.find("..");
    const auto first = parse_number(part.substr(0, dots));
    if (!first) return {};
    if (dots == std::string_view::npos) {
      values.push_back(*first);
    } else {
      const auto last = parse_number(part.substr(dots + 2));
      const int64_t step = values.empty() ? 1 : *first - values.back();
      if (!last || values.size() > 1 || comma != std::string_view::npos || step < 1 || *last < *first) return {};
      if (static_cast<uint64_t>((*last - *first) / step) >= max_values) return {};
      for (int64_t v = *first; v <= *last; v += step) values.push_back(v);
    }
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::optional<std::vector<std::string>> expand_ranges(const std::string& key, uint64_t max_keys, std::string& problem) {
  std::vector<std::string> keys = {""};
  for (size_t at = 0; at < key.size();) {
    const size_t open = key.find('{', at);
    for (auto& made : keys) made.append(key, at, open == std::string::npos ? open : open - at);
    if (open == std::string::npos) break;
    const size_t close = key.find('}', open);
    const auto values = close == std::string::npos
                            ? std::vector<int64_t>{}
                            : parse_set(std::string_view(key).substr(open + 1, close - open - 1), max_keys);
    if (values.empty()) {
      problem = fmt::format("'{}' is not a set of numbers such as {{0..11}} or {{1,3}}",
                            key.substr(open, close == std::string::npos ? close : close + 1 - open));
      return std::nullopt;
    }
    if (values.size() > max_keys / keys.size()) {
      problem = fmt::format("it stands for more than {} tensors", max_keys);
      return std::nullopt;
    }
    // "00" says that all have two digits.
    const size_t digits = key.find_first_not_of("0123456789", open + 1) - open - 1,
                 width = digits > 1 && key[open + 1] == '0' ? digits : 0;
    std::vector<std::string> longer;
    longer.reserve(keys.size() * values.size());
    const size_t next = std::min(key.find('{', close), key.size());  // for which there is room already
    for (const auto& made : keys)
      for (const int64_t value : values) {
        const fmt::format_int number(value);
        std::string& one = longer.emplace_back();
        one.reserve(made.size() + std::max(width, number.size()) + next - close - 1);
        one.append(made).append(width - std::min(width, number.size()), '0').append(number.data(), number.size());
      }
    keys = std::move(longer);
    at = close + 1;
  }
  return keys;
}

}  // namespace remap::formats
