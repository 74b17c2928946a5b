// Two checkpoints -> relations between tensors -> rules between patterns -> text; then the text is planned like any
// rule file, and the plan compared with the target.
#include "remap/infer.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

#include "exec/check_target.h"
#include "infer/generalise.h"
#include "infer/key_text.h"
#include "infer/relation.h"
#include "infer/values.h"
#include "infer/write.h"
#include "lang/rules.h"
#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/execute.h"
#include "remap/files_read.h"
#include "remap/values.h"

namespace remap {
namespace infer {
namespace {

// The dtype to state for the whole target: floats that are cast, all to the same one.
std::optional<DType> cast_everything(const Problem& problem, Findings& findings) {
  std::set<DType> target;
  bool casts = false;
  for (const auto& relation : findings.relations)
    for (const uint32_t t : relation.targets) {
      if (t == Relation::kNoPart) continue;
      const DType from = problem.info(relation.sources[0]).dtype, to = problem.info(t).dtype;
      if (is_floating(from)) target.insert(to);
      casts |= from != to;
    }
  if (!casts) return std::nullopt;
  const bool one = target.size() == 1 && is_floating(*target.begin());
  for (auto& relation : findings.relations)
    for (const uint32_t t : relation.targets) {
      if (t == Relation::kNoPart) continue;
      const DType from = problem.info(relation.sources[0]).dtype, to = problem.info(t).dtype;
      if (from != to && !(one && is_floating(from))) relation.cast = to;
    }
  return one ? std::optional(*target.begin()) : std::nullopt;
}

// `lines`: where each rule stands.
std::optional<Plan> plan_text(const std::string& text, const Problem& problem, const InferOptions& options,
                              std::vector<int>& lines, Diagnostics& diagnostics) {
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>(options.file, text), diagnostics);
  if (!set) return std::nullopt;
  for (const auto& rule : set->rules) lines.push_back(rule.place.line);
  impl->set = std::move(*set);
  PlanOptions plan_options;
  plan_options.same = tensors_equal;
  plan_options.values = tensor_values;
  return make_plan(Rules::of(std::move(impl)), problem.sources, plan_options, diagnostics);
}

// Keys of the target that the plan does not give, or gives otherwise: what it gives instead.
std::map<std::string, std::string> differing_from_target(const Problem& problem, const Plan& plan) {
  std::map<std::string, std::string> differing;
  const Manifest& manifest = problem.target->manifest();
  std::vector<bool> found(manifest.size(), false);
  std::vector<PlannedTensor> alike;  // in all but perhaps their bytes
  for (const auto& planned : plan.tensors) {
    const size_t t = manifest.find(planned.key);
    if (t == Manifest::npos) continue;
    found[t] = true;
    const TensorInfo& info = manifest[t];
    if (info.unread != nullptr || info.dtype != planned.dtype || info.shape != planned.shape)
      differing[info.key] = fmt::format("'{}' would be {} {}; the target has {}", info.key, name(planned.dtype),
                                        to_string(planned.shape), describe(info));
    else if (problem.by_values)
      alike.push_back(planned);
  }
  const auto faults = exec::target_faults(alike, sources_of(plan, problem.sources), *problem.target, problem.progress);
  for (size_t i = 0; i < alike.size(); ++i)
    if (!faults[i].empty())
      differing[alike[i].key] = fmt::format("'{}' would have other values than in the target", alike[i].key);
  for (size_t t = 0; t < found.size(); ++t)
    if (!found[t]) differing[manifest[t].key];
  return differing;
}

std::vector<std::string> all_keys(const Problem& problem) {
  std::vector<std::string> keys;
  for (const auto& tensor : problem.target->manifest().tensors()) keys.push_back(tensor.key);
  return keys;
}

// A text, planned and compared.
struct Try {
  InferredRules result;
  std::vector<Written::Origin> origins;  // of the rules in the text
  std::vector<int> lines;                // where they stand
  std::optional<Plan> plan;
  std::map<std::string, std::string> differing;
  Diagnostics diagnostics;
};

class Proposal {
 public:
  Proposal(const Problem& problem, Findings findings, const InferOptions& options)
      : problem_(problem), findings_(std::move(findings)), options_(options) {
    leave_out_unwritable();
    dtype_ = cast_everything(problem_, findings_);
    for (uint32_t s = 0; s < problem_.sources.size(); ++s) roots_.push_back(root_of(problem_, findings_, s));
  }

