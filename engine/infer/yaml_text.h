// Texts and lists as YAML has them in one line. Private to infer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace remap::infer {

std::string quoted(const std::string& text);  // with quotes only where they are needed
std::string list_of(const std::vector<int64_t>& numbers);
std::string list_of(const std::vector<std::string>& texts);  // as they are

}  // namespace remap::infer
