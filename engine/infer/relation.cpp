#include "infer/relation.h"

#include <set>

#include "infer/key_text.h"

namespace remap::infer {

std::optional<Problem::Files> files_of(const Source& source) {
  Problem::Files files;
  std::set<std::string> numbers;
  std::optional<InFile> first;
  for (const auto& tensor : source.manifest().tensors()) {
    const auto one = in_file(tensor.key);
    if (!one || (first && (one->before != first->before || one->after != first->after))) return std::nullopt;
    if (!first) first = one;
    numbers.insert(one->number);
    size_t zeros = 0;
    while (zeros + 1 < one->number.size() && one->number[zeros] == '0') ++zeros;
    files.keys.push_back(one->number.substr(zeros) + "/" + one->key);
  }
  if (numbers.size() < 2) return std::nullopt;
  files.pattern = first->before + "{rank}" + first->after;
  return files;
}

std::string root_of(const Problem& problem, const Findings& findings, uint32_t source) {
  if (problem.files[source]) return "";
  std::set<uint32_t> open;
  for (const Ref ref : findings.open_sources)
    if (ref.source == source) open.insert(ref.tensor);
  std::optional<std::string> common;
  const Manifest& manifest = problem.sources[source].source->manifest();
  for (uint32_t t = 0; t < manifest.size(); ++t) {
    if (open.contains(t)) continue;
    const std::string parent = parent_of(manifest[t].key);
    if (!common) common = parent;
    while (!common->empty() &&
           !(parent.starts_with(*common) && (parent.size() == common->size() || is_separator(parent[common->size()]))))
      common = parent_of(*common);
  }
  std::string root = common.value_or("");
  // Numbered parts belong to the rules.
  while (!root.empty() && root.find_first_of("0123456789*{}\\\"") != std::string::npos) root = parent_of(root);
  // "layers", below which all is numbered, says more in the rules than as a root.
  const auto counts = [&](uint32_t t) {
    const std::string& key = manifest[t].key;
    return !open.contains(t) && is_digit(key[root.size() + 1]);
  };
  for (uint32_t t = 0; !root.empty() && t < manifest.size(); ++t)
    if (counts(t)) root = parent_of(root);
  return root;
}

bool is_below_root(const Problem& problem, const Roots& roots, Ref ref) {
  const std::string &root = roots[ref.source], &key = problem.key(ref);
  return root.empty() || (key.size() > root.size() + 1 && key.starts_with(root) && is_separator(key[root.size()]));
}

std::string key_below_root(const Problem& problem, const Roots& roots, Ref ref) {
  const std::string &key = problem.key(ref), &root = roots[ref.source];
  return root.empty() ? key : key.substr(root.size() + 1);
}

}  // namespace remap::infer