  Try run() {
    Try best = accepted();
    if (!best.plan) return best;
    if (!best.result.unexpected.empty() || has_differing(best)) {
      // A pattern may have gone too far: its keys one by one.
      const Lessons before = lessons_;
      for (size_t t = 0; t < best.plan->tensors.size(); ++t) {
        const PlannedTensor& tensor = best.plan->tensors[t];
        const bool unexpected = problem_.target->manifest().find(tensor.key) == Manifest::npos;
        if (unexpected || best.differing.contains(tensor.key)) simplify(best.origins[tensor.rule], unexpected);
      }
      Try again = accepted();
      const auto wrong = [](const Try& one) { return one.result.unexpected.size() + one.result.open_targets.size(); };
      if (again.plan && wrong(again) < wrong(best))
        best = std::move(again);
      else
        lessons_ = before;
    }
    if (!has_differing(best)) return best;
    for (size_t r = 0; r < findings_.relations.size(); ++r)
      for (const uint32_t t : findings_.relations[r].targets) {
        const auto it = t == Relation::kNoPart ? best.differing.end() : best.differing.find(problem_.info(t).key);
        if (it != best.differing.end() && !it->second.empty()) lessons_.open.emplace(r, it->second);
      }
    best.result.text = proposed(false).result.text;
    return best;
  }

 private:
  static bool has_differing(const Try& one) {
    return std::any_of(one.differing.begin(), one.differing.end(),
                       [](const auto& entry) { return !entry.second.empty(); });
  }

  // Tries until the planner takes it: rules that it refuses are made simpler, then left out.
  Try accepted() {
    constexpr int kMaxTries = 8;
    for (int i = 0;; ++i) {
      Try one = proposed(true);
      if (one.plan) return one;
      if (i == kMaxTries) leave_out_everything();
      if (i > kMaxTries || (!learn(one) && i < kMaxTries)) {
        if (i > kMaxTries || lessons_.out.size() == findings_.relations.size()) return refused(std::move(one));
        leave_out_everything();
        i = kMaxTries;
      }
    }
  }
  void leave_out_everything() {
    for (size_t r = 0; r < findings_.relations.size(); ++r) lessons_.out.insert(r);
    for (const auto& fill : findings_.fills) findings_.open_targets.push_back(fill.target);
    for (const auto& copy : findings_.copies) findings_.open_targets.push_back(copy.target);
    findings_.fills.clear(), findings_.copies.clear();
  }
  static Try refused(Try one) {
    one.result.text += "  # open: the planner refuses these rules\n";
    return one;
  }

  // What the planner's errors teach; false: nothing.
  bool learn(const Try& one) {
    // Two rules may be at odds: both are made simpler before the one that is reported goes.
    bool any = false;
    for (const bool leave : {false, true}) {
      for (const auto& d : one.diagnostics.items()) {
        const auto* place = std::get_if<TextPlace>(&d.place);
        if (d.severity != Severity::error || place == nullptr || one.lines.size() != one.origins.size()) continue;
        std::vector<int> lines = {place->line};
        for (const auto& note : d.notes)
          if (const auto line = line_in(note); line && !leave) lines.push_back(*line);
        for (const int line : lines) {
          const auto rule = std::find(one.lines.begin(), one.lines.end(), line);
          if (rule != one.lines.end())
            any |= simplify(one.origins[static_cast<size_t>(rule - one.lines.begin())], leave);
        }
      }
      if (any) return true;
    }
    for (size_t r = 0; r < findings_.relations.size(); ++r) any |= lessons_.alone.insert(r).second;
    return any;
  }
  // "rules.yaml:9:5: …": where in the text a note points.
  std::optional<int> line_in(const std::string& note) const {
    const std::string begin = options_.file + ":";
    int line = 0;
    if (!note.starts_with(begin)) return std::nullopt;
    const auto [end, error] = std::from_chars(note.data() + begin.size(), note.data() + note.size(), line);
    return error == std::errc() && end != note.data() + note.size() && *end == ':' ? std::optional(line) : std::nullopt;
  }
  // `leave`: what is as simple as it can be is left out.
  bool simplify(const Written::Origin& origin, bool leave) {
    bool any = false;
    for (const size_t r : origin.relations)
      any |= lessons_.alone.insert(r).second || (leave && lessons_.out.insert(r).second);
    if (origin.made && leave) {
      std::erase_if(findings_.fills, [&](const auto& fill) { return fill.target == *origin.made; });
      std::erase_if(findings_.copies, [&](const auto& copy) { return copy.target == *origin.made; });
      findings_.open_targets.push_back(*origin.made);
      any = true;
    }
    return any;
  }

