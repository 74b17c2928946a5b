// A key without its numbers: what is found of one layer is found of all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remap::plan {

struct KeyForm {
  std::string text;  // "layers.#.fc#.weight"
  std::vector<std::string> numbers;

  explicit KeyForm(std::string_view key) {
    for (size_t i = 0; i < key.size();) {
      size_t end = i;
      while (end < key.size() && key[end] >= '0' && key[end] <= '9') ++end;
      if (end > i) numbers.emplace_back(key.substr(i, end - i));
      text += end > i ? '#' : key[end++];
      i = end;
    }
  }
};

constexpr size_t kMaxExplained = 100;  // forms of keys; of further ones is only said that they are wrong

}  // namespace remap::plan
