#include "plan/claims.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::plan {
namespace {

std::string range_text(const Claim& claim, int64_t begin, int64_t end) {
  std::string axes;
  for (size_t d = 0; d < claim.axis; ++d) axes += ":, ";
  return fmt::format("'{}[{}{}:{}]'", claim.key->key, axes, begin, end);
}

std::string claim_note(const Claim& claim) {
  return fmt::format("{}: {} is '{}' of {}", to_string(Place(claim.rule->place)),
                     range_text(claim, claim.begin, claim.end), claim.part, claim.rule->summary);
}

// Why a claim does not go with the one before it, which reaches further; "" if it does.
std::string conflict(const Claim& before, const Claim& claim) {
  if (before.whole.dims != claim.whole.dims || before.whole.origin != claim.whole.origin)
    return fmt::format("'{}' is split after different steps", claim.key->key);
  if (before.axis != claim.axis)
    return fmt::format("'{}' is split along axis {} and along axis {}", claim.key->key, before.axis, claim.axis);
  if (claim.begin < before.end)
    return fmt::format("{} is taken twice", range_text(claim, claim.begin, std::min(before.end, claim.end)));
  return "";
}

void report_left(const Claim& claim, int64_t begin, int64_t end, Diagnostics& diagnostics) {
  diagnostics.error("plan-part-left", claim.rule->place,
                    fmt::format("{} is left to another rule ('_'), and none takes it", range_text(claim, begin, end)));
}

void check_tensor(const std::vector<Claim>& claims, Diagnostics& diagnostics) {
  std::vector<const Claim*> taken;
  for (const Claim& claim : claims)
    if (!lang::is_left_part(claim.part) && claim.begin != claim.end) taken.push_back(&claim);
  std::stable_sort(taken.begin(), taken.end(), [](const Claim* a, const Claim* b) { return a->begin < b->begin; });
  const Claim* furthest = nullptr;  // of those before
  for (const Claim* claim : taken) {
    const int64_t end = furthest == nullptr ? 0 : furthest->end;
    const std::string wrong = furthest == nullptr ? "" : conflict(*furthest, *claim);
    if (!wrong.empty())
      diagnostics.error("plan-part-twice", claim->rule->place, wrong, "a part that another rule takes is called '_'",
                        {claim_note(*furthest), claim_note(*claim)});
    else if (claim->begin > end)
      report_left(*claim, end, claim->begin, diagnostics);
    if (furthest == nullptr || claim->end > furthest->end) furthest = claim;
  }
  const Claim& first = claims.front();
  const int64_t extent = first.whole.shape()[first.axis], end = furthest == nullptr ? 0 : furthest->end;
  if (end < extent && (furthest == nullptr || furthest->axis == first.axis))
    report_left(first, end, extent, diagnostics);
}

}  // namespace

void check_claims(const Claims& claims, Diagnostics& diagnostics) {
  for (const auto& [tensor, list] : claims) check_tensor(list, diagnostics);
}

}  // namespace remap::plan
