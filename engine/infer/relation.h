// What infer knows: which source tensors a target tensor is made of, and how. Private to infer.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/weights.h"
#include "remap/plan.h"
#include "remap/progress.h"

namespace remap::infer {

// A source tensor: index into the sources and into that source's manifest.
struct Ref {
  uint32_t source = 0, tensor = 0;
  auto operator<=>(const Ref&) const = default;
};

// Both sides of the question. The sources and the target must outlive it.
struct Problem {
  std::vector<NamedSource> sources;
  const Source* target = nullptr;
  bool by_values = false;
  // Of a source that is several files: what their names look like, "model.{rank}.pt"; keys are then "0/KEY", "1/KEY" …
  struct Files {
    std::string pattern;
    std::vector<std::string> keys;  // of every tensor
  };
  std::vector<std::optional<Files>> files;  // a source each
  ProgressFunction progress = {};           // told of every time that tensors are read
  const TensorInfo& info(Ref r) const { return sources[r.source].source->manifest()[r.tensor]; }
  // As rules see it, but for a root.
  const std::string& key(Ref r) const { return files[r.source] ? files[r.source]->keys[r.tensor] : info(r).key; }
  const TensorInfo& info(uint32_t t) const { return target->manifest()[t]; }
};

// A change of layout: regroup one axis (seen as [blocks, rows, columns], of which the last two are exchanged), permute,
// reshape.
struct Layout {
  int regroup_axis = -1;
  int64_t blocks = 1, rows = 1, columns = 1;
  std::vector<int> order;      // empty: as they are
  bool reshape_first = false;  // the reshape stands before the permutation
  Shape reshape;               // empty: none
  bool empty() const { return regroup_axis < 0 && order.empty() && reshape.empty(); }
  bool operator==(const Layout&) const = default;
};

struct Relation {
  enum class Kind {
    rename,
    split_each,
    split_into,
    split_each_into,
    stack,
    concat,
    stack_concat,
    replicated
  } kind = Kind::rename;
  int axis = 0;        // that is cut, joined or stacked
  int inner_axis = 0;  // stack_concat, split_each_into: the axis of the join or second cut, in one of those stacked
  int64_t groups = 1;  // named parts take turns along the axis, so many times: a head of each, then the next …
  std::vector<int64_t> sizes;  // of named parts; in one group
  std::vector<Ref> sources;    // in order; stack_concat: all parts of the first stacked tensor, then of the second …
  std::vector<uint32_t> targets;  // split: in order of the parts, as above; kNoPart: a part that another relation takes
  Layout layout;                  // after split, before stack and concat
  bool cuts() const { return kind == Kind::split_each || kind == Kind::split_into || kind == Kind::split_each_into; }
  bool cuts_or_joins_twice() const { return kind == Kind::split_each_into || kind == Kind::stack_concat; }
  std::optional<DType> cast;        // only if the rule has to say it
  std::vector<std::string> checks;  // why this is not certain; empty: it is

  static constexpr uint32_t kNoPart = static_cast<uint32_t>(-1);
};

// The end of the commonest check; the others come before it.
inline constexpr std::string_view kFitsAsWell = "fits as well, by its shape";

// What was found out; a source or target tensor is in one relation at most (parts of a cut one in several).
struct Findings {
  struct Fill {
    uint32_t target;
    double value;
  };
  struct Copy {
    uint32_t target, of;
  };
  struct Twin {
    Ref ref, of;
  };
  std::vector<Relation> relations;
  std::vector<Fill> fills;
  std::vector<Copy> copies;
  std::vector<Twin> twins;  // source tensors that hold what another one holds, and are left out
  std::vector<uint32_t> open_targets;
  std::vector<Ref> open_sources;
};

// The files of a source that is several of them; nullopt: it is one.
std::optional<Problem::Files> files_of(const Source& source);

// The longest prefix of whole words that all keys of a source have which something is made of; below it the rules
// begin. "": there is none.
std::string root_of(const Problem& problem, const Findings& findings, uint32_t source);

// A prefix for each source, which its keys lose in rules; "": none.
using Roots = std::vector<std::string>;
bool is_below_root(const Problem& problem, const Roots& roots, Ref ref);
std::string key_below_root(const Problem& problem, const Roots& roots, Ref ref);

// By values, as far as these decide. What is left is open; candidates that hold the same are decided by their names.
Findings find_by_values(const Problem& problem);
// By names and shapes. The source data are not read.
Findings find_by_names(const Problem& problem, const Weights& weights);

}  // namespace remap::infer
