// Which tensors hold the same elements. First whole tensors, by hashes; then tensors that are parts of others. Which of
// several tensors that hold the same is meant, their keys say: those that count along, or belong to the modules that
// are certain already. Constants come last: they fit anywhere.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "infer/value_search.h"
#include "ops/cast.h"
#include "remap/values.h"

namespace remap::infer {
namespace {

bool any_constant(const ValueSearch& search) {
  const auto is_open_part = [](const auto& s) {
    return !s.used && std::any_of(s.prints.begin(), s.prints.end(), [](const auto& p) { return p.second.constant; });
  };
  return std::any_of(search.sources.begin(), search.sources.end(), is_open_part) ||
         std::any_of(search.targets.begin(), search.targets.end(),
                     [](const auto& t) { return !t.done && t.print.constant; });
}

// The value of all elements; nullopt: a rule cannot fill with it.
std::optional<double> constant_of(const ValueSearch& search, uint32_t t) {
  const TensorInfo& tensor = search.target_info(t);
  if (!search.targets[t].print.constant || tensor.dtype == DType::c64 || tensor.dtype == DType::c128 ||
      element_count(tensor.shape) == 0)
    return std::nullopt;
  double value = 0;
  bool first = true;
  read_in_order(*search.problem.target, t, tensor.dtype, [&](const std::byte* data, int64_t, int64_t) {
    if (first) ops::to_doubles(data, tensor.dtype, 1, &value);
    first = false;
  });
  std::byte encoded[16];
  if (!std::isfinite(value) || !ops::encode_value(value, tensor.dtype, encoded)) return std::nullopt;
  return value;
}

// What two targets that hold the same have in common.
using Content = std::tuple<uint64_t, DType, Shape>;
Content content_of(const ValueSearch& search, uint32_t t) {
  return {search.targets[t].print.ordered, search.target_info(t).dtype, search.target_info(t).shape};
}

// What is left: constants that a rule fills, copies of other targets, and what stays open.
Findings finished(ValueSearch search) {
  Findings& findings = search.findings;
  std::map<Content, uint32_t> made;  // targets that are made of something
  for (uint32_t t = 0; t < search.targets.size(); ++t)
    if (search.targets[t].done && !search.targets[t].left) made.try_emplace(content_of(search, t), t);
  for (uint32_t t = 0; t < search.targets.size(); ++t) {
    if (search.targets[t].left) findings.open_targets.push_back(t);
    if (search.targets[t].done) continue;
    const auto equal = made.find(content_of(search, t));
    if (const auto value = constant_of(search, t))
      findings.fills.push_back({t, *value});
    else if (equal != made.end())
      findings.copies.push_back({t, equal->second});
    else
      findings.open_targets.push_back(t);
  }
  for (const auto& s : search.sources)
    if (!s.used) findings.open_sources.push_back(s.ref);
  return std::move(findings);
}

}  // namespace

Findings find_by_values(const Problem& problem) {
  ValueSearch search(problem);
  match_whole(search);
  leave_shared_bytes(search);
  match_rearranged(search, false);
  match_parts(search, false);
  if (any_constant(search)) match_parts(search, true);
  match_neighbours(search);
  match_siblings(search);
  decide_constants(search);
  match_suggested(search);
  match_rearranged(search, true);
  return finished(std::move(search));
}

}  // namespace remap::infer
