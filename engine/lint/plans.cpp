// What the planner refuses, found before anybody converts: the cases are planned, and its findings passed on.
#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "lint/linter.h"

namespace remap::linting {
namespace {

// What makes two findings of different cases one: a place in the rules says all; elsewhere the message has to be the
// same.
std::tuple<std::string, std::string, std::string> identity(const Diagnostic& d) {
  const bool in_rules = std::holds_alternative<TextPlace>(d.place);
  return {d.id, in_rules ? to_string(d.place) : "", in_rules ? "" : d.message};
}

Diagnostics plan(const Rules& rules, const LintCase& one) {
  Diagnostics found;
  try {
    make_plan(rules, one.sources, one.options, found);
  } catch (const Error& e) {
    found.add(e.diagnostic());
    found.sort();
  }
  return found;
}

// The first case that has a finding shows all it has of it; further ones only count.
struct Seen {
  size_t first = 0, cases = 1;
  std::vector<Diagnostic> findings;
};

}  // namespace

void lint_plans(Linter& linter) {
  const Rules rules = Rules::of(std::shared_ptr<const Rules::Impl>(&linter.impl, [](const auto*) {}));
  const auto& cases = linter.options.cases;
  std::map<std::tuple<std::string, std::string, std::string>, Seen> seen;
  for (size_t i = 0; i < cases.size(); ++i) {
    std::set<std::tuple<std::string, std::string, std::string>> here;
    const Diagnostics found = plan(rules, cases[i]);
    for (const Diagnostic& d : found.items()) {
      const auto [it, fresh] = seen.try_emplace(identity(d));
      if (fresh) it->second.first = i;
      if (it->second.first == i)
        it->second.findings.push_back(d);
      else if (here.insert(it->first).second)
        ++it->second.cases;
    }
  }
  for (auto& [id, one] : seen)
    for (Diagnostic& d : one.findings) {
      const std::string more = one.cases == 1 ? "" : fmt::format(", and in {} more", one.cases - 1);
      const bool is_said = more.empty() && std::holds_alternative<BytePlace>(d.place);
      if (cases.size() > 1 && !is_said && !cases[one.first].sources.empty()) {
        d.notes.push_back(fmt::format("found in {}{}", cases[one.first].sources.front().source->path(), more));
      }
      linter.diagnostics.add(std::move(d));
    }
}

}  // namespace remap::linting
