// A table of 'maps' in which two entries have each other's value.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "lang/pattern.h"

namespace remap::test {

inline lang::Table exchanged(const lang::Table& table, size_t a, size_t b) {
  std::vector<std::pair<std::string, std::string>> entries(table.begin(), table.end());
  std::swap(entries.at(a).second, entries.at(b).second);
  lang::Table other;
  for (const auto& [key, value] : entries) other.add(key, value);
  return other;
}

}  // namespace remap::test
