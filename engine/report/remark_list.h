// What is said of many tensors, in as many lines as a page can show.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace remap::report {

struct TensorRemark {
  std::string key, text;
  double size = 0;  // how large the difference is, where it has a size
};

struct RemarkLine {
  std::string keys, text;
  double size = 0;  // the largest
};
struct RemarkList {
  std::vector<RemarkLine> lines;
  size_t n_left_out = 0;  // tensors that have no line
};

// A line a remark, in their order, if there are at most `most_lines`. Otherwise remarks that differ in nothing but
// numbers are folded where their keys do, and the lines with the largest differences stay.
RemarkList remark_list(const std::vector<TensorRemark>& remarks, size_t most_lines = 1000);

}  // namespace remap::report
