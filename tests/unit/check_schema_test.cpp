// config.json as layers of fields, and the planned tensors beside those that a target schema demands.
#include "plan/check_schema.h"
#include "plan/choose_variants.h"
#include "plan/compare_with_schema.h"
#include "plan/config_layers.h"
#include "plan/target_config.h"
#include "support/catch.h"
#include "support/planning.h"

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;

namespace {

using Lines = std::vector<std::string>;

const std::string kSchema =
    "remap_schema: 1\n"
    "model_type: toy\n"
    "library: transformers 4.38.2\n"
    "fields: [hidden_size, layers, act, {text_config: [depth]}]\n"
    "aliases: {n_embd: hidden_size}\n"
    "config: {act: gelu}\n"
    "implied: {layers: 2}\n"
    "require: [{that: hidden_size > 0, because: it needs a size}]\n"
    "tensors:\n"
    "  embed: [_, hidden_size]\n"
    "  layer.{0..layers-1}.w: [hidden_size, hidden_size]\n"
    "architectures: {Toy: {}}\n";

// Tensors of the plan: key and shape; all are given by rule 0, but for those whose key begins with '!', by rule 1.
plan::Targets targets_of(const std::vector<std::pair<std::string, Shape>>& tensors) {
  plan::Targets targets;
  for (const auto& [key, shape] : tensors) {
    const bool second = key.starts_with("!");
    const std::string name = key.substr(second);
    targets.add({name, DType::f16, shape, {}, {}, second});
  }
  return targets;
}

}  // namespace

