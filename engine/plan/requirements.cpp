#include "plan/requirements.h"

#include <fmt/format.h>

#include "base/text.h"

namespace remap::plan {
namespace {

std::string refusal_hint(const lang::Requirement& requirement, layout::CheckpointScope& scope) {
  std::vector<std::string> ways;
  const auto hint = requirement.hint ? lang::instantiate(*requirement.hint, scope) : std::nullopt;
  if (hint && hint->is_string()) ways.push_back(hint->get<std::string>());
  if (!requirement.waive.empty()) ways.push_back(fmt::format("--set waive={} passes this check", requirement.waive));
  return join(ways, "; ");
}

// Of a comparison that failed: what both sides are.
std::vector<std::string> found_values(const lang::Expression& condition, layout::CheckpointScope& scope) {
  const auto& root = condition.root;
  if (root.kind != lang::NodeKind::binary || (root.text != "==" && root.text != "in")) return {};
  try {
    const Json left = lang::evaluate(condition, root.children[0], scope).json,
               right = lang::evaluate(condition, root.children[1], scope).json;
    return {
        fmt::format("found {} where {}{} was expected", left.dump(), root.text == "in" ? "one of " : "", right.dump())};
  } catch (const Error&) {
    return {};
  }
}

// Throws Error if it cannot be evaluated.
void check(const PlanInput& input, const Choices& choices, const lang::Requirement& requirement,
           layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  if (!lang::evaluate_condition(requirement.condition, scope) && !choices.waived.contains(requirement.waive))
    diagnostics.error("plan-refused", requirement.condition.written.place(),
                      fmt::format("{}: refused, since {}", input.sources.front().source->path(), requirement.because),
                      refusal_hint(requirement, scope), found_values(requirement.condition, scope));
}

}  // namespace

Requirements check_requirements(const PlanInput& input, const Choices& choices, layout::CheckpointScope& scope,
                                Diagnostics& diagnostics) {
  Requirements left;
  for (const auto& requirement : input.rules.require) {
    try {
      check(input, choices, requirement, scope, diagnostics);
    } catch (const Error&) {
      left.push_back(&requirement);
    }
  }
  return left;
}

std::vector<std::string> check_requirements(const PlanInput& input, const Choices& choices, const Requirements& left,
                                            layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  std::vector<std::string> open;
  for (const lang::Requirement* requirement : left) {
    try {
      check(input, choices, *requirement, scope, diagnostics);
    } catch (const Error& e) {
      if (input.stays_open(e))
        open.push_back(fmt::format("required: {}", requirement->condition.text));
      else
        diagnostics.add(e.diagnostic());
    }
  }
  return open;
}

}  // namespace remap::plan
