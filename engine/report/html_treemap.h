// Keys as a map: a rectangle each, as large as what it stands for, inside that of its branch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace remap::report {

struct Weighted {
  std::string key;
  uint64_t bytes = 0;
};
// An <svg>. What would be too small to see is not drawn by itself: its branch is. "" if there are no bytes.
std::string html_treemap(const std::vector<Weighted>& tensors, const std::string& label);

}  // namespace remap::report
