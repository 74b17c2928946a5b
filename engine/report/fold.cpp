#include "report/fold.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace remap::report {
namespace {

constexpr char kNumber = '\x1e', kCell = '\x1f';  // in frames

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Number {
  int64_t value = 0;
  uint8_t digits = 0;
  bool padded = false;  // has leading zeros
};

// A text's numbers; what stands between them is appended to `frame`, with a mark for each number. False if a number is
// too long.
bool take_apart(const std::string& text, std::string& frame, std::vector<Number>& numbers) {
  for (size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      frame += text[i++];
      continue;
    }
    size_t end = i;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end - i > 15) return false;
    Number number{0, static_cast<uint8_t>(end - i), end - i > 1 && text[i] == '0'};
    std::from_chars(text.data() + i, text.data() + end, number.value);
    numbers.push_back(number);
    frame += kNumber;
    i = end;
  }
  return true;
}

// Lines that differ in nothing but numbers.
struct Group {
  std::vector<std::string> frames;  // a cell each
  std::vector<size_t> first;        // a cell each: which of a member's numbers is its first one
  std::vector<size_t> lines;
  std::vector<Number> numbers;  // line after line, cell after cell
  size_t per_line = 0;          // numbers of a line
  const Number& number(size_t member, size_t n) const { return numbers[member * per_line + n]; }
  size_t positions() const { return first.size() > 1 ? first[1] : per_line; }  // numbers in the first cell
};

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

using Members = std::vector<size_t>;  // indices into Group::lines

// The width of a padded number; 0 if none is padded, nullopt if they are of different widths.
std::optional<size_t> padding(const Group& group, const Members& members, size_t n) {
  const size_t digits = group.number(members.front(), n).digits;
  const auto all = [&](auto condition) {
    return std::all_of(members.begin(), members.end(), [&](size_t m) { return condition(group.number(m, n)); });
  };
  if (all([](const Number& number) { return !number.padded; })) return 0;
  return all([&](const Number& number) { return number.digits == digits; }) ? std::optional(digits) : std::nullopt;
}

// Members whose numbers are a full product stay together. The rest are split by one position: the values of it that go
// with the same numbers elsewhere stay together.
void part_into_products(const Group& group, Members members, std::vector<Members>& products) {
  const size_t positions = group.positions();
  // One position alone is a product whatever its values.
  for (size_t p = 0; positions > 1 && p < positions && members.size() > 1; ++p) {
    std::map<int64_t, std::vector<std::vector<int64_t>>> rest_of;  // value -> numbers at the other positions
    for (const size_t m : members) {
      std::vector<int64_t> rest;
      for (size_t q = 0; q < positions; ++q)
        if (q != p) rest.push_back(group.number(m, q).value);
      rest_of[group.number(m, p).value].push_back(std::move(rest));
    }
    std::map<std::vector<std::vector<int64_t>>, std::set<int64_t>> values_with;
    for (auto& [value, rest] : rest_of) {
      std::sort(rest.begin(), rest.end());
      values_with[std::move(rest)].insert(value);
    }
    if (values_with.size() == 1) continue;
    for (const auto& [rest, values] : values_with) {
      Members some;
      for (const size_t m : members)
        if (values.contains(group.number(m, p).value)) some.push_back(m);
      part_into_products(group, std::move(some), products);
    }
    return;
  }
  products.push_back(std::move(members));
}

// The lines of a full product as one line, or nullopt if a later cell does not follow the first.
std::optional<Row> fold_members(const Group& group, const Members& members) {
  const size_t positions = group.positions();
  std::vector<std::set<int64_t>> sets(positions);
  for (size_t p = 0; p < positions; ++p) {
    std::vector<int64_t> values;
    values.reserve(members.size());
    for (const size_t m : members) values.push_back(group.number(m, p).value);
    std::sort(values.begin(), values.end());
    sets[p].insert(values.begin(), values.end());
  }
  size_t product = 1;
  for (const auto& set : sets) product *= set.size();
  if (product != members.size()) return std::nullopt;  // two lines have one key

  Row folded;
  for (size_t c = 0; c < group.frames.size(); ++c) {
    std::string cell;
    size_t n = group.first[c];
    for (const char mark : group.frames[c]) {
      if (mark != kNumber) {
        cell += mark;
        continue;
      }
      const auto number = [&](size_t m) { return group.number(m, n).value; };
      const auto digits = padding(group, members, n);
      if (!digits) return std::nullopt;
      std::optional<std::set<int64_t>> values;
      if (c == 0)
        values = sets[n];
      else if (std::all_of(members.begin(), members.end(),
                           [&](size_t m) { return number(m) == number(members.front()); }))
        values.emplace({number(members.front())});
      // Otherwise the number is that of a position of the first cell, perhaps moved by a constant.
      for (size_t p = 0; p < positions && !values; ++p) {
        const int64_t offset = number(members.front()) - group.number(members.front(), p).value;
        if (!std::all_of(members.begin(), members.end(),
                         [&](size_t m) { return number(m) - group.number(m, p).value == offset; }))
          continue;
        values.emplace();
        for (const int64_t v : sets[p]) values->insert(v + offset);
      }
      if (!values) return std::nullopt;
      cell += set_text(*values, *digits);
      ++n;
    }
    folded.push_back(std::move(cell));
  }
  return folded;
}