  // Fills and copies whose keys no rule can say.
  void leave_out_unwritable() {
    const auto writable = [&](uint32_t t) { return can_be_written(problem_.info(t).key); };
    for (const auto& fill : findings_.fills)
      if (!writable(fill.target)) findings_.open_targets.push_back(fill.target);
    for (const auto& copy : findings_.copies)
      if (!writable(copy.target) || !writable(copy.of)) findings_.open_targets.push_back(copy.target);
    std::erase_if(findings_.fills, [&](const auto& fill) { return !writable(fill.target); });
    std::erase_if(findings_.copies, [&](const auto& copy) { return !writable(copy.target) || !writable(copy.of); });
  }

  std::vector<std::string> notes(const std::vector<size_t>& left) const {
    std::vector<std::string> notes;
    for (uint32_t s = 0; s < problem_.sources.size(); ++s) {
      const auto lies_outside = [&](const Ref ref) { return ref.source == s && !is_below_root(problem_, roots_, ref); };
      const auto count = std::count_if(findings_.open_sources.begin(), findings_.open_sources.end(), lies_outside);
      if (count > 0)
        notes.push_back(fmt::format(
            "# {} tensors outside '{}' are not read, such as '{}'", count, roots_[s],
            problem_.info(*std::find_if(findings_.open_sources.begin(), findings_.open_sources.end(), lies_outside))
                .key));
    }
    for (const uint32_t t : findings_.open_targets)
      notes.push_back(fmt::format("# open: nothing gives '{}' {}", problem_.info(t).key, describe(problem_.info(t))));
    for (const size_t r : left)
      for (const uint32_t t : findings_.relations[r].targets)
        if (t != Relation::kNoPart)
          notes.push_back(fmt::format("# open: '{}' is made of '{}', in a way that one rule cannot say",
                                      problem_.info(t).key, problem_.info(findings_.relations[r].sources[0]).key));
    // A key can hold line ends.
    for (auto& note : notes)
      std::replace_if(
          note.begin(), note.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return notes;
  }

  // `prove`: plans and compares it.
  Try proposed(bool prove) const {
    Try one;
    const auto [rules, left] = generalise(problem_, findings_, roots_, lessons_);
    Written written = write_rules(problem_, findings_, rules, roots_, dtype_, notes(left), options_);
    InferredRules& result = one.result;
    result.text = std::move(written.text);
    result.rules = written.rules;
    result.marked = written.marked;
    result.by_values = problem_.by_values;
    result.targets = problem_.target->manifest().size();
    one.origins = std::move(written.origins);
    if (!prove) return one;
    std::set<Ref> dropped(findings_.open_sources.begin(), findings_.open_sources.end());
    for (const size_t r : left)
      dropped.insert(findings_.relations[r].sources.begin(), findings_.relations[r].sources.end());
    for (const Ref ref : dropped)
      if (is_below_root(problem_, roots_, ref)) result.open_sources.push_back(problem_.info(ref).key);
    one.plan = plan_text(result.text, problem_, options_, one.lines, one.diagnostics);
    if (one.plan) {
      one.differing = differing_from_target(problem_, *one.plan);
      for (const auto& [key, what] : one.differing) result.open_targets.push_back(key);
      for (const auto& tensor : one.plan->tensors)
        if (problem_.target->manifest().find(tensor.key) == Manifest::npos) result.unexpected.push_back(tensor.key);
    } else {
      result.open_targets = all_keys(problem_);
    }
    result.reproduced = result.targets - result.open_targets.size();
    return one;
  }

  const Problem& problem_;
  Findings findings_;
  const InferOptions& options_;
  std::optional<DType> dtype_;
  Roots roots_;
  Lessons lessons_;
};

}  // namespace

}  // namespace infer

InferredRules infer_rules(const std::vector<NamedSource>& sources, const Source& target, const InferOptions& options,
                          Diagnostics& diagnostics) {
  infer::Problem problem{sources, &target, target.has_data(), {}, options.progress};
  for (const auto& source : sources) {
    problem.by_values &= source.source->has_data();
    problem.files.push_back(infer::files_of(*source.source));
  }
  FilesRead files;
  for (const auto& source : sources) files.add(*source.source);
  files.add(target);
  auto found = files.unchanged_during([&] {
    return infer::Proposal(
               problem,
               problem.by_values ? infer::find_by_values(problem) : infer::find_by_names(problem, infer::Weights()),
               options)
        .run();
  });
  for (const auto& d : found.diagnostics.items()) diagnostics.add(d);
  return std::move(found.result);
}

}  // namespace remap
