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

#include "base/parallel_for.h"
#include "base/text.h"

namespace remap::report {
namespace {

constexpr char kNumber = '\x1e', kCell = '\x1f';  // in frames

struct Number {
  uint64_t value : 50 = 0;
  uint64_t digits : 5 = 0;
  uint64_t padded : 1 = 0;  // has leading zeros
  bool operator==(const Number&) const = default;
};
constexpr size_t kMostDigits = 15;

// A text's numbers; what stands between them is appended to `frame`, with a mark for each number. False if a number is
// too long.
bool take_apart(std::string_view text, std::string& frame, std::vector<Number>& numbers) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && !is_digit(text[end])) ++end;
    frame.append(text, i, end - i);
    i = end;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end == i) break;
    if (end - i > kMostDigits) return false;
    uint64_t value = 0;
    std::from_chars(text.data() + i, text.data() + end, value);
    Number number;
    number.value = value;
    number.digits = end - i;
    number.padded = end - i > 1 && text[i] == '0';
    numbers.push_back(number);
    frame += kNumber;
    i = end;
  }
  return true;
}

// One number of every line of a group; kept once as long as all have the same.
class Column {
 public:
  void add(Number number, size_t n_before) {
    if (n_before == 0) first_ = number;
    if (all_.empty() && number == first_) return;
    if (all_.empty()) all_.assign(n_before, first_);
    all_.push_back(number);
  }
  void append(const Column& other, size_t n_before, size_t n) {
    if (all_.empty() && other.all_.empty() && first_ == other.first_) return;
    for (size_t i = 0; i < n; ++i) add(other[i], n_before + i);
  }
  const Number& operator[](size_t member) const { return all_.empty() ? first_ : all_[member]; }

 private:
  Number first_;
  std::vector<Number> all_;
};

// Lines that differ in nothing but numbers.
struct Group {
  std::vector<std::string> frames;  // a cell each
  std::vector<size_t> first;        // a cell each: which of a member's numbers is its first one
  std::vector<uint32_t> lines;
  std::vector<Column> columns;  // of a member's numbers, cell after cell

  const Number& number(size_t member, size_t n) const { return columns[n][member]; }
  int64_t value(size_t member, size_t n) const { return static_cast<int64_t>(columns[n][member].value); }
  size_t positions() const { return first.size() > 1 ? first[1] : columns.size(); }  // numbers in the first cell
  void append(const Group& other) {
    for (size_t n = 0; n < columns.size(); ++n) columns[n].append(other.columns[n], lines.size(), other.lines.size());
    lines.insert(lines.end(), other.lines.begin(), other.lines.end());
  }
};

using Values = std::vector<int64_t>;  // sorted, each once
using Members = std::vector<size_t>;  // indices into Group::lines

