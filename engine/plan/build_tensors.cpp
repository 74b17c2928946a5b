#include "plan/build_tensors.h"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/fetch.h"
#include "base/parallel_for.h"
#include "lang/hole_scope.h"
#include "ops/cast.h"
#include "plan/apply_steps.h"
#include "plan/join_parts.h"
#include "plan/made_tensors.h"
#include "tensor/sub_byte.h"

namespace remap::plan {
namespace {

using lang::Rule;

// What loops took are names while sizes are asked for.
class LoopsInScope {
 public:
  LoopsInScope(layout::CheckpointScope& scope, const lang::Captures& loops) : scope_(scope) {
    for (const auto& [name, text] : loops.holes) scope.holes[name] = lang::value_of_hole(text);
  }
  ~LoopsInScope() { scope_.holes.clear(); }
  LoopsInScope(const LoopsInScope&) = delete;
  LoopsInScope& operator=(const LoopsInScope&) = delete;

 private:
  layout::CheckpointScope& scope_;
};

std::vector<uint8_t> axes_in_order(size_t rank) {
  std::vector<uint8_t> axes(rank);
  for (size_t d = 0; d < rank; ++d) axes[d] = static_cast<uint8_t>(d);
  return axes;
}

class TensorBuilder {
 public:
  TensorBuilder(const PlanInput& input, const Choices& choices, layout::CheckpointScope& scope,
                Diagnostics& diagnostics)
      : input_(input), choices_(choices), scope_(scope), diagnostics_(diagnostics), cutter_(input, scope, diagnostics) {
    size_t n_targets =
        input.rules.rules.size();  // as many as there are if nothing is split: fills and copies, and keys
    for (size_t source = 0; source < input.sources.size(); ++source) n_targets += input.keys.keys(source).size();
    targets_.reserve(n_targets);
  }

  Targets run(const ActiveRules& active, const Matches& matches, const Replicas& replicas) {
    for_each_rule([&](const Rule& rule, uint32_t r) {
      if (rule.kind == Rule::Kind::drop && rule.split) drop_parts(rule, r, matches.by_rule[r]);
      if (rule.kind != Rule::Kind::move) return;
      if (rule.gathers())
        build_joined(rule, r, matches.by_rule[r], replicas);
      else if (rule.split)
        build_parts(rule, r, matches.by_rule[r], replicas);
      else
        build_each(rule, r, matches.by_rule[r], replicas);
      for (DroppedTensor& part : cutter_.take_dropped()) {
        part.rule = r;
        targets_.dropped_parts.push_back(std::move(part));
      }
    });
    check_claims(cutter_.claims(), diagnostics_);
    // Targets without a source key of their own.
    for_each_rule([&](const Rule& rule, uint32_t r) {
      if (!active[r] || (rule.kind != Rule::Kind::fill && rule.kind != Rule::Kind::copy)) return;
      for_each_loop(input_, rule, scope_, [&](const lang::Captures& captures) {
        rule.kind == Rule::Kind::fill ? build_fill(rule, r, captures) : build_copy(rule, r, captures);
      });
    });
    return std::move(targets_);
  }

 private:
  template <typename Build>
  void for_each_rule(Build build) {
    for (uint32_t r = 0; r < input_.rules.rules.size(); ++r) {
      const Rule& rule = input_.rules.rules[r];
      try {
        build(rule, r);
      } catch (const Error& e) {
        add_about(rule, e, diagnostics_);
      }
    }
  }

  static bool is_skipped(const Replicas& replicas, uint32_t r, const layout::SourceKey* key) {
    return !replicas.skipped.empty() && replicas.skipped.contains({r, key});
  }
  // The parts of the tensor that one of the rule's keys names.
  template <typename Visit>
  void cut_one(const Rule& rule, const Match& match, Visit visit) {
    cutter_.cut(rule, match, input_.limits.max_tensors - targets_.tensors.size(),
                [&](const lang::Captures& captures, StridedView view) { visit(match, captures, std::move(view)); });
  }

  lang::Expansion target_keys(const Rule& rule) const {
    return {rule.to, rule.from, input_.rules.tables, choices_.texts, &scope_};
  }
  // Of a pattern that takes nothing from a source key.
  std::string fixed_key(const lang::KeyPattern& pattern, const lang::Captures& captures) const {
    return lang::expand(pattern, {}, captures, input_.rules.tables, choices_.texts, &scope_);
  }

