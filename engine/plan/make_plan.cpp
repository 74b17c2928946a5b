// Rules + manifests -> plan: the list of passes. Each reports all that it finds; what follows from a mistake is not
// looked for.
#include <algorithm>
#include <future>

#include <fmt/format.h>

#include "base/sorted_order.h"
#include "plan/bind_dims.h"
#include "plan/build_tensors.h"
#include "plan/check_output.h"
#include "plan/check_schema.h"
#include "plan/choose_variants.h"
#include "plan/compute_keys.h"
#include "plan/equal_tensors.h"
#include "plan/join_keys.h"
#include "plan/load_rules.h"
#include "plan/match_keys.h"
#include "plan/requirements.h"
#include "plan/roots.h"
#include "plan/rule_notes.h"
#include "plan/share_once.h"
#include "plan/target_config.h"

namespace remap {
namespace plan {
namespace {

constexpr size_t kMaxListed = 20;  // of what a plan leaves open

// Sources in the order of the rule file's own list; reports those that are missing or not known.
std::vector<NamedSource> in_order(const lang::RuleSet& set, const std::vector<NamedSource>& given,
                                  Diagnostics& diagnostics) {
  std::vector<NamedSource> ordered;
  for (const auto& spec : set.sources) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const NamedSource& s) { return s.name == spec.name; });
    if (it != given.end())
      ordered.push_back(*it);
    else
      diagnostics.error(
          "plan-source-missing", set.text->place(1, 1),
          fmt::format("the rules need a source '{}'{}{}", spec.name, spec.doc.empty() ? "" : ": ", spec.doc),
          fmt::format("give it as {}=PATH", spec.name));
  }
  for (const auto& source : given)
    if (std::none_of(set.sources.begin(), set.sources.end(),
                     [&](const auto& spec) { return spec.name == source.name; }))
      diagnostics.error("plan-source-unknown", set.text->place(1, 1),
                        fmt::format("the rules know no source '{}'", source.name));
  return ordered;
}

// What the plan says of where it is from.
Plan described(const PlanInput& input, const ComputedKeys& computed) {
  Plan plan;
  plan.family = input.rules.family;
  plan.title = input.rules.title;
  plan.parameter_sum = input.rules.parameter_sum;
  for (const auto& s : input.sources)
    plan.sources.push_back({s.name, std::string(s.source->format()), std::make_shared<Manifest>(s.source->manifest())});
  for (size_t s = 0; s < plan.sources.size(); ++s)
    plan.sources[s].computing = computed.computing[s], plan.sources[s].computed = computed.tensors[s];
  plan.computed = computed.entries;
  for (const auto& rule : input.rules.rules) plan.rules.push_back({rule.summary, rule.place});
  return plan;
}

// Facts about values that nobody could check.
std::vector<std::string> taken_as_equal(const std::vector<PlanCheck>& checks) {
  std::vector<std::string> taken;
  for (const auto& check : checks)
    if (!check.same) taken.push_back(fmt::format("taken as equal: '{}' and '{}'", check.a, check.b));
  if (taken.size() <= kMaxListed) return taken;
  return {fmt::format("taken as equal: {} pairs of tensors, listed as checks", taken.size())};
}

std::vector<RestTaken> taken_for_the_rest(const PlanInput& input, const ActiveRules& active, const Matches& matches) {
  std::vector<RestTaken> rests;
  for (uint32_t r = 0; r < matches.by_rule.size(); ++r)
    if (const lang::Rule& rule = input.rules.rules[r]; rule.rest && active[r])
      rests.push_back({r, matches.by_rule[r].size(), rule.because});
  return rests;
}

