#include "plan/planning.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::plan {

bool PlanInput::chose(const std::string& name, const std::string& value) const {
  const auto chosen = options.set.find(name);
  return chosen != options.set.end() && chosen->second == value;
}

bool PlanInput::has_data() const {
  return std::all_of(sources.begin(), sources.end(), [](const NamedSource& s) { return s.source->has_data(); });
}

DType MainDtype::of(const std::vector<PlannedTensor>& tensors) {
  for (; n_seen_ < tensors.size(); ++n_seen_)
    if (const PlannedTensor& tensor = tensors[n_seen_]; is_floating(tensor.dtype))
      bytes_[tensor.dtype] += data_bytes(tensor);
  const auto most =
      std::max_element(bytes_.begin(), bytes_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes_.end() ? DType::f32 : most->first;
}

std::string note_of(const lang::Rule& rule) {
  return fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary);
}

Error too_many_tensors(const PlanInput& input, const lang::Rule& rule) {
  return Error("limit-exceeded", rule.place,
               fmt::format("the plan has more than {} tensors", input.limits.max_tensors));
}

void add_about(const lang::Rule& rule, const Error& error, Diagnostics& diagnostics) {
  Diagnostic d = error.diagnostic();
  if (std::holds_alternative<std::monostate>(d.place)) d.place = rule.place;
  diagnostics.add(std::move(d));
}

}  // namespace remap::plan