TEST_CASE("layers of config fields") {
  struct Row {
    const char *base, *over, *merged,
        *without;  // without: `over` taken as implied by the class, and left out of `base`
  };
  const Row rows[] = {
      {R"({"a":1})", R"({"b":2})", R"({"a":1,"b":2})", R"({"a":1})"},
      {R"({"a":1,"b":2})", R"({"b":2})", R"({"a":1,"b":2})", R"({"a":1})"},
      {R"({"a":1})", R"({"a":2})", R"({"a":2})", R"({"a":1})"},
      // The config of a part is merged field by field, any other object is one value.
      {R"({"x_config":{"a":1,"b":2}})", R"({"x_config":{"b":2}})", R"({"x_config":{"a":1,"b":2}})",
       R"({"x_config":{"a":1}})"},
      {R"({"ids":{"0":"a"}})", R"({"ids":{"1":"b"}})", R"({"ids":{"1":"b"}})", R"({"ids":{"0":"a"}})"},
      {R"({"x_config":3})", R"({"x_config":{"b":2}})", R"({"x_config":{"b":2}})", R"({"x_config":3})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.base, row.over);
    Json merged = Json::parse(row.base), without = merged;
    plan::merge(merged, Json::parse(row.over));
    CHECK(merged.dump() == row.merged);
    plan::leave_out(without, Json::parse(row.over));
    CHECK(without.dump() == row.without);
  }
  CHECK(plan::same_value(Json::parse(R"([{"a":1,"b":2}])"), Json::parse(R"([{"b":2,"a":1}])")));
  CHECK_FALSE(plan::same_value(Json::parse("[1,2]"), Json::parse("[2,1]")));
  Json value = Json::parse(R"({"auto_map":1,"x":[{"a":1,"auto_map":2}]})");
  CHECK(plan::take_out_code(value) == Lines{"auto_map", "x.auto_map"});
  CHECK(value.dump() == R"({"x":[{"a":1}]})");
}

TEST_CASE("fields that the class does not have, and the one that was meant") {
  const auto schema = parsed_schema(kSchema);
  const struct {
    const char *config, *unknown;
  } rows[] = {
      {R"({"hidden_size":1,"pad_token_id":1})", ""}, {R"({"hidden_sise":1})", "hidden_sise~hidden_size "},
      {R"({"n_embd":1})", "n_embd~hidden_size "},    {R"({"n_embd":1,"hidden_size":1})", "n_embd~ "},
      {R"({"flash":1,"_name":1})", "flash~ "},       {R"({"text_config":{"dept":1}})", "text_config.dept~depth "},
  };
  for (const auto& row : rows) {
    std::string text;
    for (const auto& unknown : plan::unknown_fields(Json::parse(row.config), *schema))
      text += fmt::format("{}~{} ", unknown.path, unknown.near);
    CHECK(text == row.unknown);
  }
}

TEST_CASE("config.json: the class, then the rules' defaults, then the user, then the checkpoint") {
  struct Row {
    const char *sections, *given, *config;
    std::map<std::string, std::string> set;
    Lines messages;
  };
  const std::string known = R"("architectures":["Toy"],"hidden_size":8,"model_type":"toy",)"
                            R"("torch_dtype":"float16","transformers_version":"4.38.2")";
  const auto whole = [&](const std::string& act) { return R"({"act":")" + act + R"(",)" + known + "}"; };
  const std::string gelu = whole("gelu"), relu = whole("relu"), tanh = whole("tanh");
  const Row rows[] = {
      {"config: {hidden_size: 8}\n", "{}", gelu.c_str(), {}, {}},
      {"config: {hidden_size: 8}\ndefaults: {act: relu}\n", "{}", relu.c_str(), {}, {}},
      {"config: {hidden_size: 8}\ndefaults: {act: relu}\n", R"({"act":"tanh"})", tanh.c_str(), {}, {}},
      {"config: {hidden_size: 8, act: relu}\n",
       R"({"act":"tanh"})",
       relu.c_str(),
       {},
       {"config-contradiction: act is \"tanh\"; the checkpoint says \"relu\""}},
      {"config: {hidden_size: 8, act: relu}\n", R"({"act":"tanh"})", tanh.c_str(), {{"config", "given"}}, {}},
      // What is known from what is written is taken from nowhere else.
      {"config: {hidden_size: 8, torch_dtype: float32}\n",
       "{}",
       gelu.c_str(),
       {},
       {"config-contradiction: torch_dtype would be \"float32\"; the output's is \"float16\""}},
      {"config: {hidden_size: 8}\n",
       R"({"torch_dtype":"float32","architectures":["Other"]})",
       gelu.c_str(),
       {},
       {"config-field-ignored: not taken over: 'torch_dtype'; it is the dtype that the tensors are written as (--set "
        "dtype=DTYPE chooses another)",
        "config-field-ignored: not taken over: 'architectures'; the rules say which class it is for"}},
      {"config: {hidden_size: 8}\n",
       R"({"model_type":"bert"})",
       gelu.c_str(),
       {},
       {"config-contradiction: model_type is \"bert\"; these rules make \"toy\""}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.sections, row.given);
    ToyPlanning planning(
        std::string("target: {schema: toy, architecture: Toy}\n") + row.sections + "rules: [{keep: a}]\n",
        {{"a", DType::f16, {8}, {}}}, {row.set, Json::parse(row.given), kSchema});
    const plan::TargetConfig target =
        plan::make_config(planning.input, targets_of({{"a", {8}}}), planning.scope, planning.diagnostics);
    CHECK(target.architecture == "Toy");
    CHECK(target.config.dump() == row.config);
    Lines found = messages(planning.diagnostics), wanted = row.messages;
    std::sort(found.begin(), found.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(found == wanted);
  }
}

TEST_CASE("an architecture that cannot be evaluated is a finding") {
  ToyPlanning planning("target: {architecture: $meta.arch}\nrules: [{keep: a}]\n", {{"a", DType::f16, {8}, {}}});
  const plan::TargetConfig target =
      plan::make_config(planning.input, targets_of({{"a", {8}}}), planning.scope, planning.diagnostics);
  CHECK(target.architecture.empty());
  REQUIRE(planning.diagnostics.size() == 1);
  CHECK(planning.diagnostics.items().front().id == "expression-missing");
}

TEST_CASE("what is known of config.json is not taken from --config, but for model_type, which has to agree") {
  for (const plan::KnownField& field : plan::known_field_table()) {
    CAPTURE(field.name);
    CHECK(lang::common_fields().left_out_because(std::string(field.name)).empty() == (field.name == "model_type"));
  }
}

TEST_CASE("the plan's tensors beside those that the schema demands") {
  struct Row {
    const char* name;
    std::vector<std::pair<std::string, Shape>> tensors;
    Lines messages, hints_or_notes;  // of the first message
  };
  const std::vector<std::pair<std::string, Shape>> good = {
      {"embed", {5, 8}}, {"!layer.0.w", {8, 8}}, {"!layer.1.w", {8, 8}}};
  const Row rows[] = {
      {"all", good, {}, {}},
      {"one is missing",
       {{"embed", {5, 8}}, {"!layer.0.w", {8, 8}}},
       {"schema-missing-tensor: Toy needs 'layer.1.w' [8,8], which no rule gives"},
       {"'l.*.w → layer.*.w' (rules.yaml:8:5) would give it, from a key that this checkpoint does not have"}},
      {"one is in another shape",
       {{"embed", {5, 7}}, {"!layer.0.w", {8, 8}}, {"!layer.1.w", {8, 8}}},
       {"schema-wrong-shape: 'embed' would have the shape [5,7]; Toy needs [_,8]"},
       {"schema.yaml:10:3: the schema says so", "rules.yaml:7:5: e → embed"}},
      {"one is not wanted",
       {{"embed", {5, 8}}, {"!layer.0.w", {8, 8}}, {"!layer.1.w", {8, 8}}, {"head", {5, 8}}},
       {"schema-unexpected-tensor: Toy has no tensor 'head'"},
       {}},
      {"one is misspelt",
       {{"embed", {5, 8}}, {"!layer.0.v", {8, 8}}, {"!layer.1.w", {8, 8}}},
       {"schema-unexpected-tensor: Toy has no tensor 'layer.0.v'"},
       {"did you mean 'layer.0.w'? No rule gives it", "schema.yaml:11:3: the schema has it here"}},
      {"a rule that gives a wrong shape is not said to give too many, too",
       {{"embed", {5, 8}}, {"!layer.0.w", {8, 9}}, {"!layer.1.w", {8, 8}}, {"!layer.2.w", {8, 8}}},
       {"schema-wrong-shape: 'layer.0.w' would have the shape [8,9]; Toy needs [8,8]"},
       {"schema.yaml:11:3: the schema says so", "rules.yaml:8:5: l.*.w → layer.*.w",
        "the rule also gives 'layer.2.w', which Toy does not have"}},
      {"nor too few",
       {{"embed", {5, 8}}, {"!layer.0.w", {8, 9}}},
       {"schema-wrong-shape: 'layer.0.w' would have the shape [8,9]; Toy needs [8,8]"},
       {"schema.yaml:11:3: the schema says so", "rules.yaml:8:5: l.*.w → layer.*.w",
        "the rule does not give 'layer.1.w'"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    ToyPlanning planning(
        "target: {schema: toy, architecture: Toy}\n"
        "config: {hidden_size: 8}\n"
        "rules:\n"
        "  - {from: e, to: embed}\n"
        "  - {from: \"l.*.w\", to: \"layer.*.w\"}\n",
        {{"e", DType::f16, {5, 8}, {}}}, {{}, Json::object(), kSchema});
    const plan::Targets targets = targets_of(row.tensors);
    const plan::TargetConfig target = plan::make_config(planning.input, targets, planning.scope, planning.diagnostics);
    REQUIRE(planning.diagnostics.empty());
    const auto checked =
        plan::check_schema(planning.input, {}, {true, true}, targets, target, planning.scope, planning.diagnostics);
    CHECK(messages(planning.diagnostics) == row.messages);
    if (row.messages.empty()) continue;
    const Diagnostic& first = planning.diagnostics.items().front();
    Lines said = first.hint.empty() ? Lines{} : Lines{first.hint};
    said.insert(said.end(), first.notes.begin(), first.notes.end());
    CHECK(said == row.hints_or_notes);
  }
}
