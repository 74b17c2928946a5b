// Folding: lines that differ in nothing but numbers become one line with sets of numbers, "layer.{0..11}".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace remap::report {

// A table row; lines with equal `group` may fold. `cells` are folded together: a number in a later cell that always
// equals one in the first cell is written as the same set.
struct Line {
  std::vector<std::string> cells;
  std::string group;
};

using Row = std::vector<std::string>;

// In natural order of the first cell.
std::vector<Row> fold(std::vector<Line> lines);
// The same of `n` lines that are too many to keep: line_of(i, line) writes line i over another. It is called from
// several threads, and again for lines that do not fold.
using LineOf = std::function<void(size_t i, Line& line)>;
std::vector<Row> fold(size_t n, const LineOf& line_of);
// The same, with the lines that each row stands for; the first is that which comes first.
struct FoldedRow {
  Row row;
  std::vector<uint32_t> lines;
};
std::vector<FoldedRow> fold_with_lines(size_t n, const LineOf& line_of);
// The same order, a line each.
std::vector<Row> in_order(std::vector<Line> lines);

// Keys, repetitions left out, as few as say the same: "layers.{0..11}.{attn,mlp}.weight". In natural order.
std::vector<std::string> fold_keys(std::vector<std::string> keys);

// Lines as a table: a column is as wide as its widest cell that is not wider than its limit, so that one long key does
// not push everything aside. The last cell needs no limit.
std::string table(std::vector<Row> lines, const std::vector<size_t>& limits);

// Text for a cell of a Markdown table.
std::string table_cell(std::string text);

}  // namespace remap::report
