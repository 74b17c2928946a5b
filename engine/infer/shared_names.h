// Names that rules of a file have in common: its maps, its dims, and the numbers under let. Private to infer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

class SharedNames {
 public:
  using Table = std::vector<std::pair<std::string, std::string>>;
  // The map with the variable's values. `near`: the word before it, which may name it.
  std::string table(const Variable& variable, const std::string& near);
  // A dimension by what it is, "width": the same name for the same size.
  std::string dim(const std::string& role, int64_t size);
  // A number of groups, which only the model's configuration explains.
  std::string groups(int64_t count);

  const std::vector<std::pair<std::string, Table>>& tables() const { return tables_; }
  const std::vector<std::pair<std::string, int64_t>>& lets() const { return lets_; }

 private:
  struct Dim {
    std::string name, role;
    int64_t size;
  };
  std::vector<std::pair<std::string, Table>> tables_;
  std::vector<std::pair<std::string, int64_t>> lets_;
  std::vector<Dim> dims_;
};

}  // namespace remap::infer
