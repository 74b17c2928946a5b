// Walks over everything of one kind that a rule file holds.
#pragma once

#include <functional>

#include "lang/rules.h"

namespace remap::lang {

// Every expression of the file, in the order of its sections.
void visit_expressions(const RuleSet& set, const std::function<void(const Expression&)>& visitor);
// Every pattern of the file, those inside expressions among them.
void visit_patterns(const RuleSet& set, const std::function<void(const KeyPattern&)>& visitor);

}  // namespace remap::lang