  // nullptr, and reported, if another rule has given it.
  PlannedTensor* add_target(const Rule& rule, uint32_t r, std::string key, DType dtype, SharedShape shape) {
    if (targets_.tensors.size() >= input_.limits.max_tensors) throw too_many_tensors(input_, rule);
    const auto [place, fresh] = targets_.add({std::move(key), dtype, std::move(shape), {}, {}, r, {}});
    if (fresh) return &targets_.tensors.back();
    const Rule& other = input_.rules.rules[targets_.tensors[place].rule];
    diagnostics_.error("plan-target-twice", rule.place,
                       fmt::format("the target '{}' is given twice", targets_.tensors[place].key),
                       "a target tensor has one origin", {note_of(other), note_of(rule)});
    return nullptr;
  }

  // What a rule makes of a tensor.
  struct Made {
    SharedShape from, shape;
    Piece piece;
  };
  // Shares with the one before what they have in common.
  static Made made_of(const SharedShape& from, const StridedView& view, const std::optional<Made>& last) {
    const Shape shape = view.shape();
    Made made = {from, shape, view.piece(0, 0, std::vector<int64_t>(shape.size(), 0), axes_in_order(shape.size()))};
    if (last && last->shape == made.shape) made.shape = last->shape;
    if (last && last->piece.axes == made.piece.axes) made.piece.axes = last->piece.axes;
    return made;
  }
  void add_made(const Rule& rule, uint32_t r, std::string target, DType dtype, const layout::SourceKey& key,
                const Made& made) {
    PlannedTensor* tensor = add_target(rule, r, std::move(target), dtype, made.shape);
    if (tensor == nullptr) return;
    tensor->pieces.push_back(made.piece);
    tensor->pieces.back().source = key.source;
    tensor->pieces.back().tensor = key.tensor;
    check_whole_bytes(rule, *tensor);
  }

  // Every part is a target.
  void build_parts(const Rule& rule, uint32_t r, const RuleMatches& matches, const Replicas& replicas) {
    if (matches.empty()) return;
    const lang::Expansion key_for = target_keys(rule);
    std::optional<Made> last;
    for (const Match& match : matches) {
      if (is_skipped(replicas, r, match.key)) continue;
      cut_one(rule, match, [&](const Match&, const lang::Captures& captures, const StridedView& view) {
        last = made_of(input_.info(*match.key).shape, view, last);
        const DType dtype = target_dtype(rule, *match.key);  // what is wrong with it is said even if it has no key
        add_made(rule, r, key_for(captures), dtype, *match.key, *last);
      });
    }
  }

  // Every tensor is one, made as the one before if it has its shape.
  void build_each(const Rule& rule, uint32_t r, const RuleMatches& matches, const Replicas& replicas) {
    if (matches.empty()) return;
    const lang::Expansion key_for = target_keys(rule);
    std::vector<std::string> targets(matches.size());
    const size_t n_made = key_for.computes() ? 0 : expand_all(key_for, r, matches, replicas, targets);
    std::optional<Made> last;
    lang::Captures captures;
    for (size_t i = 0; i < matches.size(); ++i) {
      matches.fetch_later(i, [&](const layout::SourceKey& key) { return &input_.info(key); });
      fetch_later(i, matches.size(), [&](size_t later) { return targets_.home_of(targets[later]); });
      const layout::SourceKey& key = matches.key(i);
      if (is_skipped(replicas, r, &key)) continue;
      const SharedShape& from = input_.info(key).shape;
      bool fits = !rule.slices() && last && last->from == from;
      if (!fits) {
        matches.take(i, captures);
        cut_one(rule, {&key, captures}, [&](const Match&, const lang::Captures&, const StridedView& view) {
          last = made_of(from, view, last);
          fits = true;
        });
      }
      if (!fits) continue;
      const DType dtype = target_dtype(rule, key);
      if (i >= n_made) {
        matches.take(i, captures);
        targets[i] = key_for(captures);
      }
      add_made(rule, r, std::move(targets[i]), dtype, key, *last);
    }
  }
  // The target's key for each match that is not skipped, made on all cores; how many there are before one that has
  // none, which is the caller's to report.
  static size_t expand_all(const lang::Expansion& key_for, uint32_t r, const RuleMatches& matches,
                           const Replicas& replicas, std::vector<std::string>& keys) {
    constexpr int64_t kWorkOfKey = 200;  // in parallel_for's unit
    std::atomic<size_t> n_made = keys.size();
    const auto n = static_cast<int64_t>(keys.size());
    parallel_for(n, n * kWorkOfKey, [&](int64_t begin, int64_t end) {
      lang::Captures captures;
      for (auto i = static_cast<size_t>(begin); i < std::min(static_cast<size_t>(end), n_made.load()); ++i) {
        matches.fetch_later(i, [](const layout::SourceKey& key) { return key.key.data(); });
        if (is_skipped(replicas, r, &matches.key(i))) continue;
        matches.take(i, captures);
        try {
          keys[i] = key_for(captures);
        } catch (const Error&) {
          size_t before = n_made;
          while (i < before && !n_made.compare_exchange_weak(before, i)) continue;
        }
      }
    });
    return n_made;
  }

