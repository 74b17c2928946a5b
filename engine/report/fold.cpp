#include "report/fold.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace remap::report {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Number {
  int64_t value = 0;
  size_t digits = 0;
  bool padded = false;  // has leading zeros
};

// Texts and numbers in turn: texts.size() == numbers.size() + 1.
struct Pieces {
  std::vector<std::string> texts{""};
  std::vector<Number> numbers;
};

// nullopt if a number is too long.
std::optional<Pieces> take_apart(const std::string& text) {
  Pieces pieces;
  for (size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      pieces.texts.back() += text[i++];
      continue;
    }
    size_t end = i;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end - i > 15) return std::nullopt;
    Number number{0, end - i, end - i > 1 && text[i] == '0'};
    std::from_chars(text.data() + i, text.data() + end, number.value);
    pieces.numbers.push_back(number);
    pieces.texts.emplace_back();
    i = end;
  }
  return pieces;
}

// `digits`: how many each has, zeros before it; 0: as many as it needs.
std::string set_text(const std::set<int64_t>& values, size_t digits) {
  const auto number = [&](int64_t value) { return fmt::format("{:0{}}", value, digits); };
  if (values.size() == 1) return number(*values.begin());
  const int64_t first = *values.begin(), last = *values.rbegin(), step = *std::next(values.begin()) - first;
  const bool even = (last - first) == step * static_cast<int64_t>(values.size() - 1) &&
                    std::all_of(values.begin(), values.end(), [&](int64_t v) { return (v - first) % step == 0; });
  if (even && step == 1 && values.size() > 1) return fmt::format("{{{}..{}}}", number(first), number(last));
  if (even && values.size() > 3) return fmt::format("{{{},{}..{}}}", number(first), number(first + step), number(last));
  std::vector<std::string> texts;
  for (const int64_t value : values) texts.push_back(number(value));
  return fmt::format("{{{}}}", fmt::join(texts, ","));
}

// The width of a padded number; 0 if none is padded, nullopt if they are of different widths.
std::optional<size_t> padding(const std::vector<std::vector<Pieces>>& parts, const std::vector<size_t>& members, size_t cell, size_t n) {
  const size_t digits = parts[members.front()][cell].numbers[n].digits;
  const auto all = [&](auto condition) { return std::all_of(members.begin(), members.end(), [&](size_t m) { return condition(parts[m][cell].numbers[n]); }); };
  if (all([](const Number& number) { return !number.padded; })) return 0;
  return all([&](const Number& number) { return number.digits == digits; }) ? std::optional(digits) : std::nullopt;
}

// Members whose numbers are a full product stay together. Others are parted by a position: the values of it that go with the same
// numbers elsewhere stay together.
void part_into_products(const std::vector<std::vector<Pieces>>& parts, std::vector<size_t> members, std::vector<std::vector<size_t>>& products) {
  const size_t positions = parts[members.front()][0].numbers.size();
  for (size_t p = 0; p < positions; ++p) {
    std::map<int64_t, std::vector<std::vector<int64_t>>> rest_of;  // value -> numbers at the other positions
    for (const size_t m : members) {
      std::vector<int64_t> rest;
      for (size_t q = 0; q < positions; ++q)
        if (q != p) rest.push_back(parts[m][0].numbers[q].value);
      rest_of[parts[m][0].numbers[p].value].push_back(std::move(rest));
    }
    std::map<std::vector<std::vector<int64_t>>, std::set<int64_t>> values_with;
    for (auto& [value, rest] : rest_of) {
      std::sort(rest.begin(), rest.end());
      values_with[std::move(rest)].insert(value);
    }
    if (values_with.size() == 1) continue;
    for (const auto& [rest, values] : values_with) {
      std::vector<size_t> some;
      for (const size_t m : members)
        if (values.contains(parts[m][0].numbers[p].value)) some.push_back(m);
      part_into_products(parts, std::move(some), products);
    }
    return;
  }
  products.push_back(std::move(members));
}

