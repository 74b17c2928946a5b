// Whether boxes are the parts of a tensor. Private to the engine.
#pragma once

#include <string>
#include <vector>

#include "remap/source.h"

namespace remap {

// "" if the boxes, which lie inside of the shape, cover every element exactly once; else what is wrong: "they overlap",
// "they leave a part uncovered". `max_work` bounds the time, in corners of boxes: more are refused.
std::string tiling_fault(const std::vector<Box>& boxes, const Shape& shape, uint64_t max_work = uint64_t{1} << 26);

}  // namespace remap