  // stack and concat: what differs only in the holes that are joined along gives one target.
  void build_joined(const Rule& rule, uint32_t r, const RuleMatches& matches, const Replicas& replicas) {
    if (matches.empty()) return;
    const lang::Expansion key_for = target_keys(rule);
    const auto taken = [](const std::optional<lang::AxisParts>& parts, const lang::Captures& captures) {
      return parts && !parts->hole.empty() ? *captures.hole(parts->hole) : std::string();  // 'pad' has no hole
    };
    std::map<std::string, std::vector<JoinInput>> groups;
    for (const Match& one : matches) {
      if (is_skipped(replicas, r, one.key)) continue;
      cut_one(rule, one, [&](const Match& match, const lang::Captures& captures, StridedView view) {
        groups[key_for(captures)].push_back({match.key, &input_.info(*match.key), taken(rule.concat, captures),
                                             taken(rule.stack, captures), std::move(view)});
      });
    }
    const auto regroup = [&](const layout::SourceKey& key, StridedView& view) {
      return apply_steps(input_, rule, key, view, rule.steps_of_parts(), rule.steps.size(), scope_, nullptr,
                         diagnostics_);
    };
    const auto sizes = constant_sizes(rule, scope_);
    for (const auto& [target, parts] : groups) {
      auto joined = join_parts(rule, target, parts, sizes, regroup, diagnostics_);
      if (!joined) continue;
      const DType dtype = target_dtype(rule, *joined->first);
      if (PlannedTensor* tensor = add_target(rule, r, target, dtype, joined->shape)) {
        tensor->pieces = std::move(joined->pieces);
        tensor->filled = std::move(joined->filled);
        check_whole_bytes(rule, *tensor);
      }
    }
  }

  // The parts that the rule does not leave to another one.
  void drop_parts(const Rule& rule, uint32_t r, const RuleMatches& matches) {
    for (const Match& one : matches)
      cut_one(rule, one, [&](const Match& match, const lang::Captures&, const StridedView& view) {
        targets_.dropped_parts.push_back({match.key->source, match.key->tensor, r, rule.because,
                                          part_text(view, input_.info(*match.key).shape), element_count(view.shape())});
      });
  }

  void build_fill(const Rule& rule, uint32_t r, const lang::Captures& loops) {
    const std::string key = fixed_key(rule.to, loops);
    const DType dtype = rule.cast ? *rule.cast : choices_.dtype ? *choices_.dtype : main_dtype_.of(targets_.tensors);
    const LoopsInScope names(scope_, loops);
    const Shape shape = evaluate_shape(*rule.shape, scope_);
    std::optional<FilledPart> counted;
    if (rule.counting) counted = counted_part(rule, shape, scope_);
    PlannedTensor* tensor = add_target(rule, r, key, dtype, shape);
    if (tensor == nullptr) return;
    if (counted && element_count(shape) > 0)
      tensor->filled.push_back(std::move(*counted));
    else
      tensor->fill = rule.fill;
  }

