// Two checkpoints -> relations between tensors -> rules between patterns -> text; then the text is planned like any rule file, and
// the plan compared with the target.
#include "remap/infer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include <fmt/format.h>

#include "infer/keys.h"
#include "infer/patterns.h"
#include "infer/relation.h"
#include "infer/values.h"
#include "infer/write.h"
#include "lang/rules.h"
#include "plan/rules_file.h"
#include "remap/compare.h"
#include "remap/execute.h"
#include "remap/values.h"

namespace remap {
namespace infer {
namespace {

// The longest prefix of whole words that all keys of a source have; below it the rules begin.
std::string root_of(const Problem& problem, const Findings& findings, uint32_t source) {
  if (problem.files[source]) return "";
  std::set<uint32_t> open;
  for (const Ref ref : findings.open_sources)
    if (ref.source == source) open.insert(ref.tensor);
  std::optional<std::string> common;
  const Manifest& manifest = problem.sources[source].source->manifest();
  for (uint32_t t = 0; t < manifest.size(); ++t) {
    if (open.contains(t)) continue;
    const std::string parent = parent_of(manifest[t].key);
    if (!common) common = parent;
    while (!common->empty() && !(parent.starts_with(*common) && (parent.size() == common->size() || is_separator(parent[common->size()])))) common = parent_of(*common);
  }
  std::string root = common.value_or("");
  // Numbered parts belong to the rules.
  while (!root.empty() && root.find_first_of("0123456789*{}\\\"") != std::string::npos) root = parent_of(root);
  // "layers", below which all is numbered, says more in the rules than as a root.
  const auto counts = [&](uint32_t t) {
    const std::string& key = manifest[t].key;
    return !open.contains(t) && key[root.size() + 1] >= '0' && key[root.size() + 1] <= '9';
  };
  for (uint32_t t = 0; !root.empty() && t < manifest.size(); ++t)
    if (counts(t)) root = parent_of(root);
  return root;
}

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

std::optional<Plan> plan_text(const std::string& text, const Problem& problem, const InferOptions& options, Diagnostics& diagnostics) {
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>(options.file, text), diagnostics);
  if (!set) return std::nullopt;
  impl->set = std::move(*set);
  PlanOptions plan_options;
  plan_options.same = tensors_equal;
  plan_options.values = tensor_values;
  return make_plan(Rules::of(std::move(impl)), problem.sources, plan_options, diagnostics);
}

// Where the plan's tensors are written for comparison: a batch of them, in memory.
class BatchSink : public Sink {
 public:
  explicit BatchSink(const std::vector<PlannedTensor>& tensors) {
    for (const auto& tensor : tensors) buffers_.emplace_back(static_cast<size_t>(data_bytes(tensor)));
  }
  TensorSlot slot(size_t index) override { return {buffers_[index].data(), -1, 0}; }
  const std::vector<std::byte>& bytes(size_t index) const { return buffers_[index]; }

 private:
  std::vector<std::vector<std::byte>> buffers_;
};

// Compares what a plan would write with the target; memory holds one batch, or one tensor if that is larger.
class Comparison {
 public:
  Comparison(const Problem& problem, const Plan& plan) : problem_(problem), plan_(plan), sources_(sources_of(plan, problem.sources)) {}

  std::vector<std::string> differing() {
    std::vector<bool> found(problem_.target->manifest().size(), false);
    for (const auto& planned : plan_.tensors) {
      const size_t t = problem_.target->manifest().find(planned.key);
      if (t == Manifest::npos) continue;
      found[t] = true;
      const TensorInfo& info = problem_.target->manifest()[t];
      if (info.unread != nullptr || info.dtype != planned.dtype || info.shape != planned.shape)
        differing_.push_back(info.key);
      else if (problem_.by_values && element_count(info.shape) > 0) add(planned, t);
    }
    flush();
    for (size_t t = 0; t < found.size(); ++t)
      if (!found[t]) differing_.push_back(problem_.target->manifest()[t].key);
    std::sort(differing_.begin(), differing_.end());
    return std::move(differing_);
  }

 private:
  void add(const PlannedTensor& planned, size_t t) {
    batch_.push_back(planned);
    numbers_.push_back(t);
    bytes_ += data_bytes(planned);
    if (bytes_ >= int64_t{64} << 20) flush();
  }
  void flush() {
    BatchSink sink(batch_);
    execute(batch_, sources_, sink);
    for (size_t i = 0; i < batch_.size(); ++i) {
      const TensorInfo& info = problem_.target->manifest()[numbers_[i]];
      bool same = true;
      read_in_order(*problem_.target, numbers_[i], info.dtype, [&](const std::byte* data, int64_t first, int64_t count) {
        const auto size = static_cast<size_t>(size_bytes(info.dtype));
        same = same && std::memcmp(data, sink.bytes(i).data() + static_cast<size_t>(first) * size, static_cast<size_t>(count) * size) == 0;
      });
      if (!same) differing_.push_back(info.key);
    }
    batch_.clear();
    numbers_.clear();
    bytes_ = 0;
  }

