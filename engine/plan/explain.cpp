#include "remap/explain.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "lang/hole_scope.h"
#include "plan/compute_keys.h"
#include "plan/load_rules.h"
#include "plan/near_miss.h"
#include "plan/roots.h"

namespace remap {
namespace plan {
namespace {

using lang::ExpressionNode;
using lang::NodeKind;
using lang::Rule;

constexpr size_t kMaxRules = 3, kMaxNear = 5;

class Explainer {
 public:
  Explainer(const lang::RuleSet& set, const std::vector<NamedSource>& sources, const PlanOptions& options,
            const Plan* plan)
      : set_(set),
        plan_(plan),
        rooted_(keys_below_root(set, sources, options, ignored_)),
        computed_(compute_keys(set, sources, rooted_.keys, ignored_)),
        sources_(computed_.sources),
        keys_(rooted_.keys),
        scope_(set, keys_, sources_, options) {
    for (const auto& variant : set.variants) {
      const auto chosen = options.set.find(variant.name);
      if (chosen != options.set.end())
        scope_.variants[variant.name] = chosen->second;
      else if (variant.detect)
        note_text(variant.name, *variant.detect);
    }
    for (const auto& [name, expression] : set.let) note_text(name, expression);
  }

  Explanation run(const std::string& key) {
    result_ = {};
    result_.key = key;
    if (plan_ != nullptr) explain_target(key);
    for (uint32_t s = 0; s < sources_.size(); ++s)
      for (const layout::SourceKey& found : keys_.keys(s))
        if (found.key == key || original(found) == key) explain_source(found);
    for (const Operand& operand : computed_.operands)
      if (operand.key == key || operand.file_key == key) explain_source(*keys_.find(operand.source, operand.of));
    if (!result_.is_source && !result_.is_target) explain_unknown(key);
    return std::move(result_);
  }

 private:
  // What patterns may name as ${name}; what cannot be evaluated, or is not a text, they cannot.
  void note_text(const std::string& name, const lang::Expression& expression) {
    try {
      const lang::Value value = lang::evaluate(expression, scope_);
      if (value.state == lang::Value::State::present && value.json.is_string())
        scope_.variants[name] = value.json.get<std::string>();
    } catch (const Error&) {
    }
  }
  const TensorInfo& info(const layout::SourceKey& key) const {
    return sources_[key.source].source->manifest()[key.tensor];
  }
  const std::string& original(const layout::SourceKey& key) const { return info(key).key; }
  bool is_active(const Rule& rule) {
    try {
      return !rule.when || lang::evaluate_condition(*rule.when, scope_);
    } catch (const Error&) {
      return false;
    }
  }

  bool holds(const Rule& rule, const lang::Captures& captures) {
    lang::HoleScope holes(captures, &scope_);
    try {
      return !rule.where || lang::evaluate_condition(*rule.where, holes);
    } catch (const Error&) {
      return false;
    }
  }

  void add(ExplainedRule rule) {
    // A key that has the same name on both sides is looked at from both.
    const auto is_known = [&](const ExplainedRule& other) {
      return other.place == rule.place && other.source == rule.source && other.target == rule.target;
    };
    if (std::any_of(result_.rules.begin(), result_.rules.end(), is_known)) return;
    if (result_.rules.size() < kMaxRules)
      result_.rules.push_back(std::move(rule));
    else
      ++result_.n_more;
  }

  const layout::SourceKey* key_of(const Piece& piece) const {
    const auto& list = keys_.keys(piece.source);
    const auto it =
        std::find_if(list.begin(), list.end(), [&](const layout::SourceKey& k) { return k.tensor == piece.tensor; });
    return it == list.end() ? nullptr : &*it;
  }

  // A planned tensor as made by its rule, seen from one of its source keys.
  ExplainedRule made(const PlannedTensor& tensor, const layout::SourceKey* from) {
    const Rule& rule = set_.rules[tensor.rule];
    ExplainedRule one{rule.place,
                      rule.summary,
                      from ? original(*from) : "",
                      tensor.key,
                      fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape)),
                      {},
                      {}};
    if (from) describe_match(rule, *from, one);
    return one;
  }

