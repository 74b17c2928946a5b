#include "plan/choose_variants.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace remap::plan {
namespace {

class Choosing {
 public:
  Choosing(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics)
      : input_(input), scope_(scope), diagnostics_(diagnostics) {}

  Choices run(const std::optional<std::string>& root) {
    choose_dtype();
    refuse_unknown_choices();
    for (const auto& variant : input_.rules.variants) choose_variant(variant);
    note_choices(root);
    choices_.waived = waived();
    if (!diagnostics_.has_errors()) name_texts();
    choices_.texts = scope_.variants;
    return std::move(choices_);
  }

 private:
  const std::string* chosen(const std::string& name) const {
    const auto it = input_.options.set.find(name);
    return it == input_.options.set.end() ? nullptr : &it->second;
  }

  void choose_dtype() {
    choices_.dtype = input_.rules.dtype;
    const std::string* text = chosen("dtype");
    if (text == nullptr) return;
    choices_.dtype = parse_dtype(*text);
    if (*text != "keep" && (!choices_.dtype || !is_floating(*choices_.dtype)))
      diagnostics_.error("plan-unknown-variant", {}, fmt::format("--set dtype={}: not a floating-point dtype", *text),
                         did_you_mean(*text, {"keep", "float32", "float16", "bfloat16", "float64"},
                                      "keep, float32, float16, bfloat16 or float64"));
  }

  void refuse_unknown_choices() {
    std::vector<std::string> names;
    for (const auto& choice : lang::choice_table())
      if (choice.applies(input_.rules)) names.emplace_back(choice.name);
    for (const auto& variant : input_.rules.variants) names.push_back(variant.name);
    for (const auto& [name, value] : input_.options.set)
      if (std::find(names.begin(), names.end(), name) == names.end())
        diagnostics_.error("plan-unknown-variant", {},
                           fmt::format("--set {}={}: the rules have no variant '{}'", name, value, name),
                           did_you_mean(name, names, fmt::format("they have: {}", join(names, ", "))));
  }

  void choose_variant(const lang::Variant& variant) {
    try {
      const std::string* text = chosen(variant.name);
      const std::optional<Json> value = text != nullptr ? Json(*text) : detected(variant);
      if (!value) return;
      if (!value->is_string())
        throw Error("expression-value", variant.detect->written.place(),
                    fmt::format("variant '{}' is {}; a string was expected", variant.name, value->dump()));
      if (variant.values) check_allowed(variant, *value);
      scope_.variants[variant.name] = value->get<std::string>();
      choices_.variants.emplace_back(variant.name, value->get<std::string>());
    } catch (const Error& e) {
      // What is detected from a variant that is still open cannot be known: the question about that one is enough.
      if (e.diagnostic().id != "expression-missing" || !diagnostics_.has_errors()) diagnostics_.add(e.diagnostic());
    }
  }

  // nullopt, and reported, if the checkpoint does not tell.
  std::optional<Json> detected(const lang::Variant& variant) {
    if (lang::evaluate(*variant.detect, scope_).state != lang::Value::State::omit)
      return lang::evaluate_present(*variant.detect, scope_);
    const std::string values = variant.values ? ": " + lang::evaluate_present(*variant.values, scope_).dump() : "";
    diagnostics_.error("plan-variant-open", variant.place,
                       fmt::format("cannot tell '{}' from the checkpoint{}{}", variant.name,
                                   variant.doc.empty() ? "" : ": ", variant.doc),
                       fmt::format("say --set {}=…{}", variant.name, values));
    return std::nullopt;
  }

  void check_allowed(const lang::Variant& variant, const Json& value) {
    const Json allowed = lang::evaluate_present(*variant.values, scope_);
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
    std::vector<std::string> names;
    for (const Json& one : allowed)
      if (one.is_string()) names.push_back(one.get<std::string>());
    const std::string meant = did_you_mean(value.get<std::string>(), names);
    diagnostics_.error("plan-unknown-variant", variant.place,
                       fmt::format("'{}' cannot be \"{}\" for this checkpoint", variant.name, value.get<std::string>()),
                       fmt::format("{}{}it can be: {}", meant, meant.empty() ? "" : " ", allowed.dump()));
  }

  // What the user chose beside the variants, and a root that is not the rules' own, are part of what the plan says of
  // itself.
  void note_choices(const std::optional<std::string>& root) {
    for (const auto& choice : lang::choice_table()) {
      const std::string* text = chosen(std::string(choice.name));
      if (choice.name == "root" && root) choices_.variants.emplace_back("root", *root);
      if (choice.name == "dtype" || choice.name == "root" || text == nullptr || !choice.applies(input_.rules)) continue;
      if (!choice.values.empty() && std::find(choice.values.begin(), choice.values.end(), *text) == choice.values.end())
        diagnostics_.error("plan-unknown-variant", {},
                           fmt::format("--set {}={}: it cannot be that", choice.name, *text),
                           fmt::format("it can be: {}", fmt::join(choice.values, ", ")));
      choices_.variants.emplace_back(choice.name, *text);
    }
  }

  // The names in --set waive=A,B.
  std::set<std::string> waived() {
    std::set<std::string> names;
    const std::string* given = chosen("waive");
    const std::string text = given == nullptr ? "" : *given + ",";
    for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
      end = text.find(',', at);
      if (end > at) names.insert(text.substr(at, end - at));
    }
    std::vector<std::string> known;
    for (const auto& requirement : input_.rules.require)
      if (!requirement.waive.empty()) known.push_back(requirement.waive);
    for (const auto& name : names)
      if (std::find(known.begin(), known.end(), name) == known.end())
        diagnostics_.error("plan-unknown-variant", {}, fmt::format("--set waive={}: no check has this name", name),
                           fmt::format("there are: {}", join(known, ", ")));
    return names;
  }

  // Entries of 'let' that patterns use as ${name}.
  void name_texts() {
    std::set<std::string> used;
    const auto note = [&](const lang::KeyPattern& pattern) {
      for (const auto& token : pattern.tokens)
        if (token.kind == lang::PatternToken::Kind::variant) used.insert(token.text);
    };
    for (const lang::Rule& rule : input_.rules.rules) {
      note(rule.from);
      note(rule.to);
      note(rule.copy_of);
      for (const auto& pattern : rule.except) note(pattern);
      if (rule.equal_to) note(*rule.equal_to);
    }
    for (const auto& [name, expression] : input_.rules.let) {
      if (!used.contains(name)) continue;
      try {
        const Json value = lang::evaluate_present(expression, scope_);
        if (!value.is_string())
          throw Error("expression-value", expression.written.place(),
                      fmt::format("'{}' is {}; a pattern that says ${{{}}} needs a string", name, value.dump(), name));
        scope_.variants[name] = value.get<std::string>();
      } catch (const Error& e) {
        diagnostics_.add(e.diagnostic());
      }
    }
  }

  const PlanInput& input_;
  layout::CheckpointScope& scope_;
  Diagnostics& diagnostics_;
  Choices choices_;
};

}  // namespace

Choices choose_variants(const PlanInput& input, const std::optional<std::string>& root, layout::CheckpointScope& scope,
                        Diagnostics& diagnostics) {
  return Choosing(input, scope, diagnostics).run(root);
}

ActiveRules active_rules(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  ActiveRules active(input.rules.rules.size(), false);
  for (size_t r = 0; r < active.size(); ++r) {
    const auto& when = input.rules.rules[r].when;
    try {
      active[r] = !when || lang::evaluate_condition(*when, scope);
    } catch (const Error& e) {
      diagnostics.add(e.diagnostic());
    }
  }
  return active;
}

}  // namespace remap::plan