  const Problem& problem_;
  const Plan& plan_;
  std::vector<const Source*> sources_;
  std::vector<PlannedTensor> batch_;
  std::vector<size_t> numbers_;
  int64_t bytes_ = 0;
  std::vector<std::string> differing_;
};

std::vector<std::string> all_keys(const Problem& problem) {
  std::vector<std::string> keys;
  for (const auto& tensor : problem.target->manifest().tensors()) keys.push_back(tensor.key);
  return keys;
}

// One try: the rules as general as `generality` says, planned and compared.
InferredRules propose(const Problem& problem, Findings findings, Generality generality, const InferOptions& options, Diagnostics& diagnostics) {
  InferredRules result;
  const auto dtype = cast_everything(problem, findings);
  std::vector<std::string> roots;
  for (uint32_t s = 0; s < problem.sources.size(); ++s) roots.push_back(root_of(problem, findings, s));
  std::vector<size_t> left;
  auto rules = generalise(problem, findings, roots, generality, left);
  std::vector<std::string> notes;
  for (uint32_t s = 0; s < problem.sources.size(); ++s) {
    const auto lies_outside = [&](const Ref ref) { return ref.source == s && !roots[s].empty() && !problem.info(ref).key.starts_with(roots[s]); };
    const auto count = std::count_if(findings.open_sources.begin(), findings.open_sources.end(), lies_outside);
    if (count > 0) notes.push_back(fmt::format("# {} tensors outside '{}' are not read, such as '{}'", count, roots[s], problem.info(*std::find_if(findings.open_sources.begin(), findings.open_sources.end(), lies_outside)).key));
  }
  for (const uint32_t t : findings.open_targets)
    notes.push_back(fmt::format("# open: nothing gives '{}' {}", problem.info(t).key, describe(problem.info(t))));
  for (const size_t r : left)
    for (const uint32_t t : findings.relations[r].targets)
      if (t != Relation::kNoPart) notes.push_back(fmt::format("# open: '{}' is made of '{}', in a way that one rule cannot say", problem.info(t).key, problem.info(findings.relations[r].sources[0]).key));
  Written written = write_rules(problem, findings, std::move(rules), roots, dtype, notes, options);
  result.text = std::move(written.text);
  result.rules = written.rules;
  result.marked = written.marked;
  result.by_values = problem.by_values;
  result.targets = problem.target->manifest().size();
  for (const Ref ref : findings.open_sources) {
    const std::string &key = problem.info(ref).key, &root = roots[ref.source];
    if (root.empty() || key.starts_with(root + ".") || key.starts_with(root + "/")) result.open_sources.push_back(key);
  }
  const auto plan = plan_text(result.text, problem, options, diagnostics);
  result.open_targets = plan ? Comparison(problem, *plan).differing() : all_keys(problem);
  result.reproduced = result.targets - result.open_targets.size();
  return result;
}

}  // namespace

std::optional<Problem::Files> files_of(const Source& source) {
  Problem::Files files;
  std::set<std::string> numbers;
  std::optional<InFile> first;
  for (const auto& tensor : source.manifest().tensors()) {
    const auto one = in_file(tensor.key);
    if (!one || (first && (one->before != first->before || one->after != first->after))) return std::nullopt;
    if (!first) first = one;
    numbers.insert(one->number);
    size_t zeros = 0;
    while (zeros + 1 < one->number.size() && one->number[zeros] == '0') ++zeros;
    files.keys.push_back(one->number.substr(zeros) + "/" + one->key);
  }
  if (numbers.size() < 2) return std::nullopt;
  files.pattern = first->before + "{rank}" + first->after;
  return files;
}

}  // namespace infer

InferredRules infer_rules(const std::vector<NamedSource>& sources, const Source& target, const InferOptions& options, Diagnostics& diagnostics) {
  infer::Problem problem{sources, &target, target.has_data(), {}};
  for (const auto& source : sources) {
    problem.by_values &= source.source->has_data();
    problem.files.push_back(infer::files_of(*source.source));
  }
  const infer::Findings findings = problem.by_values ? infer::find_by_values(problem) : infer::find_by_names(problem);
  std::optional<InferredRules> best;
  Diagnostics best_diagnostics;
  for (const auto generality : {infer::Generality::full, infer::Generality::indices, infer::Generality::none}) {
    Diagnostics own;
    InferredRules result = infer::propose(problem, findings, generality, options, own);
    const bool all = !own.has_errors();
    if (!best || result.reproduced > best->reproduced) best = std::move(result), best_diagnostics = std::move(own);
    if (all) break;
  }
  for (const auto& d : best_diagnostics.items()) diagnostics.add(d);
  return std::move(*best);
}

}  // namespace remap
