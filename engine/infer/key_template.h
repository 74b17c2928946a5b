// The tensors of both sides by the forms of their keys, so that the work is by forms and not by tensors. Private to
// infer.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "infer/key_form.h"
#include "infer/relation.h"

namespace remap::infer {

struct KeyTemplate {
  KeyForm key;          // numbers that vary are open; there are as many as columns
  std::string text;     // the same with # for open numbers: words are read in it
  std::string ordinal;  // the same, other numbers as their place among siblings: norm0, norm1 are 1 and 2
  std::vector<std::vector<int64_t>> numbers;  // of each tensor, ascending
  std::vector<size_t> tensors;                // in the same order: numbers in Templates::source_refs or target_tensors
  std::vector<Shape> shapes;                  // of these
  size_t columns = 0;
  bool floating = true;
  int64_t ranks = 1;  // files that have it, each with its cut or all alike; shapes are those in one file
  std::vector<std::string> words;
  std::string leaf;  // the last word, in the common vocabulary
  const Shape& shape() const { return shapes.front(); }
  bool is_uniform() const;  // all of one shape
};

struct Templates {
  std::vector<KeyTemplate> source, target;
  // The tensors that take part: all but those that are not read, and what trainers keep.
  std::vector<std::vector<Ref>> source_refs;  // of several files that have a key alike, all
  std::vector<uint32_t> target_tensors;
};
Templates templates_of(const Problem& problem);

// What the whole tensor may look like, the order of its axes aside.
struct ShapeClass {
  bool floating;
  size_t tensors;
  Shape sorted;
  auto operator<=>(const ShapeClass&) const = default;
};
std::set<ShapeClass> shape_classes(const KeyTemplate& one);

// Whether both have the same numbers, or all moved by one offset a column.
enum class Numbers { differ, same, moved };
Numbers compare_numbers(const KeyTemplate& a, const KeyTemplate& b);

// The column whose numbers 0 … n-1 the first axis of the whole has, for each of its other numbers.
std::optional<size_t> stacked_column(const KeyTemplate& part, const KeyTemplate& whole);

// The numbers but for those of one column.
std::vector<std::vector<int64_t>> without_column(std::vector<std::vector<int64_t>> numbers, size_t column);

bool is_same_name(const KeyTemplate& a, const KeyTemplate& b);
// The last word of the key as it is written.
std::string last_segment(const KeyTemplate& one);

}  // namespace remap::infer
