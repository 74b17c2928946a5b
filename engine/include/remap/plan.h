// A Plan says, for every target tensor, its dtype, its shape and the pieces of source tensors it is made of.
// Plain value, made from rules and manifests alone (no tensor data): deterministic, sorted by target key.
// The executor knows nothing else: every operation of the rule language reduces to pieces.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"
#include "remap/manifest.h"
#include "remap/metadata.h"
#include "remap/source.h"

namespace remap {

// One axis of a piece's iteration space. Advancing it by 1 moves `target_step` along dimension `target_dim` of the
// target tensor and `source_step` along `source_dim` of the source tensor. Several axes may share a dimension
// (reshape).
struct Axis {
  int64_t extent = 1;
  int64_t target_step = 1;
  int64_t source_step = 1;
  uint8_t target_dim = 0;
  uint8_t source_dim = 0;
  bool operator==(const Axis&) const = default;
};

// (strided region of a target tensor) <- (strided region of a source tensor). Symmetric in source and target, so the
// inverse of a piece is the piece with both sides exchanged. Every element of the region is written once. A piece of
// rank-0 tensors has no axes and covers one element.
struct Piece {
  uint32_t source = 0;  // index into Plan::sources
  uint32_t tensor = 0;  // index into that source's manifest
  SharedList<Axis> axes;
  std::vector<int64_t> target_origin;  // empty: all zero; else one entry a dimension of the target
  std::vector<int64_t> source_origin;  // empty: all zero; else one entry a dimension of the source
  bool operator==(const Piece&) const = default;
};

// Numbers that are not from a source, in a region of a target tensor: element (i, j, …) of it is value + step * k,
// where k is what the source side of the region's axes adds up to. `step` is 0: a constant.
struct FilledPart {
  Piece region = {};  // its source and tensor mean nothing
  double value = 0, step = 0;
  bool operator==(const FilledPart&) const = default;
};

struct PlannedTensor {
  std::string key;
  DType dtype = DType::f32;
  SharedShape shape;
  std::vector<Piece> pieces;   // disjoint; with `filled` they cover the tensor, unless `fill` is set
  std::optional<double> fill;  // constant value; then there is nothing else
  uint32_t rule = 0;           // index into Plan::rules
  // Disjoint, from the pieces too: padding, or a tensor that counts.
  std::vector<FilledPart> filled = {};
  bool operator==(const PlannedTensor&) const = default;
};

// Nothing of a source is in it.
inline bool is_made(const PlannedTensor& tensor) {
  return tensor.fill || (tensor.pieces.empty() && !tensor.filled.empty());
}

inline int64_t data_bytes(const PlannedTensor& tensor) { return data_bytes(tensor.dtype, tensor.shape, tensor.key); }

struct PlanSource {
  std::string name;  // "" for the first
  std::string format;
  std::shared_ptr<const Manifest> manifest;
  // Where the rules compute: the given source, which must outlive its use, with what is computed of its tensors beside
  // them (remap/computed.h); `manifest` is its own. Null: nothing is.
  std::shared_ptr<const Source> computing = {};
  std::vector<uint32_t> computed = {};  // which tensors these are, sorted
  bool is_computed(size_t tensor) const { return std::binary_search(computed.begin(), computed.end(), tensor); }
};

struct PlanRule {
  std::string summary;  // "encoder.layers.*.fc1.weight → encoder.layer.*.intermediate.dense.weight"
  TextPlace place;
};

struct DroppedTensor {
  uint32_t source = 0, tensor = 0, rule = 0;
  std::string because;
  std::string part = {};  // "[50257:50304]", where the rest of the tensor is carried over; "": all of it
  int64_t elements = 0;   // of the part
};

// What a rule for the rest took.
struct RestTaken {
  uint32_t rule = 0;
  size_t n_keys = 0;
  std::string because;
};

// What an entry of 'computed' makes: tensors whose values are in no source.
struct PlanComputed {
  std::string summary;  // "weight_norm(**.weight_g, **.weight_v) → **.weight"
  TextPlace place;
  size_t n_keys = 0;  // that the rules see
  std::string because;
};

// A fact about values that the plan rests on: do these two source tensors hold the same bytes?
struct PlanCheck {
  std::string a, b;          // keys, as the rules see them
  std::optional<bool> same;  // absent: not known, since there is no data; the plan takes it as true
};

struct BoundDim {
  std::string name;
  int64_t value = 0;
  std::string origin;  // "axis 1 of 'encoder.embed_tokens.weight'"
  TextPlace place;     // where the rule says so
};

struct Plan {
  std::string family, title, architecture;
  std::vector<PlanSource> sources;
  std::vector<PlanRule> rules;
  std::vector<PlannedTensor> tensors;       // sorted by key (bytes)
  std::vector<DroppedTensor> dropped;       // sorted by key, then by part
  std::vector<RestTaken> rests = {};        // a rule for the rest each, in their order
  std::vector<PlanComputed> computed = {};  // an entry of 'computed' each, in their order
  std::vector<BoundDim> dims;               // sorted by name
  std::vector<std::pair<std::string, std::string>> variants;
  std::vector<PlanCheck> checks;
  Json config = Json::object();                     // config.json
  bool parameter_sum = false;                       // the rules ask for parameter_sums() to be compared
  std::vector<std::pair<std::string, Json>> files;  // further JSON files
  std::map<std::string, std::string>
      metadata;  // of a safetensors source, carried into the '__metadata__' of every file written
  std::vector<std::string>
      left_behind;                // what a checkpoint says beside its tensors and the output does not, a line each
  std::vector<std::string> open;  // what a manifest alone cannot tell; empty for a plan made from a checkpoint
};

// Whether any value of it is computed, and not moved.
bool is_computed(const Plan& plan, const PlannedTensor& tensor);

struct NamedSource {
  std::string name;  // "" for the first
  const Source* source = nullptr;
};

// Answers whether two tensors hold the same bytes (tensors_equal), and what a small one holds (tensor_values). The
// planner itself never reads data.
using SameValues = std::function<bool(const Source& a, size_t index_a, const Source& b, size_t index_b)>;
using TensorValues = std::function<Json(const Source& source, size_t index)>;

// What the user chose, and what of the data planning may ask for. `same` and `values` are called on the planning
// thread, with the sources that make_plan() was given. Where they are not set, a plan that needs the answer takes it as
// yes and lists it as open (`same`), or is refused (`values`): give both whenever the sources have data.
struct PlanOptions {
  std::map<std::string, std::string> set;  // variants the user chose; "dtype" is one of every rule file
  SameValues same;
  TensorValues values;
  std::map<std::string, Json> documents;  // by the name that the rules have for them
  Json config = Json::object();  // fields of config.json that the user gave; facts of the checkpoint must agree
  std::string config_file;       // where they are from, for messages
  Limits limits = {};            // max_tensors: of the targets, too
};

// A rule file with its target schema, checked; immutable and shareable between threads.
class Rules {
 public:
  // `name` is a file, or the name of a rule file or family in one of the `folders` or built in (looked for in this
  // order). nullopt if `diagnostics` has errors: all mistakes are reported.
  static std::optional<Rules> load(const std::string& name, Diagnostics& diagnostics,
                                   const std::vector<std::string>& folders = {}, const Limits& limits = {});
  // The same for make_plan(), which reports names that nothing defines itself: a rule that would bind them may be
  // missing.
  static std::optional<Rules> load_to_plan(const std::string& name, Diagnostics& diagnostics,
                                           const std::vector<std::string>& folders = {}, const Limits& limits = {});
  // Names of the rule files (*.yaml) in the folders and built in, sorted; one that two places have is listed once.
  static std::vector<std::string> known(const std::vector<std::string>& folders = {});

