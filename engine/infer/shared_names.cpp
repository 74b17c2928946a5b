#include "infer/shared_names.h"

#include <algorithm>

#include <fmt/format.h>

#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

bool is_named(const TableName& row, const std::string& word) {
  return std::any_of(row.spellings.begin(), row.spellings.end(), [&](const std::string& spelling) {
    return row.within ? word.find(spelling) != std::string::npos : word == spelling;
  });
}

// By what stands in it, or else by what stands near it.
std::string name_of(const Variable& variable, const std::string& near) {
  for (const auto& row : table_names())
    if (std::any_of(variable.values.begin(), variable.values.end(),
                    [&](const auto& value) { return is_named(row, value.first) || is_named(row, value.second); }))
      return row.name;
  std::string name;
  for (const char c : near)
    if ((c >= 'a' && c <= 'z') || c == '_') name += c;
  while (name.ends_with('_')) name.pop_back();
  while (name.starts_with('_')) name.erase(0, 1);
  return name.empty() ? "names" : name;
}

}  // namespace

std::string SharedNames::table(const Variable& variable, const std::string& near) {
  for (const auto& [name, values] : tables_)
    if (values == variable.values) return name;
  const std::string name = name_of(variable, near);
  std::string unique = name;
  const auto is_taken = [&](const auto& table) { return table.first == unique; };
  for (int i = 2; std::any_of(tables_.begin(), tables_.end(), is_taken); ++i) unique = name + std::to_string(i);
  tables_.emplace_back(unique, variable.values);
  return unique;
}

std::string SharedNames::dim(const std::string& role, int64_t size) {
  for (const auto& known : dims_)
    if (known.size == size && known.role == role) return known.name;
  std::string name = role;
  const auto is_taken = [&](const Dim& known) { return known.name == name; };
  for (int i = 2; std::any_of(dims_.begin(), dims_.end(), is_taken); ++i) name = fmt::format("{}_{}", role, i);
  dims_.push_back({name, role, size});
  return name;
}

std::string SharedNames::groups(int64_t count) {
  for (const auto& [name, value] : lets_)
    if (value == count) return name;
  lets_.emplace_back(lets_.empty() ? "heads" : fmt::format("heads_{}", lets_.size() + 1), count);
  return lets_.back().first;
}

}  // namespace remap::infer
