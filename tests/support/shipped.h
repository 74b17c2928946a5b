// Checkpoints of original libraries in tests/data, what their conversion scripts made of them, and the rules that ship.
#pragma once

#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/plan.h"
#include "remap/source.h"
#include "remap/values.h"
#include "support/catch.h"

namespace remap::test {

struct Shipped {
  std::string rules, source, target;
  std::string second, second_name, document;  // a further checkpoint, params.json
};

inline const std::vector<Shipped>& shipped_in_shards() {
  static const std::string meta = "llama/two-shards/source/13B", newer = "llama/llama31-two-shards/source";
  static const std::vector<Shipped> rows = {
      {"llama", meta, "llama/two-shards/expected", "", "", meta + "/params.json"},
      {"llama", newer, "llama/llama31-two-shards/expected", "", "", newer + "/params.json"}};
  return rows;
}

inline const std::vector<Shipped>& shipped_whole() {
  static const std::vector<Shipped> rows = {
      {"roberta", "roberta/source/model.pt", "roberta/expected", "", "", ""},
      {"roberta", "roberta/source-mnli/model.pt", "roberta/expected-mnli", "", "", ""},
      {"xmod", "xmod/source/model.pt", "xmod/expected", "", "", ""},
      {"data2vec-audio", "data2vec-audio/source/model.pt", "data2vec-audio/expected", "", "", ""},
      {"data2vec-audio", "data2vec-audio/source-ctc/model.pt", "data2vec-audio/expected-ctc", "", "", ""},
      {"flava", "flava/source/model.pt", "flava/expected", "flava/source/encoder.pkl", "codebook", ""},
      {"switch", "switch/source/checkpoint_1200", "switch/expected", "", "", ""}};
  return rows;
}

// What the rules that ship make of the row's sources.
inline Plan shipped_plan(const Shipped& row, const std::vector<NamedSource>& sources) {
  const std::string data = REMAP_TEST_DATA "/";
  PlanOptions options;
  options.same = tensors_equal;
  options.values = tensor_values;
  if (!row.document.empty()) options.documents["params"] = read_document(data + row.document, "json");
  if (row.rules == "flava") {
    std::ifstream config(data + "flava/source/config_input.json");
    options.config = Json::parse(config);
  }
  if (row.rules == "llama" && row.source.find("31") == std::string::npos) options.set["version"] = "2";
  Diagnostics diagnostics;
  const auto rules = Rules::load(std::string(REMAP_SOURCE_DIR) + "/rules/" + row.rules + ".yaml", diagnostics);
  REQUIRE(rules);
  auto plan = make_plan(*rules, sources, options, diagnostics);
  for (const auto& d : diagnostics.items()) INFO(d.id << ": " << d.message);
  REQUIRE(plan);
  return std::move(*plan);
}

}  // namespace remap::test
