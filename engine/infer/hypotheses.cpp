#include "infer/hypotheses.h"

#include <algorithm>
#include <map>

#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

constexpr size_t kMaxCandidates = 400;  // of one template that fit by shape; beyond, only those whose names are alike
constexpr size_t kMaxSegments = 5;      // at the end of keys that are compared as they are written

bool is_kernel(const KeyTemplate& from, const KeyTemplate& to) {
  return last_segment(from) == kKernel && last_segment(to) == kWeight;
}

double likeness(const KeyTemplate& from, const KeyTemplate& to, const Weights& weights) {
  double score = alikeness(from.words, to.words, weights.word_decay);
  // weight and bias, running_mean and running_var: what a module's tensors are called is hardly ever changed.
  if (from.leaf == to.leaf)
    score += weights.same_leaf;
  else
    score -= is_tensor_of_module(from.leaf) && is_tensor_of_module(to.leaf) ? weights.other_tensor : weights.other_leaf;
  const auto a = segments_of(from.ordinal), b = segments_of(to.ordinal);
  const size_t most = std::min({a.size(), b.size(), kMaxSegments});
  size_t same = 0;
  while (same < most && a[a.size() - 1 - same] == b[b.size() - 1 - same]) ++same;
  return score + weights.same_segment * static_cast<double>(same);
}

// The axes of `from` in the order in which `to` has their extents, of equal ones the last first; nullopt: they differ.
std::optional<std::vector<int>> axis_order(const Shape& from, const Shape& to) {
  std::vector<bool> used(from.size(), false);
  std::vector<int> order;
  for (const int64_t extent : to)
    for (size_t d = from.size(); d-- > 0;)
      if (!used[d] && from[d] == extent) {
        used[d] = true;
        order.push_back(static_cast<int>(d));
        break;
      }
  return order.size() == from.size() && from.size() == to.size() ? std::optional(order) : std::nullopt;
}

// `shapes`: of what each source tensor becomes.
std::optional<Hypothesis> rename_to(const Templates& templates, size_t s, size_t t, const std::vector<Shape>& shapes,
                                    const Weights& weights) {
  const KeyTemplate &from = templates.source[s], &to = templates.target[t];
  const Numbers numbers = compare_numbers(from, to);
  if (numbers == Numbers::differ) return std::nullopt;
  Hypothesis one;
  one.sources = {s}, one.targets = {t};
  if (from.shapes != shapes) {
    if (!from.is_uniform() || !to.is_uniform()) return std::nullopt;
    const auto order = axis_order(from.shape(), shapes.front());
    if (!order) return std::nullopt;
    one.order = *order;
  }
  const bool matrix = from.shape().size() == 2, expected = matrix && is_kernel(from, to);
  if (expected && from.shape()[0] == from.shape()[1]) one.order = {1, 0};
  one.base = likeness(from, to, weights) - (one.order.empty() == expected ? weights.odd_layout : 0) -
             (numbers == Numbers::moved ? weights.moved_numbers : 0);
  if (is_same_name(from, to) && one.order.empty() && numbers == Numbers::same) one.base += weights.same_name;
  return one;
}

// As it is, and of several files joined along an axis: what changes least.
std::optional<Hypothesis> rename(const Templates& templates, size_t s, size_t t, const Weights& weights) {
  const KeyTemplate &from = templates.source[s], &to = templates.target[t];
  auto best = rename_to(templates, s, t, to.shapes, weights);
  if (from.ranks == 1 || !to.is_uniform()) return best;
  for (size_t axis = 0; axis < to.shape().size(); ++axis) {
    Shape cut = to.shape();
    if (cut[axis] == 0 || cut[axis] % from.ranks != 0) continue;
    cut[axis] /= from.ranks;
    auto one = rename_to(templates, s, t, std::vector<Shape>(to.shapes.size(), cut), weights);
    if (!one || (best && (best->order.empty() || !one->order.empty()))) continue;
    best = std::move(one);
    best->cut = static_cast<int>(axis);
  }
  return best;
}

}  // namespace

std::vector<Hypothesis> rename_hypotheses(const Templates& templates, const Weights& weights) {
  std::map<ShapeClass, std::vector<size_t>> targets;
  for (size_t t = 0; t < templates.target.size(); ++t)
    for (const auto& shape : shape_classes(templates.target[t])) targets[shape].push_back(t);
  std::vector<Hypothesis> all;
  for (size_t s = 0; s < templates.source.size(); ++s) {
    std::vector<Hypothesis> own;
    for (const auto& shape : shape_classes(templates.source[s])) {
      const auto it = targets.find(shape);
      if (it == targets.end()) continue;
      for (const size_t t : it->second)
        if (auto one = rename(templates, s, t, weights)) own.push_back(std::move(*one));
    }
    if (own.size() > kMaxCandidates) {
      std::stable_sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return a.base > b.base; });
      own.resize(kMaxCandidates);
    }
    for (auto& one : own) all.push_back(std::move(one));
  }
  return all;
}

// Sources with one number more than the target: stacked. Targets with one more: cut one by one.
std::vector<Hypothesis> stack_hypotheses(const Templates& templates, const Weights& weights) {
  std::vector<Hypothesis> all;
  for (const bool stacking : {true, false}) {
    const auto &parts = stacking ? templates.source : templates.target,
               &wholes = stacking ? templates.target : templates.source;
    for (size_t p = 0; p < parts.size(); ++p) {
      const KeyTemplate& part = parts[p];
      if (part.columns == 0 || !part.is_uniform() || part.ranks > 1) continue;
      for (size_t w = 0; w < wholes.size(); ++w) {
        const KeyTemplate& whole = wholes[w];
        if (whole.columns + 1 != part.columns || whole.shape().size() != part.shape().size() + 1 ||
            !whole.is_uniform() || whole.floating != part.floating || whole.ranks > 1)
          continue;
        const auto column = stacked_column(part, whole);
        if (!column) continue;
        Hypothesis one;
        one.kind = stacking ? Relation::Kind::stack : Relation::Kind::split_each;
        (stacking ? one.sources : one.targets) = {p};
        (stacking ? one.targets : one.sources) = {w};
        one.column = *column;
        const Shape rest(whole.shape().begin() + 1, whole.shape().end());
        if (rest != part.shape()) {
          if (rest.size() != 2 || rest[0] != part.shape()[1] || rest[1] != part.shape()[0]) continue;
          one.order = {1, 0};
        }
        one.base = alikeness(part.words, whole.words, weights.word_decay) -
                   (part.shape().size() < 2 ? weights.stacked_vectors : 0) -
                   (one.order.empty() ? 0 : weights.stacked_transposed);
        all.push_back(std::move(one));
      }
    }
  }
  return all;
}

std::vector<Hypothesis> hypotheses_of(const Templates& templates, const Weights& weights) {
  auto all = rename_hypotheses(templates, weights);
  for (auto& one : stack_hypotheses(templates, weights)) all.push_back(std::move(one));
  for (auto& one : fused_hypotheses(templates, weights)) all.push_back(std::move(one));
  return all;
}

}  // namespace remap::infer
