#include "plan/compute_keys.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/computed.h"

namespace remap::plan {
namespace {

using lang::Computed;
using layout::SourceKey;

constexpr size_t kMostListed = 8;

// Of one source.
class Computing {
 public:
  Computing(const lang::RuleSet& rules, const NamedSource& source, size_t number, layout::KeyTable& keys,
            Diagnostics& diagnostics)
      : rules_(rules), source_(source), number_(number), keys_(keys), diagnostics_(diagnostics) {}

  // How many keys the entry gives.
  size_t add(const Computed& one) {
    const size_t before = made_.size();
    bool any = false;
    if (one.kind == Computed::Kind::weight_norm)
      each_match(one, [&](const SourceKey& v, const lang::Captures& captures) {
        any = true;
        const std::string key = lang::expand_source(one.g, one.from, captures, {});
        if (const SourceKey* g = keys_.find(number_, key))
          make(one, target(one, captures), ComputedTensor::Kind::weight_norm, {g, &v});
        else
          error("plan-part-missing", one,
                fmt::format("'{}' needs '{}', which the checkpoint does not have", v.key, key),
                "a v without its g says nothing: correct the pattern of 'g'");
      });
    else
      any = add_means(one);
    if (!any && !one.optional)
      error("plan-rule-unused", one,
            fmt::format("no key of the checkpoint matches '{}': nothing is computed", one.from.text),
            "say 'optional: true' if that is right");
    return made_.size() - before;
  }

  void finish(ComputedKeys& result) {
    if (made_.empty() || diagnostics_.has_errors()) return;
    std::set<std::string_view> gone;
    for (const auto& [key, of] : taken_) gone.insert(key);
    for (const auto& [key, computed] : made_)
      if (keys_.find(number_, key) != nullptr && !gone.contains(key))
        diagnostics_.error("plan-computed", computed.entry->place,
                           fmt::format("the checkpoint has '{}' itself, and it is computed too", key),
                           "only one of them can be meant: give the computed one another name, or correct its pattern");
    if (diagnostics_.has_errors()) return;
    std::vector<ComputedTensor> tensors;
    for (const auto& [key, computed] : made_) tensors.push_back(computed.tensor);
    const Manifest& manifest = source_.source->manifest();
    for (const auto& [key, of] : taken_)
      result.operands.push_back(
          {static_cast<uint32_t>(number_), std::string(key), manifest[keys_.find(number_, key)->tensor].key, of});
    WithComputed with = with_computed(*source_.source, tensors);
    std::vector<std::pair<std::string, uint32_t>> made;
    for (auto& [key, computed] : made_) made.emplace_back(key, with.computed[made.size()]);
    keys_.exchange(number_, with.own, gone, std::move(made));
    result.sources[number_].source = with.source.get();
    result.computing[number_] = std::move(with.source);
    std::sort(with.computed.begin(), with.computed.end());
    result.tensors[number_] = std::move(with.computed);
  }

 private:
  template <typename Visit>
  void each_match(const Computed& one, const Visit& visit) const {
    keys_.match(number_, lang::Matcher(one.from, {}), [&](const SourceKey& key, const lang::Captures& captures) {
      visit(key, captures);
      return true;
    });
  }
  std::string target(const Computed& one, const lang::Captures& captures) const {
    return lang::expand(one.to, one.from, captures, rules_.tables, {});
  }
  void error(const std::string& id, const Computed& one, const std::string& message, const std::string& hint = {}) {
    diagnostics_.error(id, one.place, message, hint);
  }

  bool add_means(const Computed& one) {
    std::map<std::string, std::map<size_t, const SourceKey*>> groups;  // by what they give, by number
    bool any = false;
    each_match(one, [&](const SourceKey& key, const lang::Captures& captures) {
      any = true;
      const std::string& text = *captures.hole(one.each);
      size_t number = 0;
      const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (fault != std::errc() || end != text.data() + text.size())
        error("plan-computed", one,
              fmt::format("'{}' of '{{{}}}' in '{}' is not a number: those that a mean is taken of are numbered from 0",
                          text, one.each, key.key),
              fmt::format("write {{{}:int}} for numbers alone", one.each));
      else if (const auto [known, fresh] = groups[target(one, captures)].emplace(number, &key); !fresh)
        error("plan-computed", one, fmt::format("'{}' and '{}' are the same part", known->second->key, key.key));
    });
    for (const auto& [key, parts] : groups) {
      std::vector<const SourceKey*> operands;
      std::vector<std::string> missing;
      for (const auto& [number, part] : parts) operands.push_back(part);
      for (size_t n = 0; n < parts.rbegin()->first && missing.size() < kMostListed; ++n)
        if (!parts.contains(n)) missing.push_back(std::to_string(n));
      if (missing.empty())
        make(one, key, ComputedTensor::Kind::mean, operands);
      else
        error("plan-part-missing", one,
              fmt::format("the mean '{}' needs the parts {} of '{{{}}}', which the checkpoint does not have", key,
                          join(missing, ", "), one.each));
    }
    return any;
  }

  void make(const Computed& one, const std::string& key, ComputedTensor::Kind kind,
            const std::vector<const SourceKey*>& operands) {
    const Manifest& manifest = source_.source->manifest();
    ComputedTensor tensor{kind, {}};
    for (const SourceKey* operand : operands) {
      const TensorInfo& info = manifest[operand->tensor];
      if (info.unread != nullptr)
        return error("plan-unread-tensor", one,
                     fmt::format("'{}' cannot be computed with: {}", operand->key, describe(info)),
                     way_on(*info.unread, false));
      tensor.operands.push_back(operand->tensor);
    }
    if (const std::string fault = computing_fault(manifest, tensor); !fault.empty())
      return error("plan-computed", one, fmt::format("'{}' cannot be computed: {}", key, fault));
    for (const SourceKey* operand : operands)
      if (const auto [other, fresh] = taken_.emplace(operand->key, key); !fresh)
        return error("plan-computed", one,
                     fmt::format("'{}' and '{}' are both computed of '{}'", other->second, key, operand->key),
                     "each key goes into one: make one of the patterns narrower");
    if (!made_.emplace(key, Made{std::move(tensor), &one}).second)
      error("plan-computed", one, fmt::format("'{}' is computed twice", key));
  }

  struct Made {
    ComputedTensor tensor;
    const Computed* entry;
  };

  const lang::RuleSet& rules_;
  const NamedSource& source_;
  size_t number_;
  layout::KeyTable& keys_;
  Diagnostics& diagnostics_;
  std::map<std::string, Made> made_;
  std::map<std::string_view, std::string> taken_;  // operand -> what is computed of it
};

}  // namespace

ComputedKeys compute_keys(const lang::RuleSet& rules, const std::vector<NamedSource>& sources, layout::KeyTable& keys,
                          Diagnostics& diagnostics) {
  ComputedKeys result{sources, {}, {}, {}, {}};
  result.computing.resize(sources.size());
  result.tensors.resize(sources.size());
  for (const Computed& one : rules.computed) result.entries.push_back({one.summary, one.place, 0, one.because});
  for (size_t s = 0; s < sources.size() && !rules.computed.empty(); ++s) {
    Computing computing(rules, sources[s], s, keys, diagnostics);
    for (size_t i = 0; i < rules.computed.size(); ++i)
      if (rules.computed[i].source == rules.sources[s].name)
        result.entries[i].n_keys += computing.add(rules.computed[i]);
    computing.finish(result);
  }
  return result;
}

}  // namespace remap::plan
