#include "plan/compare_with_schema.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "plan/dims.h"
#include "plan/key_form.h"

namespace remap::plan {
namespace {

using lang::Rule;

struct DemandedTensor {
  std::string key;
  Shape shape;
  const lang::SchemaTensor* origin;
};

// Demanded tensors that follow each other and differ by their keys only, to be looked up together.
struct Alike {
  std::vector<std::string> keys = std::vector<std::string>(64);  // the first n_keys of them; the others are room
  size_t n_keys = 0;
  Shape shape;
  const lang::SchemaTensor* origin = nullptr;

  bool is_full() const { return n_keys == keys.size(); }
  std::span<const std::string> all() const { return {keys.data(), n_keys}; }
  void add(std::string_view key, const Shape& its_shape, const lang::SchemaTensor& its_origin) {
    if (n_keys == 0) shape = its_shape, origin = &its_origin;
    keys[n_keys++] = key;
  }
};

bool fits(const Shape& shape, const Shape& wanted) {
  if (shape.size() != wanted.size()) return false;
  for (size_t d = 0; d < shape.size(); ++d)
    if (wanted[d] >= 0 && wanted[d] != shape[d]) return false;
  return true;
}

// "[_,8]", as a schema writes it.
std::string wanted_text(const Shape& wanted) {
  std::vector<std::string> terms;
  for (const int64_t size : wanted) terms.push_back(size < 0 ? "_" : std::to_string(size));
  return "[" + join(terms, ",") + "]";
}

bool differ_in_one_part(const std::string& a, const std::string& b) {
  const size_t longest = std::min(a.size(), b.size());
  size_t same = 0, tail = 0;
  while (same < longest && a[same] == b[same]) ++same;
  while (tail < longest - same && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const auto one_part = [&](const std::string& key) { return key.find('.', same) >= key.size() - tail; };
  return same + tail > 0 && one_part(a) && one_part(b);
}

std::string and_more(const std::vector<std::string>& keys) {
  return keys.size() == 1 ? fmt::format("'{}'", keys.front())
                          : fmt::format("'{}' and {} more", keys.front(), keys.size() - 1);
}

class Comparison {
 public:
  Comparison(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Targets& targets,
             const std::string& architecture, const Json& config, Diagnostics& diagnostics)
      : input_(input),
        choices_(choices),
        active_(active),
        tensors_(targets.tensors),
        architecture_(architecture),
        diagnostics_(diagnostics) {
    std::vector<bool> wanted(tensors_.size());
    const auto by_listed_name = spelt_otherwise();
    const auto demand = [&](const std::string& key, const Shape& shape, const lang::SchemaTensor& origin,
                            size_t given) {
      if (given == KeyIndex::npos)
        if (const auto it = by_listed_name.find(key); it != by_listed_name.end()) given = it->second;
      if (given != KeyIndex::npos) {
        wanted[given] = true;
        if (fits(tensors_[given].shape, shape)) return;
        wrong_[line_of(rule_of(given).place)].tensors.emplace_back(given, demanded_.size());
      } else {
        missing_.push_back(demanded_.size());
      }
      demanded_.push_back({key, shape, &origin});
    };
    Alike alike;
    const auto look_up = [&] {
      targets.find_each(alike.all(),
                        [&](size_t i, size_t given) { demand(alike.all()[i], alike.shape, *alike.origin, given); });
      alike.n_keys = 0;
    };
    lang::for_each_demanded(*input.schema, architecture, config,
                            [&](std::string_view key, const Shape& shape, const lang::SchemaTensor& origin) {
                              if (alike.is_full() || &origin != alike.origin || shape != alike.shape) look_up();
                              alike.add(key, shape, origin);
                            });
    look_up();
    for (size_t t = 0; t < wanted.size(); ++t) {
      if (wanted[t]) continue;
      const auto line = wrong_.find(line_of(rule_of(t).place));
      if (line != wrong_.end())
        line->second.too_many.push_back(tensors_[t].key);
      else
        unexpected_.push_back(t);
    }
    std::sort(unexpected_.begin(), unexpected_.end(),
              [&](size_t a, size_t b) { return tensors_[a].key < tensors_[b].key; });
  }

  void report() {
    const auto meant = misspelt();
    report_missing(meant);
    report_wrong_shapes();
    report_unexpected(meant);
  }

 private:
  // Of a rule that gives a tensor in another shape than is demanded.
  struct WrongRule {
    std::vector<std::pair<size_t, size_t>> tensors;  // the plan's, and the demanded one
    std::vector<std::string> too_many, too_few;      // keys
  };
  using Meant = std::map<size_t, size_t>;  // for a target that is not wanted, the missing one that was meant

  const Rule& rule_of(size_t tensor) const { return input_.rules.rules[tensors_[tensor].rule]; }

  // The tensors that have another name than the one the schema lists, by the latter.
  std::map<std::string, size_t, std::less<>> spelt_otherwise() const {
    std::map<std::string, size_t, std::less<>> found;
    const lang::ListedNames names(*input_.schema);
    for (size_t t = 0; t < tensors_.size(); ++t)
      if (auto listed = names.of(tensors_[t].key)) found.emplace(std::move(*listed), t);
    return found;
  }

  // They have the same shape and differ in one part of the name; and what is found of one layer is found of all.
  Meant misspelt() const {
    std::map<std::string, std::map<std::vector<std::string>, size_t>> missing_of;  // by form, then by numbers
    for (const size_t i : missing_) {
      KeyForm form(demanded_[i].key);
      missing_of[form.text].emplace(std::move(form.numbers), i);
    }
    std::map<std::string, std::vector<std::string>> nearest;  // of a form: those that may be meant, best first
    Meant meant;
    std::set<size_t> taken;
    for (const size_t t : unexpected_) {
      const KeyForm form(tensors_[t].key);
      auto known = nearest.find(form.text);
      if (known == nearest.end()) {
        if (nearest.size() * missing_of.size() > kMaxExplained * kMaxExplained) continue;
        std::vector<std::pair<size_t, std::string>> candidates;
        for (const auto& [other, numbers] : missing_of)
          if (differ_in_one_part(form.text, other)) candidates.emplace_back(edit_distance(form.text, other), other);
        std::sort(candidates.begin(), candidates.end());
        std::vector<std::string> forms;
        for (auto& [distance, other] : candidates) forms.push_back(std::move(other));
        known = nearest.emplace(form.text, std::move(forms)).first;
      }
      for (const auto& other : known->second) {
        const auto& numbers = missing_of.at(other);
        const auto it = numbers.find(form.numbers);
        if (it == numbers.end() || taken.contains(it->second) || !fits(tensors_[t].shape, demanded_[it->second].shape))
          continue;
        meant[t] = it->second;
        taken.insert(it->second);
        break;
      }
    }
    return meant;
  }

  void report_missing(const Meant& meant) {
    std::set<size_t> explained;
    for (const auto& [t, i] : meant) explained.insert(i);
    std::map<std::string, const Rule*> givers;  // by the form of the key
    for (const size_t i : missing_) {
      if (explained.contains(i)) continue;
      const DemandedTensor& d = demanded_[i];
      const std::string form = KeyForm(d.key).text;
      const auto known = givers.find(form);
      const Rule* giver = nullptr;
      if (known != givers.end())
        giver = known->second;
      else if (givers.size() < kMaxExplained)
        giver = givers[form] = giver_of(d.key);
      const auto wrong = giver == nullptr ? wrong_.end() : wrong_.find(line_of(giver->place));
      if (wrong != wrong_.end())
        wrong->second.too_few.push_back(d.key);
      else
        diagnostics_.error(
            "schema-missing-tensor", d.origin->place,
            fmt::format("{} needs '{}' {}, which no rule gives", architecture_, d.key, wanted_text(d.shape)),
            giver == nullptr ? "" : missing_hint(*giver));
    }
  }

  void report_wrong_shapes() {
    for (const auto& [line, rule] : wrong_)
      for (const auto& [t, i] : rule.tensors) {
        const Rule& origin = rule_of(t);
        std::vector<std::string> notes = {
            fmt::format("{}: the schema says so", to_string(Place(demanded_[i].origin->place))), note_of(origin)};
        if (!rule.too_many.empty())
          notes.push_back(
              fmt::format("the rule also gives {}, which {} does not have", and_more(rule.too_many), architecture_));
        if (!rule.too_few.empty()) notes.push_back(fmt::format("the rule does not give {}", and_more(rule.too_few)));
        diagnostics_.error("schema-wrong-shape", origin.place,
                           fmt::format("'{}' would have the shape {}; {} needs {}", tensors_[t].key,
                                       to_string(tensors_[t].shape), architecture_, wanted_text(demanded_[i].shape)),
                           {}, std::move(notes));
      }
  }

  void report_unexpected(const Meant& meant) {
    for (const size_t t : unexpected_) {
      const auto it = meant.find(t);
      std::string hint;
      std::vector<std::string> notes;
      if (it != meant.end()) {
        const DemandedTensor& other = demanded_[it->second];
        hint = did_you_mean(other.key) + " No rule gives it";
        notes.push_back(fmt::format("{}: the schema has it here", to_string(Place(other.origin->place))));
      }
      diagnostics_.error("schema-unexpected-tensor", rule_of(t).place,
                         fmt::format("{} has no tensor '{}'", architecture_, tensors_[t].key), hint, std::move(notes));
    }
  }

  // Which rule would give it, if its source key were there; nullptr if none would.
  const Rule* giver_of(const std::string& key) const {
    for (const Rule& rule : input_.rules.rules) {
      if (rule.kind != Rule::Kind::move) continue;
      const RE2 targets(lang::regex_of_target(rule.to, rule.from, input_.rules.tables, choices_.texts), RE2::Quiet);
      if (RE2::FullMatch(key, targets)) return &rule;
    }
    return nullptr;
  }
  std::string missing_hint(const Rule& rule) const {
    const bool active = active_[static_cast<size_t>(&rule - input_.rules.rules.data())];
    return fmt::format("'{}' ({}) would give it, from a key that this checkpoint does not have{}", rule.summary,
                       to_string(Place(rule.place)),
                       active ? "" : fmt::format("; it holds only when {}", rule.when->text));
  }

  const PlanInput& input_;
  const Choices& choices_;
  const ActiveRules& active_;
  const std::vector<PlannedTensor>& tensors_;
  const std::string& architecture_;
  std::vector<DemandedTensor> demanded_;  // those that are missing, or given in another shape
  Diagnostics& diagnostics_;
  std::vector<size_t> missing_, unexpected_;  // of demanded_; of tensors_, sorted by key
  std::map<Dims::RuleLine, WrongRule> wrong_;
};

}  // namespace

void compare_with_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                         const Targets& targets, const std::string& architecture, const Json& config,
                         Diagnostics& diagnostics) {
  Comparison comparison(input, choices, active, targets, architecture, config, diagnostics);
  if (!diagnostics.has_errors()) comparison.report();
}

}  // namespace remap::plan
