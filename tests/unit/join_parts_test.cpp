// concat, stack and split in all their combinations: every target beside what its pieces make of numbered elements.
#include "plan/build_tensors.h"
#include "plan/match_keys.h"
#include "support/catch.h"
#include "support/planning.h"

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;

namespace {

// What the pieces make of a source whose elements are 100 * (number of its tensor) + their place in it.
std::vector<int64_t> elements(const PlannedTensor& tensor, const Manifest& manifest) {
  const Shape to_strides = MemorySource::row_major(tensor.shape);
  std::vector<int64_t> values(static_cast<size_t>(element_count(tensor.shape)), -1);
  for (const Piece& piece : tensor.pieces) {
    const Shape from_strides = MemorySource::row_major(manifest[piece.tensor].shape);
    std::vector<std::pair<int64_t, int64_t>> places = {{0, 0}};  // in the target, in the source
    for (size_t d = 0; d < piece.target_origin.size(); ++d) places[0].first += piece.target_origin[d] * to_strides[d];
    for (size_t d = 0; d < piece.source_origin.size(); ++d)
      places[0].second += piece.source_origin[d] * from_strides[d];
    for (const Axis& axis : piece.axes) {
      std::vector<std::pair<int64_t, int64_t>> next;
      for (const auto& [to, from] : places)
        for (int64_t i = 0; i < axis.extent; ++i)
          next.emplace_back(to + i * axis.target_step * to_strides[axis.target_dim],
                            from + i * axis.source_step * from_strides[axis.source_dim]);
      places = std::move(next);
    }
    for (const auto& [to, from] : places) {
      CHECK(values[static_cast<size_t>(to)] == -1);  // no element is written twice
      values[static_cast<size_t>(to)] = 100 * piece.tensor + from;
    }
  }
  return values;
}

struct Listed {
  std::string key;
  Shape shape;
};

struct Built {
  Built(const std::string& rule, const std::vector<Listed>& sources)
      : planning("rules:\n  - {" + rule + "}\n", tensors_of(sources)) {
    const plan::Choices choices;
    const plan::Matches matches =
        plan::match_keys(planning.input, choices, {true}, planning.scope, planning.diagnostics);
    targets =
        plan::build_tensors(planning.input, choices, {true}, matches, {}, planning.scope, planning.diagnostics).tensors;
  }
  static std::vector<MemoryTensor> tensors_of(const std::vector<Listed>& sources) {
    std::vector<MemoryTensor> tensors;
    for (const Listed& s : sources) tensors.push_back({s.key, DType::f32, s.shape, {}});
    return tensors;
  }
  std::string text() const {
    std::string text;
    for (const PlannedTensor& t : targets)
      text += fmt::format("{}{} {} {}", text.empty() ? "" : "; ", t.key, to_string(t.shape),
                          to_string(elements(t, planning.source.manifest())));
    return text;
  }
  ToyPlanning planning;
  std::vector<PlannedTensor> targets;
};

}  // namespace