  void describe_match(const Rule& rule, const layout::SourceKey& key, ExplainedRule& one) {
    lang::Captures captures;
    if (rule.kind == Rule::Kind::copy || !lang::Matcher(rule.from, scope_.variants).match(key.key, captures)) return;
    for (const auto& star : captures.stars) one.captures.emplace_back("*", star);
    for (const auto& rest : captures.rests) one.captures.emplace_back("**", rest);
    for (const auto& hole : captures.holes) one.captures.push_back(hole);
    for (size_t g = 0; g < captures.groups.size(); ++g)
      one.captures.emplace_back(fmt::format("\\{}", g + 1), captures.groups[g]);
    if (!rule.shape || plan_ == nullptr) return;
    const Shape& shape = info(key).shape;
    for (size_t d = 0; d < shape.size() && d < rule.shape->size(); ++d)
      if ((*rule.shape)[d].expression)
        one.dims.push_back(dim_text(*(*rule.shape)[d].expression, d, shape[d], captures));
  }

  std::string dim_text(const lang::Expression& expression, size_t axis, int64_t size, const lang::Captures& captures) {
    std::set<std::string> names;
    collect(expression.root, captures, names);
    std::string text = fmt::format("axis {} of the source is {}: {}", axis, size, expression.text);
    for (const BoundDim& dim : plan_->dims)
      if (names.contains(dim.name))
        text +=
            fmt::format("; {} is {} by {} ({}:{})", dim.name, dim.value, dim.origin, dim.place.file, dim.place.line);
    return text;
  }
  void collect(const ExpressionNode& node, const lang::Captures& captures, std::set<std::string>& names) const {
    if (node.kind == NodeKind::name) names.insert(node.text);
    if (node.kind == NodeKind::member && node.children[0].kind == NodeKind::name) {
      const std::string* taken = captures.hole(node.text);
      names.insert(node.children[0].text + "." + (taken ? *taken : node.text));
    }
    for (const auto& child : node.children) collect(child, captures, names);
  }

  void explain_target(const std::string& key) {
    const auto it = std::lower_bound(plan_->tensors.begin(), plan_->tensors.end(), key,
                                     [](const PlannedTensor& t, const std::string& k) { return t.key < k; });
    if (it == plan_->tensors.end() || it->key != key) return;
    result_.is_target = true;
    if (it->pieces.empty()) return add(made(*it, nullptr));
    std::set<std::pair<uint32_t, uint32_t>> seen;
    for (const Piece& piece : it->pieces)
      if (seen.insert({piece.source, piece.tensor}).second) add(made(*it, key_of(piece)));
  }

  void explain_source(const layout::SourceKey& key) {
    result_.is_source = true;
    if (plan_ == nullptr) return explain_match(key);
    std::set<uint32_t> seen;  // one target of a split shows how all are made
    for (const auto& tensor : plan_->tensors) {
      if (std::none_of(tensor.pieces.begin(), tensor.pieces.end(),
                       [&](const Piece& p) { return p.source == key.source && p.tensor == key.tensor; }))
        continue;
      if (seen.insert(tensor.rule).second)
        add(made(tensor, &key));
      else
        ++result_.n_more;
    }
    for (const auto& dropped : plan_->dropped)
      if (dropped.source == key.source && dropped.tensor == key.tensor) {
        const Rule& rule = set_.rules[dropped.rule];
        add({rule.place, rule.summary, original(key) + dropped.part, "", "dropped: " + dropped.because, {}, {}});
      }
  }