  std::string file() const;  // as found; of a built-in one its place in the source tree
  std::string text() const;  // of the rule file
  std::string family() const;
  std::string title() const;
  std::vector<std::string> architectures() const;
  std::string library() const;  // whose classes the target is, "transformers 4.38.2"; "" if not said
  size_t rule_count() const;
  struct Need {
    std::string name, format, root, doc;  // root: "'model'", "'model.model' or the top", "" for the whole checkpoint
    bool document = false;                // holds no tensors; may be left out
    std::string beside;                   // of a document: the file's name in the checkpoint's folder; may be ""
    std::string files;                    // "consolidated.{rank}.pth", if the checkpoint may be several files
  };
  std::vector<Need> sources() const;  // the first one has the name ""; documents come last
  struct Choice {
    std::string name, doc;
  };
  std::vector<Choice> variants() const;
  std::string subtree(size_t source) const;  // OpenOptions::subtree for this source; "" if there is a choice
  OpenOptions open_options(
      size_t source) const;  // how to open this source: its subtree, and which files of a folder are its parts

  // Whether the rules are for checkpoints of this format; `why` says if not.
  bool reads(const Source& source, std::string& why) const;
  // Whether the checkpoint is of this family; `why` says what spoke against it.
  bool recognise(const Source& source, std::string& why) const;
  // Whether it is of this family but for a prefix: its keys lie below another root than the rules name.
  bool recognise_elsewhere(const Source& source) const;

  struct Impl;  // plan/load_rules.h
  const Impl& impl() const { return *impl_; }
  static Rules of(std::shared_ptr<const Impl> impl);

 private:
  static std::optional<Rules> load(const std::string& name, Diagnostics& diagnostics,
                                   const std::vector<std::string>& folders, const Limits& limits,
                                   bool leave_unknown_names);
  std::shared_ptr<const Impl> impl_;
};

// Applies the rules to the manifests. nullopt if `diagnostics` has errors; all that can be found at once is reported.
// The plan shares the sources' manifests and outlives rules and sources. May be called from several threads at once,
// also with the same rules and sources.
std::optional<Plan> make_plan(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
                              Diagnostics& diagnostics);

// Why running the plan backwards would not restore this tensor's source bytes; "" if it would.
std::string irreversible_because(const Plan& plan, const PlannedTensor& tensor);

}  // namespace remap