// Keys that differ in one segment become one, "a.{b,c}.d"; segments that are sets of numbers already stay as they are.
void fold_segment(std::vector<std::vector<std::string>>& keys, size_t position) {
  constexpr size_t kListed = 6, kShown = 3;
  std::map<std::vector<std::string>, size_t> first;
  std::vector<std::vector<std::string>> words;  // of the key at the same index of `merged`
  std::vector<std::vector<std::string>> merged;
  for (auto& key : keys) {
    const bool open = position < key.size() && key[position].find('{') == std::string::npos;
    const std::string word = open ? key[position] : "";
    if (open) {
      std::vector<std::string> rest = key;
      rest[position] = "{";
      const auto [it, fresh] = first.emplace(std::move(rest), merged.size());
      if (!fresh) {
        words[it->second].push_back(word);
        continue;
      }
    }
    words.push_back({word});
    merged.push_back(std::move(key));
  }
  for (size_t i = 0; i < merged.size(); ++i) {
    const auto& list = words[i];
    if (list.size() < 2) continue;
    const size_t shown = list.size() > kListed ? kShown : list.size();
    std::string& text = merged[i][position] =
        fmt::format("{{{}", fmt::join(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(shown), ","));
    text += list.size() > shown ? fmt::format(",… {} more}}", list.size() - shown) : "}";
  }
  keys = std::move(merged);
}

}  // namespace

std::vector<std::string> fold_keys(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return natural_less(a, b); });
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<Line> lines;
  lines.reserve(keys.size());
  for (auto& key : keys) lines.push_back({{std::move(key)}, ""});
  std::vector<std::vector<std::string>> segments;  // a separator belongs to what is before it
  size_t longest = 0;
  for (const Row& row : fold(std::move(lines))) {
    auto& parts = segments.emplace_back(1);
    for (size_t i = 0; i < row[0].size(); ++i) {
      const char c = row[0][i];
      const bool inside =
          row[0].compare(i, 2, "..") == 0 || (i > 0 && row[0].compare(i - 1, 2, "..") == 0);  // of {0..11}
      if ((c == '.' || c == '/') && !inside) {
        parts.push_back(std::string(1, c));
        parts.emplace_back();
      } else {
        parts.back() += c;
      }
    }
    longest = std::max(longest, parts.size());
  }
  for (size_t p = 0; p < longest && segments.size() > 1; ++p) fold_segment(segments, p);
  std::vector<std::string> folded;
  for (const auto& parts : segments) folded.push_back(join(parts, ""));
  return folded;
}

std::vector<Row> fold(std::vector<Line> lines) {
  std::unordered_map<std::string, Group> groups;
  std::vector<std::pair<size_t, Row>> placed;  // by the line that says where
  std::string signature;
  std::vector<Number> numbers;
  std::vector<size_t> first;
  for (size_t i = 0; i < lines.size(); ++i) {
    signature.clear();
    numbers.clear();
    first.clear();
    bool whole = true;
    for (const auto& cell : lines[i].cells) {
      first.push_back(numbers.size());
      whole &= take_apart(cell, signature, numbers);
      signature += kCell;
    }
    if (!whole) {
      placed.emplace_back(i, lines[i].cells);
      continue;
    }
    signature += lines[i].group;
    Group& group = groups[signature];
    if (group.lines.empty()) {
      group.first = first;
      group.per_line = numbers.size();
      for (size_t begin = 0, c = 0; c < lines[i].cells.size(); ++c) {
        const size_t end = signature.find(kCell, begin);
        group.frames.push_back(signature.substr(begin, end - begin));
        begin = end + 1;
      }
    }
    group.lines.push_back(i);
    group.numbers.insert(group.numbers.end(), numbers.begin(), numbers.end());
  }
  for (const auto& [frame, group] : groups) {
    Members all(group.lines.size());
    std::iota(all.begin(), all.end(), size_t{0});
    std::vector<Members> products;
    part_into_products(group, std::move(all), products);
    for (const auto& members : products) {
      if (auto folded = members.size() > 1 ? fold_members(group, members) : std::nullopt) {
        const auto least = std::min_element(members.begin(), members.end(), [&](size_t a, size_t b) {
          return natural_less(lines[group.lines[a]].cells[0], lines[group.lines[b]].cells[0]);
        });
        placed.emplace_back(group.lines[*least], std::move(*folded));
        continue;
      }
      for (const size_t m : members) placed.emplace_back(group.lines[m], lines[group.lines[m]].cells);
    }
  }
  std::sort(placed.begin(), placed.end(), [&](const auto& a, const auto& b) {
    const std::string &x = lines[a.first].cells[0], &y = lines[b.first].cells[0];
    return x == y ? a.first < b.first : natural_less(x, y);
  });
  std::vector<Row> result;
  for (auto& [order, line] : placed) result.push_back(std::move(line));
  return result;
}

std::vector<Row> in_order(std::vector<Line> lines) {
  std::sort(lines.begin(), lines.end(),
            [](const Line& a, const Line& b) { return natural_less(a.cells[0], b.cells[0]); });
  std::vector<Row> result;
  for (auto& line : lines) result.push_back(std::move(line.cells));
  return result;
}

std::string table(std::vector<Row> lines, const std::vector<size_t>& limits) {
  for (auto& line : lines)
    for (auto& cell : line) cell = printable(cell);
  // Characters, not bytes: arrows and ellipses occur.
  const auto width = [](const std::string& s) {
    return static_cast<size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  };
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
    if (text[at] == '|')
      text.insert(at++, "\\");
    else
      text[at] = ' ';
  }
  return text;
}

}  // namespace remap::report