  // Without a plan: which rules match, and if none does, why.
  void explain_match(const layout::SourceKey& key) {
    lang::Captures captures;
    bool any = false;
    for (const Rule& rule : set_.rules) {
      const bool matching = rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop;
      if (!matching || set_.sources[key.source].name != rule.source || !is_active(rule) ||
          !lang::Matcher(rule.from, scope_.variants).match(key.key, captures) || !holds(rule, captures) ||
          (rule.rest && any))
        continue;
      any = true;
      ExplainedRule one{rule.place,
                        rule.summary,
                        original(key),
                        "",
                        rule.kind == Rule::Kind::drop ? "dropped: " + rule.because : what_of_match(key),
                        {},
                        {}};
      describe_match(rule, key, one);
      add(std::move(one));
    }
    if (!any) note_near_rules(std::string(key.key), key.source);
  }

  std::string what_of_match(const layout::SourceKey& key) const {
    return info(key).unread == nullptr ? "matched" : "matched, but cannot be converted: " + describe(info(key));
  }

  void note_near_rules(const std::string& key, size_t source) {
    std::vector<NearRule> candidates;
    for (const Rule& rule : set_.rules) {
      if ((rule.kind != Rule::Kind::move && rule.kind != Rule::Kind::drop) || set_.sources[source].name != rule.source)
        continue;
      candidates.push_back({&rule.from, &rule.place, is_active(rule) || !rule.when ? nullptr : &*rule.when});
      if (rule.where) candidates.push_back({&rule.from, &rule.place, &*rule.where});
    }
    for (auto& note : NearMisses(std::move(candidates), scope_.variants).explain(key).notes)
      result_.near.push_back(std::move(note));
  }

  void explain_unknown(const std::string& key) {
    for (const NamedSource& source : sources_)
      if (source.source->manifest().find(key) != Manifest::npos)
        result_.near.push_back(fmt::format("the checkpoint has it, but not below {}, where the rules read",
                                           rooted_.root.value_or("").empty() ? "the root" : "'" + *rooted_.root + "'"));
    std::vector<std::pair<size_t, std::string>> similar;
    const auto consider = [&](std::string_view other, const char* side) {
      similar.emplace_back(edit_distance(key, other), fmt::format("{} '{}'", side, other));
    };
    if (plan_ != nullptr)
      for (const auto& tensor : plan_->tensors) consider(tensor.key, "the target has");
    for (uint32_t s = 0; s < sources_.size(); ++s)
      for (const layout::SourceKey& found : keys_.keys(s)) consider(found.key, "the source has");
    const size_t some = std::min(kMaxNear, similar.size());
    std::partial_sort(similar.begin(), similar.begin() + static_cast<std::ptrdiff_t>(some), similar.end());
    for (size_t i = 0; i < some && similar[i].first <= key.size() / 3; ++i) result_.near.push_back(similar[i].second);
    for (const Rule& rule : set_.rules) {
      if (rule.kind == Rule::Kind::drop ||
          !RE2::FullMatch(key,
                          RE2(lang::regex_of_target(rule.to, rule.from, set_.tables, scope_.variants), RE2::Quiet)))
        continue;
      const char* why = is_active(rule) ? "no source key of the kind is there" : "its 'when' is false";
      result_.near.push_back(
          fmt::format("{}: '{}' would give such a target key; {}", to_string(Place(rule.place)), rule.summary, why));
    }
    note_near_rules(key, 0);
  }

  const lang::RuleSet& set_;
  const Plan* plan_;
  Diagnostics ignored_;
  RootedKeys rooted_;
  ComputedKeys computed_;
  const std::vector<NamedSource>& sources_;
  const layout::KeyTable& keys_;
  layout::CheckpointScope scope_;
  Explanation result_;
};

}  // namespace
}  // namespace plan

Explanation explain(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
                    const Plan* plan, const std::string& key) {
  return plan::Explainer(rules.impl().set, sources, options, plan).run(key);
}

std::vector<Explanation> explain(const Rules& rules, const std::vector<NamedSource>& sources,
                                 const PlanOptions& options, const Plan* plan, const std::vector<std::string>& keys) {
  plan::Explainer explainer(rules.impl().set, sources, options, plan);
  std::vector<Explanation> all;
  for (const auto& key : keys) all.push_back(explainer.run(key));
  return all;
}

}  // namespace remap
