#include "report/remark_list.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "report/fold.h"

namespace remap::report {
namespace {

// The text with '#' for each number.
std::string without_numbers(const std::string& text) {
  std::string kind;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_digit(text[i])) {
      kind += text[i];
      continue;
    }
    kind += '#';
    while (i + 1 < text.size() &&
           (is_digit(text[i + 1]) || std::string_view(".e+-").find(text[i + 1]) != std::string::npos))
      ++i;
  }
  return kind;
}

RemarkLine folded_line(const std::vector<TensorRemark>& remarks, const FoldedRow& folded) {
  const auto& lines = folded.lines;
  const uint32_t largest = *std::max_element(lines.begin(), lines.end(),
                                             [&](uint32_t a, uint32_t b) { return remarks[a].size < remarks[b].size; });
  const TensorRemark& shown = remarks[largest];
  if (lines.size() == 1) return {shown.key, shown.text, shown.size};
  const bool same = std::all_of(lines.begin(), lines.end(), [&](uint32_t i) { return remarks[i].text == shown.text; });
  return {folded.row.front(),
          fmt::format("{} tensors{} {}", lines.size(),
                      same             ? ":"
                      : shown.size > 0 ? "; the largest:"
                                       : ", such as:",
                      shown.text),
          shown.size};
}

}  // namespace

RemarkList remark_list(const std::vector<TensorRemark>& remarks, size_t most_lines) {
  RemarkList list;
  if (remarks.size() <= most_lines) {
    for (const auto& [key, text, size] : remarks) list.lines.push_back({key, text, size});
    return list;
  }
  std::vector<FoldedRow> rows = fold_with_lines(remarks.size(), [&](size_t i, Line& line) {
    line = {{remarks[i].key}, without_numbers(remarks[i].text)};
  });
  std::vector<std::pair<RemarkLine, size_t>> all;  // with how many tensors it stands for
  for (const FoldedRow& row : rows) all.emplace_back(folded_line(remarks, row), row.lines.size());
  if (all.size() > most_lines) {
    std::vector<double> sizes;
    for (const auto& [line, n] : all) sizes.push_back(line.size);
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(most_lines), sizes.end(),
                     std::greater<>());
    const double enough = sizes[most_lines];
    // Those above it first, then as many equal to it as there is room for, all in their order.
    size_t room = most_lines - static_cast<size_t>(std::count_if(
                                   all.begin(), all.end(), [&](const auto& one) { return one.first.size > enough; }));
    std::erase_if(all, [&](const auto& one) {
      if (one.first.size > enough || (one.first.size == enough && room > 0 && room--)) return false;
      list.n_left_out += one.second;
      return true;
    });
  }
  for (auto& [line, n] : all) list.lines.push_back(std::move(line));
  return list;
}

}  // namespace remap::report