  void build_copy(const Rule& rule, uint32_t r, const lang::Captures& loops) {
    const std::string key = fixed_key(rule.to, loops), of = fixed_key(rule.copy_of, loops);
    const size_t place = targets_.find(of);
    if (place == KeyIndex::npos) {
      const auto own = lang::without_prefix(rule.copy_of);
      const std::string whole = own ? fixed_key(*own, loops) : "";
      diagnostics_.error("plan-copy-of-nothing", rule.place,
                         fmt::format("'{}' is a copy of '{}', which no rule produces", key, of),
                         targets_.find(whole) != KeyIndex::npos ? lang::prefix_hint("copy_of", rule.copy_of, whole)
                                                                : "name a target key that another rule gives");
      return;
    }
    const PlannedTensor original = targets_.tensors[place];
    if (PlannedTensor* tensor = add_target(rule, r, key, original.dtype, original.shape)) {
      tensor->pieces = original.pieces;
      tensor->fill = original.fill;
      tensor->filled = original.filled;
    }
  }

  DType target_dtype(const Rule& rule, const layout::SourceKey& key) {
    const TensorInfo& info = input_.info(key);
    const DType from = info.dtype;
    const DType to = rule.cast ? *rule.cast : choices_.dtype && is_floating(from) ? *choices_.dtype : from;
    if (from != to && element_count(info.shape) > 0 && !ops::cast_supported(to, from))
      diagnostics_.error("plan-cast", rule.place,
                         fmt::format("'{}' is {}; no cast to {} keeps its meaning", key.key, name(from), name(to)),
                         fmt::format("leave it as it is: a rule of its own with 'cast: {}'{}", long_name(from),
                                     rule.cast ? "" : ", or --set dtype=keep for all"));
    return to;
  }

  // Elements of less than a byte are moved by whole bytes.
  void check_whole_bytes(const Rule& rule, const PlannedTensor& tensor) {
    if (!is_sub_byte(tensor.dtype)) return;
    if (!tensor.filled.empty())
      diagnostics_.error("plan-layout", rule.place,
                         fmt::format("'{}' is {}, whose elements share bytes: constants cannot be joined to it",
                                     tensor.key, name(tensor.dtype)));
    for (const Piece& piece : tensor.pieces) {
      const TensorInfo& from = input_.sources[piece.source].source->manifest()[piece.tensor];
      if (from.dtype != tensor.dtype || piece_in_bytes(piece, tensor.dtype, tensor.shape, from.shape)) continue;
      diagnostics_.error(
          "plan-layout", rule.place,
          fmt::format("'{}' of shape {} is {}, whose elements share bytes: '{}' {} would take bytes apart", from.key,
                      to_string(from.shape), name(from.dtype), tensor.key, to_string(tensor.shape)),
          fmt::format("keep the last axis last, and cut it at multiples of {}", from.dtype == DType::f4 ? 2 : 4));
      return;
    }
  }

  const PlanInput& input_;
  const Choices& choices_;
  layout::CheckpointScope& scope_;
  Diagnostics& diagnostics_;
  TensorCutter cutter_;
  Targets targets_;
  MainDtype main_dtype_;  // of the targets so far
};

}  // namespace

Targets build_tensors(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Matches& matches,
                      const Replicas& replicas, layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  return TensorBuilder(input, choices, scope, diagnostics).run(active, matches, replicas);
}

void check_unused_rules(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                        const Matches& matches, const Targets& targets, Diagnostics& diagnostics) {
  for (size_t r = 0; r < active.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (rule.kind != Rule::Kind::move || !active[r] || rule.optional || rule.rest || !matches.by_rule[r].empty())
      continue;
    const RE2 wanted(lang::regex_of_target(rule.to, rule.from, input.rules.tables, choices.texts), RE2::Quiet);
    const bool given = std::any_of(targets.tensors.begin(), targets.tensors.end(),
                                   [&](const PlannedTensor& t) { return RE2::FullMatch(t.key, wanted); });
    if (!given)
      diagnostics.error("plan-rule-unused", rule.place,
                        fmt::format("no key of the checkpoint matches '{}', and no other rule gives '{}'",
                                    rule.from.text, rule.to.text),
                        "say 'optional: true' or 'when: …' if that is right");
  }
}

}  // namespace remap::plan