TEST_CASE("parts become tensors, and tensors parts, element by element") {
  struct Row {
    const char* rule;
    std::vector<Listed> sources;
    const char* targets;
  };
  const std::vector<Listed> q_k = {{"k", {1, 2}}, {"q", {2, 2}}};  // tensor 0 is k, tensor 1 is q
  const Row rows[] = {
      {"from: x, to: y", {{"x", {2, 2}}}, "y [2,2] [0,1,2,3]"},
      {"from: x, to: y, transpose: true", {{"x", {2, 3}}}, "y [3,2] [0,3,1,4,2,5]"},
      {"from: x, to: y, reshape: [_, 2]", {{"x", {6}}}, "y [3,2] [0,1,2,3,4,5]"},
      {"from: x, to: \"{p}\", split: {axis: 0, into: {p: [a, b]}}", {{"x", {2, 2}}}, "a [1,2] [0,1]; b [1,2] [2,3]"},
      {"from: x, to: \"{p}\", split: {axis: 1, into: {p: {a: 2, b: 1}}}",
       {{"x", {2, 3}}},
       "a [2,2] [0,1,3,4]; b [2,1] [2,5]"},
      {"from: x, to: \"x.{e}\", split: {axis: 0, each: e}", {{"x", {2, 2}}}, "x.0 [2] [0,1]; x.1 [2] [2,3]"},
      {"from: x, to: \"x.{e}\", split: {axis: 1, each: e}", {{"x", {2, 2}}}, "x.0 [2] [0,2]; x.1 [2] [1,3]"},
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [q, k]}}", q_k, "y [3,2] [100,101,102,103,0,1]"},
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [k, q]}}", q_k, "y [3,2] [0,1,100,101,102,103]"},
      {"from: \"{r}.x\", to: x, concat: {axis: 1, each: r}",
       {{"0.x", {2, 1}}, {"1.x", {2, 2}}},
       "x [2,3] [0,100,101,1,102,103]"},
      {"from: \"x.{e}\", to: x, stack: {axis: 0, each: e}", {{"x.0", {2}}, {"x.1", {2}}}, "x [2,2] [0,1,100,101]"},
      {"from: \"x.{e}\", to: x, stack: {axis: 1, each: e}", {{"x.0", {2}}, {"x.1", {2}}}, "x [2,2] [0,100,1,101]"},
      {"from: \"x.{e:4..5}\", to: x, stack: {axis: 0, each: e}", {{"x.4", {1}}, {"x.5", {1}}}, "x [2,1] [0,100]"},
      {"from: \"x.{e}.{p}\", to: x, stack: {axis: 0, each: e}, concat: {axis: 0, of: {p: [a, b]}}",
       {{"x.0.a", {1}}, {"x.0.b", {1}}, {"x.1.a", {1}}, {"x.1.b", {1}}},
       "x [2,2] [0,100,200,300]"},
      {"from: \"{r}.x\", to: \"{p}\", split: {axis: 0, into: {p: [a, b]}}, concat: {axis: 0, each: r}",
       {{"0.x", {2}}, {"1.x", {2}}},
       "a [2] [0,100]; b [2] [1,101]"},
      {"from: \"x.{e}\", to: x, transpose: true, stack: {axis: 0, each: e}",
       {{"x.0", {1, 2}}, {"x.1", {1, 2}}},
       "x [2,2,1] [0,1,100,101]"},
      {"from: \"x.{e}\", to: x, steps: [{stack: {axis: 0, each: e}}, {reshape: [_]}]",
       {{"x.0", {2}}, {"x.1", {2}}},
       "x [4] [0,1,100,101]"},
      // A part that is one entry of the axis.
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [q, {entry: k}]}}",
       {{"k", {2}}, {"q", {2, 2}}},
       "y [3,2] [100,101,102,103,0,1]"},
      {"from: \"{p}\", to: y, concat: {axis: 1, of: {p: [{entry: k}, q, {entry: k}]}}",
       {{"k", {2}}, {"q", {2, 2}}},
       "y [2,4] [0,100,101,0,1,102,103,1]"},
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [q, {entry: k}, {fill: 0, size: 0}]}}",
       {{"k", {}}, {"q", {2}}},
       "y [3] [100,101,0]"},
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [{entry: k}, {entry: q}]}}",
       {{"k", {2}}, {"q", {2}}},
       "y [2,2] [0,1,100,101]"},
      {"from: \"{p}\", to: y, steps: [{concat: {axis: 0, of: {p: [{entry: k}, q]}}}, {transpose: true}]",
       {{"k", {2}}, {"q", {1, 2}}},
       "y [2,2] [0,100,1,101]"},
      // Heads that hold a part of each by turns.
      {"from: \"{p}\", to: y, steps: [{reshape: [2, _]}, {concat: {axis: 1, of: {p: [q, k]}}}, {reshape: [_]}]",
       {{"k", {2}}, {"q", {4}}},
       "y [6] [100,101,0,102,103,1]"},
      {"from: x, to: \"{p}\", steps: [{reshape: [2, _]}, {split: {axis: 1, into: {p: {q: 2, k: 1}}}}, {reshape: [_]}]",
       {{"x", {6}}},
       "q [4] [0,1,3,4]; k [2] [2,5]"},
      {"from: x, to: \"{e}.{p}\", steps: [{split: {axis: 0, each: e}}, {split: {axis: 0, into: {p: [a, b]}}}]",
       {{"x", {2, 2}}},
       "0.a [1] [0]; 0.b [1] [1]; 1.a [1] [2]; 1.b [1] [3]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rule);
    const Built built(row.rule, row.sources);
    CHECK(messages(built.planning.diagnostics).empty());
    CHECK(built.text() == row.targets);
  }
}

TEST_CASE("parts that do not fit are named") {
  struct Row {
    const char* rule;
    std::vector<Listed> sources;
    const char* message;
  };
  const Row rows[] = {
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [q, k]}}",
       {{"q", {2}}},
       "plan-part-missing: 'y' needs the parts k of '{p}', which the checkpoint does not have"},
      {"from: \"x.{e}\", to: x, stack: {axis: 0, each: e}",
       {{"x.0", {2}}, {"x.2", {2}}},
       "plan-part-missing: 'x' needs the parts 1 of '{e}', which the checkpoint does not have"},
      {"from: \"{p}\", to: y, concat: {axis: 0, of: {p: [q, k]}}",
       {{"k", {2, 3}}, {"q", {2, 2}}},
       "plan-layout: 'k' of shape [2,3]: it cannot be joined with 'q' of shape F32 [2,2]"},
      {"from: \"{p}\", to: y, concat: {axis: 1, of: {p: [q, k]}}",
       {{"k", {2}}, {"q", {2}}},
       "plan-layout: 'q' of shape [2]: there is no axis 1 to join along"},
      {"from: x, to: \"{p}\", split: {axis: 0, into: {p: {a: 1, b: 2}}}",
       {{"x", {4}}},
       "plan-layout: 'x' of shape [4]: axis 0 has 4 entries; the 2 parts have 3"},
      {"from: x, to: \"{p}\", split: {axis: 1, into: {p: [a, b]}}",
       {{"x", {4}}},
       "plan-layout: 'x' of shape [4]: there is no axis 1 to split"},
      {"from: x, to: \"x.{e}\", split: {axis: 0, each: e}",
       {{"x", {0, 2}}},
       "plan-layout: 'x' of shape [0,2]: axis 0 has no entries to split"},
      {"from: x, to: y, transpose: true",
       {{"x", {4}}},
       "plan-layout: 'x' of shape [4]: 'transpose' exchanges the axes of a matrix; this is [4]"},
      {"from: x, to: y, reshape: [_, 3]",
       {{"x", {4}}},
       "plan-layout: 'x' of shape [4]: [4] has 4 elements, which 3 does not divide: '_' has no size"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rule);
    const Built built(row.rule, row.sources);
    REQUIRE_FALSE(built.planning.diagnostics.empty());
    CHECK(messages(built.planning.diagnostics).front() == row.message);
  }
}