// `disbelieved`: a rule whose shapes say nothing, to see whether all else fits then.
std::optional<Plan> run_passes(const Rules::Impl& rules, const std::vector<NamedSource>& sources,
                               const PlanOptions& options, const std::optional<Dims::RuleLine>& disbelieved,
                               Diagnostics& diagnostics) {
  const auto failed = [&] { return diagnostics.has_errors(); };
  // A name may be unknown since the rule that would bind it is missing, or its shape wrong: that is what to say first.
  const auto report_unknown_names = [&] {
    for (const auto& d : rules.set.unknown_names) diagnostics.add(d);
  };

  RootedKeys rooted = keys_below_root(rules.set, sources, options, diagnostics);
  if (failed()) return std::nullopt;
  const ComputedKeys computed = compute_keys(rules.set, sources, rooted.keys, diagnostics);
  if (failed()) return std::nullopt;
  const PlanInput input{rules.set, rules.schema, computed.sources, options, rooted.keys, options.limits};
  layout::CheckpointScope scope(rules.set, rooted.keys, computed.sources, options);

  const Choices choices = choose_variants(input, rooted.root, scope, diagnostics);
  if (failed()) return report_unknown_names(), std::nullopt;
  // A requirement that can be checked already gives the better reason for whatever would go wrong below.
  const Requirements left = check_requirements(input, choices, scope, diagnostics);
  if (failed()) return std::nullopt;
  const ActiveRules active = active_rules(input, scope, diagnostics);
  if (failed()) return report_unknown_names(), std::nullopt;

  const Matches matches = match_keys(input, choices, active, scope, diagnostics);
  if (failed()) return std::nullopt;
  const Trial trial = [&](const Choices& chosen, Dims::RuleLine wrong) {
    PlanOptions as_chosen = options;
    as_chosen.same = nullptr;  // as far as it matters, the variants know
    for (const auto& [name, value] : chosen.variants) as_chosen.set[name] = value;
    Diagnostics found;
    run_passes(rules, sources, as_chosen, wrong, found);
    return found;
  };
  Dims dims = bind_dims(input, choices, matches, disbelieved, trial, scope, diagnostics);
  check_indices(input, matches.indices, diagnostics);
  if (failed()) return std::nullopt;
  report_unknown_names();
  if (failed()) return std::nullopt;

  std::vector<std::string> open = check_requirements(input, choices, left, scope, diagnostics);
  const Replicas replicas = find_replicas(input, choices, matches, scope, diagnostics);
  Targets targets = build_tensors(input, choices, active, matches, replicas, scope, diagnostics);
  DifferingTwins twins;
  if (!failed()) {
    check_unused_rules(input, choices, active, matches, targets, diagnostics);
    twins = check_twins(input, choices, matches, scope, diagnostics);
  }
  if (failed()) {
    blame_by_schema(input, choices, active, targets, dims, scope, diagnostics);
    return std::nullopt;
  }
  const std::vector<DroppedTensor> parts = std::move(targets.dropped_parts);
  join_keys(input, targets, diagnostics);
  const SharedOnce shared = share_once(input, targets);
  check_output(input, targets, diagnostics);
  TargetConfig target = make_config(input, targets, scope, diagnostics);
  if (failed()) return std::nullopt;
  constexpr size_t kWorthAThread = 10'000;  // tensors
  const auto when = targets.tensors.size() < kWorthAThread ? std::launch::deferred : std::launch::async;
  auto order = std::async(when, [&list = targets.tensors] {
    return sorted_order(list.size(), [&](size_t a, size_t b) { return list[a].key < list[b].key; });
  });
  SchemaCheck checked = check_schema(input, choices, active, targets, target, scope, diagnostics);
  std::vector<uint32_t> by_key = order.get();
  if (failed()) return std::nullopt;

  Plan plan = described(input, computed);
  plan.variants = choices.variants;
  for (const auto& [name, dim] : dims.bound()) plan.dims.push_back(dim);
  plan.tensors = std::move(targets.tensors);
  reorder(plan.tensors, std::move(by_key));
  plan.dropped = dropped_tensors(input, matches, replicas, twins, shared, parts);
  plan.rests = taken_for_the_rest(input, active, matches);
  plan.checks = scope.checks();
  plan.architecture = std::move(target.architecture);
  plan.config = std::move(checked.config);
  plan.files = std::move(target.files);
  for (auto& file : checked.files)  // what the rules say of one goes before
    if (std::none_of(plan.files.begin(), plan.files.end(), [&](const auto& own) { return own.first == file.first; }))
      plan.files.push_back(std::move(file));
  plan.metadata = std::move(target.metadata);
  for (const auto& [key, kept] : shared.kept_as) plan.metadata[key] = kept;
  plan.left_behind = std::move(target.left_behind);
  for (auto* lines : {&target.open, &checked.open}) open.insert(open.end(), lines->begin(), lines->end());
  plan.open = std::move(open);
  const auto taken = taken_as_equal(plan.checks);
  plan.open.insert(plan.open.end(), taken.begin(), taken.end());
  add_notes(input, scope, diagnostics);
  if (failed()) return std::nullopt;
  return plan;
}

}  // namespace
}  // namespace plan

std::optional<Plan> make_plan(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
                              Diagnostics& diagnostics) {
  const auto ordered = plan::in_order(rules.impl().set, sources, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  auto plan = plan::run_passes(rules.impl(), ordered, options, std::nullopt, diagnostics);
  diagnostics.sort();
  return plan;
}

bool is_computed(const Plan& plan, const PlannedTensor& tensor) {
  return std::any_of(tensor.pieces.begin(), tensor.pieces.end(),
                     [&](const Piece& piece) { return plan.sources[piece.source].is_computed(piece.tensor); });
}

std::string irreversible_because(const Plan& plan, const PlannedTensor& tensor) {
  if (is_made(tensor)) return "it is a constant: nothing of the source is in it";
  if (is_computed(plan, tensor)) return "it is computed: what it was computed of cannot be told from it";
  for (const Piece& piece : tensor.pieces) {
    const DType from = (*plan.sources[piece.source].manifest)[piece.tensor].dtype;
    if (from != tensor.dtype && size_bytes(from) >= size_bytes(tensor.dtype))
      return fmt::format("the cast from {} to {} rounds", name(from), name(tensor.dtype));
  }
  return "";
}

}  // namespace remap