// The lines of a full product as one line, or nullopt if a later cell does not follow the first.
std::optional<Row> fold_group(const std::vector<std::vector<Pieces>>& parts, const std::vector<size_t>& members) {
  const auto& first = parts[members.front()];
  const size_t positions = first[0].numbers.size();
  std::vector<std::set<int64_t>> sets(positions);
  std::set<std::vector<int64_t>> distinct;
  for (const size_t m : members) {
    std::vector<int64_t> values;
    for (size_t p = 0; p < positions; ++p) {
      values.push_back(parts[m][0].numbers[p].value);
      sets[p].insert(values.back());
    }
    distinct.insert(std::move(values));
  }
  if (distinct.size() != members.size()) return std::nullopt;

  Row folded;
  for (size_t c = 0; c < first.size(); ++c) {
    std::string cell = first[c].texts[0];
    for (size_t n = 0; n < first[c].numbers.size(); ++n) {
      const auto number = [&](size_t m) { return parts[m][c].numbers[n].value; };
      const auto digits = padding(parts, members, c, n);
      if (!digits) return std::nullopt;
      std::optional<std::set<int64_t>> values;
      if (c == 0) values = sets[n];
      else if (std::all_of(members.begin(), members.end(), [&](size_t m) { return number(m) == number(members.front()); })) values.emplace({number(members.front())});
      // Otherwise the number is that of a position of the first cell, perhaps moved by a constant.
      for (size_t p = 0; p < positions && !values; ++p) {
        const int64_t offset = number(members.front()) - first[0].numbers[p].value;
        if (!std::all_of(members.begin(), members.end(), [&](size_t m) { return number(m) - parts[m][0].numbers[p].value == offset; })) continue;
        values.emplace();
        for (const int64_t v : sets[p]) values->insert(v + offset);
      }
      if (!values) return std::nullopt;
      cell += set_text(*values, *digits);
      cell += first[c].texts[n + 1];
    }
    folded.push_back(std::move(cell));
  }
  return folded;
}

}  // namespace

std::vector<Row> fold(std::vector<Line> lines) {
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return natural_less(a.cells[0], b.cells[0]); });
  std::vector<std::vector<Pieces>> parts(lines.size());
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string signature = lines[i].group;
    for (const auto& cell : lines[i].cells) {
      auto taken = take_apart(cell);
      if (!taken) taken = Pieces{{cell}, {}};
      signature += '\x1f';
      for (const auto& text : taken->texts) signature += text + '\x1e';
      parts[i].push_back(std::move(*taken));
    }
    groups[signature].push_back(i);
  }
  std::vector<std::pair<size_t, Row>> placed;
  for (auto& [signature, group] : groups) {
    std::vector<std::vector<size_t>> products;
    part_into_products(parts, std::move(group), products);
    for (const auto& members : products) {
      if (auto folded = members.size() > 1 ? fold_group(parts, members) : std::nullopt) {
        placed.emplace_back(members.front(), std::move(*folded));
        continue;
      }
      for (const size_t m : members) placed.emplace_back(m, lines[m].cells);
    }
  }
  std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Row> result;
  for (auto& [order, line] : placed) result.push_back(std::move(line));
  return result;
}

std::vector<Row> in_order(std::vector<Line> lines) {
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return natural_less(a.cells[0], b.cells[0]); });
  std::vector<Row> result;
  for (auto& line : lines) result.push_back(std::move(line.cells));
  return result;
}

std::string table(const std::vector<Row>& lines, const std::vector<size_t>& limits) {
  // Characters, not bytes: arrows and ellipses occur.
  const auto width = [](const std::string& s) { return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; })); };
  std::vector<size_t> widths(limits.size(), 0);
  for (const auto& line : lines)
    for (size_t c = 0; c < limits.size() && c < line.size(); ++c)
      if (width(line[c]) <= limits[c]) widths[c] = std::max(widths[c], width(line[c]));
  std::string text;
  for (const auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) {
      text += line[c];
      if (c + 1 == line.size()) break;
      const size_t own = width(line[c]);
      text += std::string((c < widths.size() && own < widths[c] ? widths[c] - own : 0) + 2, ' ');
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    text += "\n";
  }
  return text;
}

std::string table_cell(std::string text) {
  for (size_t at = 0; (at = text.find_first_of("|`\n", at)) != std::string::npos; at += 1) {
    if (text[at] == '|') text.insert(at++, "\\");
    else text[at] = ' ';
  }
  return text;
}

}  // namespace remap::report
