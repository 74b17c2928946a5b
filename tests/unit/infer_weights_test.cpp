// Every weight of the matching by names decides something: without it, a pair of the corpus gets worse.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "infer/key_text.h"
#include "infer/relation.h"
#include "infer/weights.h"
#include "remap/source.h"
#include "support/catch.h"
#include "support/memory_source.h"
#include "support/shipped.h"

namespace fs = std::filesystem;
using namespace remap;
using infer::Findings;
using infer::Problem;
using infer::Ref;
using infer::Relation;
using infer::Weights;

namespace {

const std::string kData = REMAP_TEST_DATA "/";

using Lists = std::vector<std::pair<std::string, std::vector<TensorInfo>>>;  // of sources by name

// Lists of tensors, and which source tensors each target is made of, by keys.
struct Pair {
  std::string name;
  Lists sources;
  std::vector<TensorInfo> target;
  std::map<std::string, std::set<std::pair<uint32_t, std::string>>> wanted;
};

Pair mapping_pair(const std::string& name) {
  const std::string folder = kData + "mapping-pairs/" + name;
  Pair pair{name,
            {{"", open_source(folder + "/source.safetensors")->manifest().tensors()}},
            open_source(folder + "/target.safetensors")->manifest().tensors(),
            {}};
  for (const auto& tensor : pair.target) pair.wanted[tensor.key] = {{0, tensor.key}};
  std::ifstream in(folder + "/info.json");
  const Json info = Json::parse(in);
  for (const auto& edge : info["edges"])
    for (const auto& key : edge[2]) {
      pair.wanted[key].clear();
      for (const auto& from : edge[1]) pair.wanted[key].emplace(0, from);
    }
  return pair;
}

Pair shipped_pair(const test::Shipped& row) {
  const auto source = open_source(kData + row.source),
             second = row.second.empty() ? nullptr : open_source(kData + row.second);
  std::vector<NamedSource> sources = {{"", source.get()}};
  if (second) sources.push_back({row.second_name, second.get()});
  Pair pair{row.source, {}, open_source(kData + row.target)->manifest().tensors(), {}};
  for (const auto& [name, one] : sources) pair.sources.emplace_back(name, one->manifest().tensors());
  const Plan plan = test::shipped_plan(row, sources);
  for (const auto& tensor : plan.tensors)
    for (const auto& piece : tensor.pieces)
      pair.wanted[tensor.key].emplace(piece.source, (*plan.sources[piece.source].manifest)[piece.tensor].key);
  return pair;
}

// The same with some tensors missing on either side, as of a checkpoint that is not complete: all layers alike, others
// for each number; of numbers above 40 more.
Pair with_gaps(Pair pair, uint64_t number) {
  const auto is_missing = [&](const std::string& key, uint64_t side) {
    uint64_t hash = number * 2 + side;
    for (const char c : infer::numbered(key).shape().shown("#"))
      hash = (hash ^ static_cast<uint64_t>(c)) * 0x100000001b3u;
    return (hash >> 20) % (number > 40 ? 2 : 4) == 0;
  };
  for (auto& [name, tensors] : pair.sources)
    std::erase_if(tensors, [&](const TensorInfo& tensor) { return is_missing(tensor.key, 0); });
  std::erase_if(pair.target, [&](const TensorInfo& tensor) { return is_missing(tensor.key, 1); });
  pair.name += fmt::format(" with gaps {}", number);
  return pair;
}

// "KEY SHAPE" a line; what each target is made of, where the key is not the same.
Pair written_pair(const std::string& name, const std::vector<std::pair<std::string, Shape>>& source,
                  const std::vector<std::pair<std::string, Shape>>& target,
                  const std::vector<std::pair<std::string, std::string>>& made_of) {
  Pair pair{name, {{"", {}}}, {}, {}};
  for (const auto& [key, shape] : source) pair.sources[0].second.push_back({key, DType::f32, shape});
  for (const auto& [key, shape] : target) {
    pair.target.push_back({key, DType::f32, shape});
    pair.wanted[key] = {{0, key}};
  }
  for (const auto& [to, from] : made_of) pair.wanted[to] = {{0, from}};
  return pair;
}

// The pairs by name; those with gaps are made of the others when they are asked for.
const Pair& pair_named(const std::string& name) {
  static std::map<std::string, Pair> pairs = [] {
    std::vector<Pair> all;
    for (const auto& entry : fs::directory_iterator(kData + "mapping-pairs"))
      if (entry.is_directory()) all.push_back(mapping_pair(entry.path().filename().string()));
    for (const auto& row : test::shipped_whole()) all.push_back(shipped_pair(row));
    const Shape square = {4, 4}, vector = {4};
    all.push_back(written_pair("a stack that begins at 1",
                               {{"a.0.x", {9}},
                                {"a.1.x", {9}},
                                {"a.2.x", {9}},
                                {"a.1.w", square},
                                {"a.2.w", square},
                                {"b.0.w", square},
                                {"b.1.w", square}},
                               {{"c.0.w", square}, {"c.1.w", square}}, {{"c.0.w", "b.0.w"}, {"c.1.w", "b.1.w"}}));
    all.push_back(written_pair("a key that stays",
                               {{"norm.weight", vector}, {"model.norm.weight", vector}, {"model.norm.bias", vector}},
                               {{"norm.weight", vector}, {"body.norm.weight", vector}, {"norm.bias", vector}},
                               {{"body.norm.weight", "model.norm.weight"}, {"norm.bias", "model.norm.bias"}}));
    std::map<std::string, Pair> by_name;
    for (auto& pair : all) by_name.emplace(pair.name, std::move(pair));
    return by_name;
  }();
  static const std::string gaps = " with gaps ";
  if (const size_t at = name.find(gaps); at != std::string::npos && !pairs.contains(name))
    pairs.emplace(name, with_gaps(pairs.at(name.substr(0, at)), std::stoull(name.substr(at + gaps.size()))));
  return pairs.at(name);
}

std::unique_ptr<Source> list_of(const std::vector<TensorInfo>& tensors) {
  std::vector<test::MemoryTensor> list;
  for (const auto& tensor : tensors) list.push_back({tensor.key, tensor.dtype, tensor.shape, {}});
  auto source = std::make_unique<test::MemorySource>(std::move(list));
  source->set_has_data(false);
  return source;
}

// Of the targets of a pair.
struct Score {
  size_t right = 0;     // made of what they should be
  size_t unmarked = 0;  // made of something else, and nothing says that this may be wrong
  size_t marked = 0;    // to be read by someone
  bool is_worse_than(const Score& other) const {
    return right < other.right || unmarked > other.unmarked || marked > other.marked;
  }
  std::string text() const {
    return fmt::format("{} right, {} wrong and unmarked, {} marked", right, unmarked, marked);
  }
};

Score score_of(const Pair& pair, const Weights& weights) {
  std::vector<std::unique_ptr<Source>> lists;
  Problem problem;
  for (const auto& [name, tensors] : pair.sources) {
    lists.push_back(list_of(tensors));
    problem.sources.push_back({name, lists.back().get()});
    problem.files.push_back(infer::files_of(*lists.back()));
  }
  lists.push_back(list_of(pair.target));
  problem.target = lists.back().get();
  Score score;
  for (const Relation& relation : infer::find_by_names(problem, weights).relations) {
    std::set<std::pair<uint32_t, std::string>> sources;
    for (const Ref ref : relation.sources) sources.emplace(ref.source, problem.info(ref).key);
    for (const uint32_t t : relation.targets) {
      const auto wanted = pair.wanted.find(problem.info(t).key);
      const bool right = wanted != pair.wanted.end() &&
                         std::includes(sources.begin(), sources.end(), wanted->second.begin(), wanted->second.end());
      score.right += right;
      score.unmarked += !right && relation.checks.empty();
      score.marked += !relation.checks.empty();
    }
  }
  return score;
}

// The pair that gets worse without a weight.
const std::map<std::string_view, std::string> kNeededBy = {
    {"word_decay", "data2vec-audio/source-ctc/model.pt with gaps 4"},
    {"same_leaf", "data2vec-audio/source/model.pt"},
    {"other_leaf", "BeitModel with gaps 5"},
    {"other_tensor", "data2vec-audio/source/model.pt with gaps 5"},
    {"same_segment", "data2vec-audio/source-ctc/model.pt"},
    {"odd_layout", "data2vec-audio/source-ctc/model.pt"},
    {"moved_numbers", "a stack that begins at 1"},
    {"same_name", "a key that stays"},
    {"fused_name", "step3p5_vision with gaps 17"},
    {"fused_of_as_many", "Tipsv2TextModel with gaps 10"},
    {"fused_unlikely", "data2vec-audio/source-ctc/model.pt"},
    {"unnamed_parts", "flava/source/model.pt with gaps 39"},
    {"fused_same_leaf", "step3p5_vision with gaps 17"},
    {"fused_other_tensor", "data2vec-audio/source/model.pt with gaps 59"},
    {"stacked_vectors", "flava/source/model.pt with gaps 13"},
    {"stacked_transposed", "nemotron_h"},
    {"same_module", "roberta/source/model.pt"},
    {"outer_module", "flava/source/model.pt"},
    {"module_distance", "inkling2_text"},
    {"vote_threshold", "flava/source/model.pt with gaps 6"},
    {"least_vote", "inkling2_text"},
    {"level_change", "roberta/source/model.pt with gaps 7"},
    {"sure_lead", "step3p5_vision with gaps 23"},
    {"sure_lead_by_name", "roberta/source-mnli/model.pt"},
    {"weak_score", "molmo2 with gaps 9"}};

}  // namespace

TEST_CASE("every weight of the matching by names is needed by a pair, which gets worse without it") {
  for (const auto& row : infer::weight_rows()) {
    INFO(row.name << ": " << row.decides);
    CHECK(Weights().*row.weight != row.neutral);
    Weights weights;
    weights.*row.weight = row.neutral;
    REQUIRE(kNeededBy.contains(row.name));
    const Pair& pair = pair_named(kNeededBy.at(row.name));
    const Score with = score_of(pair, Weights()), without = score_of(pair, weights);
    INFO(pair.name << ": " << with.text() << "; without it " << without.text());
    CHECK(without.is_worse_than(with));
  }
}

TEST_CASE("every weight of the matching by names has a row, once") {
  std::set<std::string_view> names;
  for (const auto& row : infer::weight_rows()) names.insert(row.name);
  CHECK(names.size() == infer::weight_rows().size());
  CHECK(names.size() * sizeof(double) == sizeof(Weights));
}
