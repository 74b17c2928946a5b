// What config.json will lack.
#include <algorithm>

#include <fmt/format.h>

#include "lint/linter.h"

namespace remap::linting {

void lint_config(Linter& linter) {
  const lang::RuleSet& set = linter.set;
  const auto gives = [&](const char* name) {
    const auto is_it = [&](const auto& field) { return field.name.empty() || field.name == name; };
    return std::any_of(set.config.begin(), set.config.end(), is_it) ||
           std::any_of(set.defaults.begin(), set.defaults.end(), is_it);
  };
  if (linter.impl.schema || !set.model_type.empty() || gives("model_type")) return;
  const lang::YamlNode* target = linter.root.find("target");
  const bool class_named = set.architecture || gives("architectures");
  linter.diagnostics.warning(
      "lint-model-type", target == nullptr ? set.text->place(1, 1) : lang::place_of(*set.text, *target),
      fmt::format("config.json will not say {}: AutoModel cannot load it, and nothing checks that no tensor is missing",
                  class_named ? "'model_type'" : "'model_type' and 'architectures'"),
      fmt::format("name a target schema, target: {{schema: NAME}}; or say at least target: {{model_type: NAME{}}}",
                  class_named ? "" : ", architecture: CLASS"));
}

}  // namespace remap::linting