void sort_once(Values& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

Values values_at(const Group& group, const Members& members, size_t position) {
  Values values;
  values.reserve(members.size());
  for (const size_t m : members) values.push_back(group.value(m, position));
  sort_once(values);
  return values;
}

// `digits`: how many each has, zeros before it; 0: as many as it needs.
std::string set_text(const Values& values, size_t digits) {
  const auto number = [&](int64_t value) { return fmt::format("{:0{}}", value, digits); };
  if (values.size() == 1) return number(values.front());
  const int64_t first = values.front(), last = values.back(), step = values[1] - first;
  const bool even = (last - first) == step * static_cast<int64_t>(values.size() - 1) &&
                    std::all_of(values.begin(), values.end(), [&](int64_t v) { return (v - first) % step == 0; });
  if (even && step == 1) return fmt::format("{{{}..{}}}", number(first), number(last));
  if (even && values.size() > 3) return fmt::format("{{{},{}..{}}}", number(first), number(first + step), number(last));
  std::vector<std::string> texts;
  for (const int64_t value : values) texts.push_back(number(value));
  return fmt::format("{{{}}}", fmt::join(texts, ","));
}

// The width of a padded number; 0 if none is padded, nullopt if they are of different widths.
std::optional<size_t> padding(const Group& group, const Members& members, size_t n) {
  const size_t digits = group.number(members.front(), n).digits;
  const auto all = [&](auto condition) {
    return std::all_of(members.begin(), members.end(), [&](size_t m) { return condition(group.number(m, n)); });
  };
  if (all([](const Number& number) { return !number.padded; })) return 0;
  return all([&](const Number& number) { return number.digits == digits; }) ? std::optional(digits) : std::nullopt;
}

// Whether the numbers are every combination of those that each position has, once.
bool is_full_product(const Group& group, const Members& members) {
  std::vector<Values> values;
  size_t product = 1;
  for (size_t p = 0; p < group.positions(); ++p) {
    values.push_back(values_at(group, members, p));
    product *= values.back().size();
    if (product > members.size()) return false;
  }
  if (product != members.size()) return false;
  std::vector<bool> seen(product);
  for (const size_t m : members) {
    size_t place = 0;
    for (size_t p = 0; p < values.size(); ++p) {
      const auto at = std::lower_bound(values[p].begin(), values[p].end(), group.value(m, p));
      place = place * values[p].size() + static_cast<size_t>(at - values[p].begin());
    }
    if (seen[place]) return false;
    seen[place] = true;
  }
  return true;
}

// Members whose numbers are a full product stay together. The rest are split by one position: the values of it that go
// with the same numbers elsewhere stay together.
void part_into_products(const Group& group, Members members, std::vector<Members>& products) {
  const size_t positions = group.positions();
  // One position alone is a product whatever its values.
  if (positions <= 1 || is_full_product(group, members)) return products.push_back(std::move(members));
  for (size_t p = 0; p < positions && members.size() > 1; ++p) {
    std::map<int64_t, std::vector<std::vector<int64_t>>> rest_of;  // value -> numbers at the other positions
    for (const size_t m : members) {
      std::vector<int64_t> rest;
      for (size_t q = 0; q < positions; ++q)
        if (q != p) rest.push_back(group.value(m, q));
      rest_of[group.value(m, p)].push_back(std::move(rest));
    }
    std::map<std::vector<std::vector<int64_t>>, std::set<int64_t>> values_with;
    for (auto& [value, rest] : rest_of) {
      std::sort(rest.begin(), rest.end());
      values_with[std::move(rest)].insert(value);
    }
    if (values_with.size() == 1) continue;
    std::map<int64_t, size_t> part_of;
    size_t n_parts = 0;
    for (const auto& [rest, values] : values_with) {
      for (const int64_t value : values) part_of[value] = n_parts;
      ++n_parts;
    }
    std::vector<Members> parts(n_parts);
    for (const size_t m : members) parts[part_of.at(group.value(m, p))].push_back(m);
    for (Members& part : parts) part_into_products(group, std::move(part), products);
    return;
  }
  products.push_back(std::move(members));
}

// The lines of a full product as one line, or nullopt if a later cell does not follow the first.
std::optional<Row> fold_members(const Group& group, const Members& members) {
  const size_t positions = group.positions();
  std::vector<Values> sets(positions);
  size_t product = 1;
  for (size_t p = 0; p < positions; ++p) product *= (sets[p] = values_at(group, members, p)).size();
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
      const auto number = [&](size_t m) { return group.value(m, n); };
      const auto digits = padding(group, members, n);
      if (!digits) return std::nullopt;
      std::optional<Values> values;
      if (c == 0)
        values = sets[n];
      else if (std::all_of(members.begin(), members.end(),
                           [&](size_t m) { return number(m) == number(members.front()); }))
        values = Values{number(members.front())};
      // Otherwise the number is that of a position of the first cell, perhaps moved by a constant.
      for (size_t p = 0; p < positions && !values; ++p) {
        const int64_t offset = number(members.front()) - group.value(members.front(), p);
        if (!std::all_of(members.begin(), members.end(),
                         [&](size_t m) { return number(m) - group.value(m, p) == offset; }))
          continue;
        values = sets[p];
        for (int64_t& v : *values) v += offset;
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

namespace {

// The lines begin … end in their groups.
class Grouping {
 public:
  void add(size_t i, const Line& line) {
    signature_.clear();
    numbers_.clear();
    first_.clear();
    bool whole = true;
    for (const auto& cell : line.cells) {
      first_.push_back(numbers_.size());
      whole &= take_apart(cell, signature_, numbers_);
      signature_ += kCell;
    }
    if (!whole) return alone.push_back(i);
    signature_ += line.group;
    Group& group = groups[signature_];
    if (group.lines.empty()) begin_group(group, line.cells.size());
    for (size_t n = 0; n < numbers_.size(); ++n) group.columns[n].add(numbers_[n], group.lines.size());
    group.lines.push_back(static_cast<uint32_t>(i));
  }
  // Of lines behind its own.
  void append(const Grouping& other) {
    for (const auto& [signature, theirs] : other.groups) {
      const auto [ours, fresh] = groups.try_emplace(signature, theirs);
      if (!fresh) ours->second.append(theirs);
    }
    alone.insert(alone.end(), other.alone.begin(), other.alone.end());
  }

  std::unordered_map<std::string, Group> groups;
  std::vector<size_t> alone;  // lines with a number that is too long

 private:
  void begin_group(Group& group, size_t n_cells) {
    group.first = first_;
    group.columns.resize(numbers_.size());
    for (size_t begin = 0, c = 0; c < n_cells; ++c) {
      const size_t end = signature_.find(kCell, begin);
      group.frames.push_back(signature_.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  std::string signature_;
  std::vector<Number> numbers_;
  std::vector<size_t> first_;
};

Grouping grouped(size_t n, const LineOf& line_of) {
  constexpr int64_t kParts = 64, kWorkOfLine = 500;  // in parallel_for's unit
  Grouping all;
  if (n == 0) return all;
  const auto n_lines = static_cast<int64_t>(n), n_parts = std::min(kParts, n_lines);
  std::vector<Grouping> parts(static_cast<size_t>(n_parts));
  parallel_for(n_parts, n_lines * kWorkOfLine, [&](int64_t begin, int64_t end) {
    Line line;
    Grouping& part = parts[static_cast<size_t>(begin)];  // one a thread
    for (int64_t i = n_lines * begin / n_parts; i < n_lines * end / n_parts; ++i) {
      line_of(static_cast<size_t>(i), line);
      part.add(static_cast<size_t>(i), line);
    }
  });
  for (const Grouping& part : parts) all.append(part);
  return all;
}

// The member whose first cell comes first in natural order: that with the least numbers.
size_t first_of(const Group& group, const Members& members, const LineOf& line_of) {
  const auto cell = [&](size_t m) {
    Line line;
    line_of(group.lines[m], line);
    return line.cells.front();
  };
  return *std::min_element(members.begin(), members.end(), [&](size_t a, size_t b) {
    for (size_t p = 0; p < group.positions(); ++p)
      if (group.value(a, p) != group.value(b, p)) return group.value(a, p) < group.value(b, p);
    return natural_less(cell(a), cell(b));
  });
}

}  // namespace

std::vector<FoldedRow> fold_with_lines(size_t n, const LineOf& line_of) {
  struct Placed {
    std::string cell;  // the first of the first line, which says where it comes
    FoldedRow folded;
  };
  std::vector<Placed> placed;
  const auto place = [&](size_t i, std::optional<Row> row, std::vector<uint32_t> lines) {
    Line line;
    line_of(i, line);
    std::string cell = line.cells.front();
    placed.push_back({std::move(cell), {row ? std::move(*row) : std::move(line.cells), std::move(lines)}});
  };
  const auto place_alone = [&](size_t i) { place(i, std::nullopt, {static_cast<uint32_t>(i)}); };
  const Grouping grouping = grouped(n, line_of);
  for (const size_t i : grouping.alone) place_alone(i);
  for (const auto& [signature, group] : grouping.groups) {
    Members all(group.lines.size());
    std::iota(all.begin(), all.end(), size_t{0});
    std::vector<Members> products;
    part_into_products(group, std::move(all), products);
    for (const auto& members : products) {
      auto folded = members.size() > 1 ? fold_members(group, members) : std::nullopt;
      if (!folded) {
        for (const size_t m : members) place_alone(group.lines[m]);
        continue;
      }
      const size_t first = group.lines[first_of(group, members, line_of)];
      std::vector<uint32_t> lines = {static_cast<uint32_t>(first)};
      for (const size_t m : members)
        if (group.lines[m] != first) lines.push_back(group.lines[m]);
      place(first, std::move(folded), std::move(lines));
    }
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return a.cell == b.cell ? a.folded.lines.front() < b.folded.lines.front() : natural_less(a.cell, b.cell);
  });
  std::vector<FoldedRow> result;
  for (Placed& one : placed) result.push_back(std::move(one.folded));
  return result;
}

std::vector<Row> fold(size_t n, const LineOf& line_of) {
  std::vector<Row> rows;
  for (FoldedRow& one : fold_with_lines(n, line_of)) rows.push_back(std::move(one.row));
  return rows;
}

std::vector<Row> fold(std::vector<Line> lines) {
  return fold(lines.size(), [&](size_t i, Line& line) { line = lines[i]; });
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
  std::vector<size_t> widths(limits.size(), 0);
  for (const auto& line : lines)
    for (size_t c = 0; c < limits.size() && c < line.size(); ++c)
      if (utf8_length(line[c]) <= limits[c]) widths[c] = std::max(widths[c], utf8_length(line[c]));
  std::string text;
  for (const auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) {
      text += line[c];
      if (c + 1 == line.size()) break;
      const size_t own = utf8_length(line[c]);
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
