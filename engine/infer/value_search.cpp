#include "infer/value_search.h"

#include <algorithm>
#include <set>

#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "infer/weights.h"
#include "ops/cast.h"

namespace remap::infer {

namespace {

// A tensor's print, to be made or completed.
struct Task {
  const Source* source;
  size_t index;
  DType as;
  Print* print;
};

template <typename Work>
void on_all_cores(const std::vector<Task>& tasks, const ProgressFunction& progress, const Work& work) {
  const auto bytes_of = [&](const Task& task) { return data_bytes(task.source->manifest()[task.index]); };
  int64_t bytes = 0;
  for (const Task& task : tasks) bytes += bytes_of(task);
  ProgressCounter counter(progress, static_cast<uint64_t>(bytes));
  parallel_each(tasks.size(), bytes, [&] {
    return [&](size_t i) {
      work(tasks[i]);
      counter.add(static_cast<uint64_t>(bytes_of(tasks[i])));
    };
  });
  counter.finish();
}

}  // namespace

ValueSearch::ValueSearch(const Problem& asked) : problem(asked) {
  std::set<DType> wanted;
  for (const auto& tensor : problem.target->manifest().tensors())
    if (tensor.unread == nullptr) wanted.insert(tensor.dtype);
  for (uint32_t s = 0; s < problem.sources.size(); ++s) {
    const Source& source = *problem.sources[s].source;
    first_.push_back(sources.size());
    for (uint32_t t = 0; t < source.manifest().size(); ++t) {
      SourceTensor one{{s, t}, {}, false};
      for (const DType dtype : wanted)
        if (source.manifest()[t].unread == nullptr && ops::cast_supported(dtype, source.manifest()[t].dtype))
          one.prints.emplace(dtype, Print{});
      sources.push_back(std::move(one));
    }
  }
  std::vector<Task> tasks;
  for (size_t s = 0; s < sources.size(); ++s)
    for (auto& [dtype, print] : sources[s].prints)
      tasks.push_back({&source_of(s), sources[s].ref.tensor, dtype, &print});
  for (uint32_t t = 0; t < problem.target->manifest().size(); ++t) {
    const bool unread = target_info(t).unread != nullptr;
    targets.push_back({{}, unread, unread});
  }
  for (size_t t = 0; t < targets.size(); ++t)
    if (!targets[t].left) tasks.push_back({problem.target, t, target_info(t).dtype, &targets[t].print});
  on_all_cores(tasks, problem.progress,
               [](const Task& task) { *task.print = print_of(*task.source, task.index, task.as); });
}

void ValueSearch::sum_open() {
  std::vector<Task> tasks;
  const auto add = [&](const Source& source, size_t index, DType as, Print& print) {
    if (!print.multiset) tasks.push_back({&source, index, as, &print});
  };
  for (size_t s = 0; s < sources.size(); ++s)
    for (auto& [dtype, print] : sources[s].prints)
      if (!sources[s].used) add(source_of(s), sources[s].ref.tensor, dtype, print);
  for (size_t t = 0; t < targets.size(); ++t)
    if (!targets[t].done) add(*problem.target, t, target_info(t).dtype, targets[t].print);
  on_all_cores(tasks, problem.progress,
               [](const Task& task) { task.print->multiset = multiset_of(*task.source, task.index, task.as); });
}

bool ValueSearch::any_open() const {
  return std::any_of(sources.begin(), sources.end(), [](const auto& s) { return !s.used; }) &&
         std::any_of(targets.begin(), targets.end(), [](const auto& t) { return !t.done; });
}

Elements ValueSearch::source_elements(size_t s, DType as) const {
  const Shape& shape = info(s).shape;
  return {source_of(s), sources[s].ref.tensor, {Shape(shape.size(), 0), shape}, as};
}

Elements ValueSearch::target_elements(size_t t) const {
  const TensorInfo& tensor = target_info(t);
  return {*problem.target, t, {Shape(tensor.shape.size(), 0), tensor.shape}, tensor.dtype};
}

void ValueSearch::take(Relation relation) {
  for (const Ref ref : relation.sources) sources[number_of(ref)].used = true;
  for (const uint32_t t : relation.targets)
    if (t != Relation::kNoPart) targets[t].done = true;
  findings.relations.push_back(std::move(relation));
}

void ValueSearch::rename(size_t s, uint32_t t, const Layout& layout, const std::string& check) {
  Relation relation;
  relation.sources = {sources[s].ref};
  relation.targets = {t};
  relation.layout = layout;
  if (!check.empty()) relation.checks = {check};
  if (const auto all = replicas.find(s); all != replicas.end()) {
    relation.kind = Relation::Kind::replicated;
    relation.sources.clear();
    for (const size_t one : all->second) relation.sources.push_back(sources[one].ref);
  }
  take(std::move(relation));
}

const std::vector<Relation>& ValueSearch::suggested() {
  if (!suggested_) suggested_ = find_by_names(problem, Weights()).relations;
  return *suggested_;
}

NameGuide ValueSearch::guide() const {
  return NameGuide(problem, findings.relations, suggested_ ? *suggested_ : std::vector<Relation>{});
}

void leave_shared_bytes(ValueSearch& search) {
  for (size_t s = 0; s < search.sources.size(); ++s)
    if (is_sub_byte(search.info(s).dtype)) search.sources[s].prints.clear();
  for (size_t t = 0; t < search.targets.size(); ++t)
    if (!search.targets[t].done && is_sub_byte(search.target_info(t).dtype))
      search.targets[t].done = search.targets[t].left = true;
}

}  // namespace remap::infer
