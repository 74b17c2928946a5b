#include "cli/line_diff.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace cli {
namespace {

constexpr size_t kMaxCells = 25'000'000;
constexpr size_t kContext = 2;

struct Edit {
  char sign;  // '-', '+', or ' ' for a line that stays
  const std::string* line;
};

// nullopt if the texts are too large to compare, unless what differs may then be taken for one change.
std::optional<std::vector<Edit>> edits(const Lines& before, const Lines& after, bool may_be_one_change = false) {
  size_t front = 0, back = 0;
  while (front < before.size() && front < after.size() && before[front] == after[front]) ++front;
  while (back < before.size() - front && back < after.size() - front &&
         before[before.size() - 1 - back] == after[after.size() - 1 - back])
    ++back;
  const size_t n = before.size() - front - back, m = after.size() - front - back;
  const bool is_large = n * m > kMaxCells;
  if (is_large && !may_be_one_change) return std::nullopt;
  std::vector<std::vector<uint32_t>> common(is_large ? 0 : n + 1, std::vector<uint32_t>(m + 1));
  for (size_t i = is_large ? 0 : n; i-- > 0;)
    for (size_t j = m; j-- > 0;)
      common[i][j] = before[front + i] == after[front + j] ? common[i + 1][j + 1] + 1
                                                           : std::max(common[i + 1][j], common[i][j + 1]);
  std::vector<Edit> all;
  for (size_t i = 0; i < front; ++i) all.push_back({' ', &before[i]});
  for (size_t i = 0, j = 0; i < n || j < m;) {
    if (!is_large && i < n && j < m && before[front + i] == after[front + j])
      all.push_back({' ', &before[front + i++]}), ++j;
    else if (i < n && (is_large || j == m || common[i + 1][j] >= common[i][j + 1]))
      all.push_back({'-', &before[front + i++]});
    else
      all.push_back({'+', &after[front + j++]});
  }
  for (size_t i = before.size() - back; i < before.size(); ++i) all.push_back({' ', &before[i]});
  return all;
}

}  // namespace

Lines lines_of(const std::string& text) {
  Lines lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

Lines changes(const Lines& before, const Lines& after) {
  const auto all = edits(before, after);
  if (!all) return {fmt::format("  {} lines became {}", before.size(), after.size())};
  Lines changed;
  for (const auto& [sign, line] : *all)
    if (sign != ' ') changed.push_back(std::string(1, sign) + " " + *line);
  return changed;
}

namespace {

Lines hunks(const std::vector<Edit>& all) {
  Lines lines;
  size_t old_line = 1, new_line = 1;  // of the next edit
  for (size_t at = 0; at < all.size();) {
    // A hunk ends where more lines stay than the context of two changes.
    size_t first = at;
    while (first < all.size() && all[first].sign == ' ') ++first;
    if (first == all.size()) break;
    size_t last = first;
    for (size_t i = first; i < all.size() && i <= last + 2 * kContext + 1; ++i)
      if (all[i].sign != ' ') last = i;
    const size_t begin = std::max(at, first - std::min(first, kContext)),
                 end = std::min(all.size(), last + kContext + 1);
    old_line += begin - at;
    new_line += begin - at;
    size_t n_old = 0, n_new = 0;
    for (size_t i = begin; i < end; ++i) n_old += all[i].sign != '+', n_new += all[i].sign != '-';
    lines.push_back(fmt::format("@@ -{},{} +{},{} @@", old_line, n_old, new_line, n_new));
    for (size_t i = begin; i < end; ++i) lines.push_back(all[i].sign + *all[i].line);
    old_line += n_old;
    new_line += n_new;
    at = end;
  }
  return lines;
}

// The last line says that no line end follows it.
Lines lines_for_patch(const std::string& text) {
  Lines lines = lines_of(text);
  if (!lines.empty() && !text.ends_with('\n')) lines.back() += "\n\\ No newline at end of file";
  return lines;
}

}  // namespace

Lines unified_changes(const Lines& before, const Lines& after) {
  const auto all = edits(before, after);
  return all ? hunks(*all) : Lines{fmt::format("{} lines became {}", before.size(), after.size())};
}

std::string patch(const std::string& file, const std::string& before, const std::string& after) {
  if (before == after) return "";
  const Lines old_lines = lines_for_patch(before), new_lines = lines_for_patch(after);
  std::string text = fmt::format("--- {0}\n+++ {0}\n", file);
  for (const auto& line : hunks(*edits(old_lines, new_lines, true))) text += line + "\n";
  return text;
}

}  // namespace cli
