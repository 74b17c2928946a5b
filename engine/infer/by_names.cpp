// By names and shapes. Keys become templates (numbers that count are left open), so the work is by templates and not by
// tensors. A hypothesis relates templates: renamed, cut, joined, stacked. Of these the best that go together are
// chosen, and what another one explains nearly as well is marked. In a source of several files, a key that all of them
// have is one tensor: replicated, or sharded along an axis.
#include <algorithm>
#include <map>

#include "infer/choice.h"
#include "infer/doubts.h"
#include "infer/hypotheses.h"
#include "infer/key_template.h"
#include "infer/relation.h"
#include "infer/weights.h"

namespace remap::infer {
namespace {

using Kind = Relation::Kind;
const std::vector<int> kTransposed = {1, 0};

// Square matrices tell nothing: they go the way of the others that are called alike.
void transpose_like_the_others(std::vector<Hypothesis>& hypotheses, const Choice& choice, const Templates& templates) {
  struct Seen {
    size_t transposed = 0, as_they_are = 0;
  };
  std::map<std::pair<std::string, std::string>, Seen> seen;  // by last words, of those that are not square
  const auto last_words = [&](const Hypothesis& one) {
    return std::pair(last_segment(templates.source[one.sources[0]]), last_segment(templates.target[one.targets[0]]));
  };
  const auto is_matrix = [&](const Hypothesis& one, bool square) {
    const Shape& shape = templates.source[one.sources[0]].shape();
    return one.is_rename() && shape.size() == 2 && (shape[0] == shape[1]) == square;
  };
  for (const size_t h : choice.chosen)
    if (const auto& one = hypotheses[h]; is_matrix(one, false)) {
      Seen& own = seen[last_words(one)];
      ++(one.order.empty() ? own.as_they_are : own.transposed);
    }
  for (const size_t h : choice.chosen) {
    auto& one = hypotheses[h];
    if (!is_matrix(one, true)) continue;
    const auto it = seen.find(last_words(one));
    if (it == seen.end() || it->second.transposed <= it->second.as_they_are) continue;
    one.order = kTransposed;
    one.checks.push_back("it is square: transposed as the others are");
  }
}

Relation blank_relation(const Hypothesis& one) {
  Relation relation;
  relation.kind = one.kind;
  relation.axis = one.axis;
  relation.layout.order = one.order;
  relation.checks = one.checks;
  return relation;
}

int64_t extent_of(const KeyTemplate& one, int axis) { return one.shape()[static_cast<size_t>(axis)]; }

// A relation for each tensor of the templates: renamed, cut into named parts, or joined of these.
std::vector<Relation> relations_by_row(const Hypothesis& one, const Templates& templates) {
  std::vector<Relation> relations;
  const KeyTemplate &source = templates.source[one.sources[0]], &target = templates.target[one.targets[0]];
  const size_t rows = (one.kind == Kind::concat ? target : source).tensors.size();
  for (size_t row = 0; row < rows; ++row) {
    Relation relation = blank_relation(one);
    for (const size_t s : one.sources) {
      const auto& refs = templates.source_refs[templates.source[s].tensors[row]];
      relation.sources.insert(relation.sources.end(), refs.begin(), refs.end());
      if (one.kind == Kind::concat) relation.sizes.push_back(extent_of(templates.source[s], one.axis));
    }
    for (const size_t t : one.targets) {
      relation.targets.push_back(templates.target_tensors[templates.target[t].tensors[row]]);
      if (one.kind == Kind::split_into) relation.sizes.push_back(extent_of(templates.target[t], one.axis));
    }
    if (source.ranks > 1) {
      relation.kind = one.cut == Hypothesis::kWhole ? Kind::replicated : Kind::concat;
      relation.axis = std::max(one.cut, 0);
    }
    relations.push_back(std::move(relation));
  }
  return relations;
}

// A relation for each whole: its numbered parts in the order of their number.
std::vector<Relation> relations_by_whole(const Hypothesis& one, const Templates& templates) {
  const auto ref = [&](size_t s, size_t row) {
    return templates.source_refs[templates.source[s].tensors[row]].front();
  };
  const auto target = [&](size_t row) {
    return templates.target_tensors[templates.target[one.targets[0]].tensors[row]];
  };
  const bool cutting = one.kind == Kind::split_each;
  const KeyTemplate &first_source = templates.source[one.sources[0]], &first_target = templates.target[one.targets[0]];
  const KeyTemplate &whole = cutting ? first_source : first_target, &part = cutting ? first_target : first_source;
  std::map<std::vector<int64_t>, std::map<int64_t, size_t>> rows;  // of the parts, by the whole's numbers
  const auto rest = without_column(part.numbers, one.column);
  for (size_t row = 0; row < part.numbers.size(); ++row) rows[rest[row]][part.numbers[row][one.column]] = row;
  std::vector<Relation> relations;
  for (size_t w = 0; w < whole.numbers.size(); ++w) {
    Relation relation = blank_relation(one);
    relation.axis = 0;
    relation.inner_axis = one.axis;
    if (cutting)
      relation.sources = {ref(one.sources[0], w)};
    else
      relation.targets = {target(w)};
    for (const auto& [number, row] : rows.at(whole.numbers[w])) {
      if (cutting)
        relation.targets.push_back(target(row));
      else
        for (const size_t s : one.sources) relation.sources.push_back(ref(s, row));
    }
    if (one.kind == Kind::stack_concat)
      for (const size_t s : one.sources) relation.sizes.push_back(extent_of(templates.source[s], one.axis));
    relations.push_back(std::move(relation));
  }
  return relations;
}

// One rule reads one source.
bool has_one_source(const Relation& relation) {
  return std::all_of(relation.sources.begin(), relation.sources.end(),
                     [&](Ref ref) { return ref.source == relation.sources[0].source; });
}

void note_open(const Problem& problem, Findings& findings) {
  std::vector<std::vector<bool>> used;
  for (const auto& source : problem.sources) used.emplace_back(source.source->manifest().size(), false);
  std::vector<bool> made(problem.target->manifest().size(), false);
  for (const auto& relation : findings.relations) {
    for (const Ref ref : relation.sources) used[ref.source][ref.tensor] = true;
    for (const uint32_t t : relation.targets) made[t] = true;
  }
  for (uint32_t s = 0; s < problem.sources.size(); ++s)
    for (uint32_t t = 0; t < used[s].size(); ++t)
      if (!used[s][t]) findings.open_sources.push_back({s, t});
  for (uint32_t t = 0; t < made.size(); ++t)
    if (!made[t]) findings.open_targets.push_back(t);
}

}  // namespace

Findings find_by_names(const Problem& problem, const Weights& weights) {
  const Templates templates = templates_of(problem);
  auto hypotheses = hypotheses_of(templates, weights);
  Choice choice = choose(hypotheses, templates, weights);
  note_doubts(hypotheses, choice, templates, weights);
  transpose_like_the_others(hypotheses, choice, templates);
  std::sort(choice.chosen.begin(), choice.chosen.end(),
            [&](size_t a, size_t b) { return hypotheses[a].sources[0] < hypotheses[b].sources[0]; });
  Findings findings;
  for (const size_t h : choice.chosen) {
    const Hypothesis& one = hypotheses[h];
    const bool by_row = one.is_rename() || one.kind == Kind::split_into || one.kind == Kind::concat;
    for (auto& relation : by_row ? relations_by_row(one, templates) : relations_by_whole(one, templates))
      if (has_one_source(relation)) findings.relations.push_back(std::move(relation));
  }
  note_open(problem, findings);
  return findings;
}

}  // namespace remap::infer
