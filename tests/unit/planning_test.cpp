// The passes of planning one by one: what is chosen, matched, claimed and refused.
#include "support/planning.h"
#include "plan/build_tensors.h"
#include "plan/choose_variants.h"
#include "plan/equal_tensors.h"
#include "plan/match_keys.h"
#include "plan/requirements.h"
#include "plan/roots.h"
#include "support/catch.h"

#include <regex>

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace remap;
using namespace remap::test;

namespace {

using Lines = std::vector<std::string>;

std::vector<MemoryTensor> tensors_of(const std::vector<std::string>& keys, const Shape& shape = {2}) {
  std::vector<MemoryTensor> tensors;
  for (const auto& key : keys) tensors.push_back({key, DType::f32, shape, {}});
  return tensors;
}

// "head=lm root=x; float16; fast,slow".
std::string text_of(const plan::Choices& choices) {
  std::string text;
  for (const auto& [name, value] : choices.variants) text += fmt::format("{}={} ", name, value);
  if (choices.dtype) text += fmt::format("[{}] ", long_name(*choices.dtype));
  for (const auto& name : choices.waived) text += fmt::format("waive:{} ", name);
  return text;
}

const std::string kVariants =
    "target: {dtype: float32}\n"
    "variants:\n"
    "  head: {values: \"['lm', 'none']\", detect: \"'lm' if exists('head.**') else 'none'\"}\n"
    "  size: {values: \"['big', 'small'] if head == 'lm' else ['small']\", detect: omit, doc: how large}\n"
    "let: {stem: \"'model_' + size\"}\n"
    "require: [{that: exists('a'), because: it has a, waive: slow}]\n"
    "rules: [{from: \"${stem}.a\", to: a}]\n";

}  // namespace

TEST_CASE("variants are what the user says, else what is detected") {
  struct Row {
    std::map<std::string, std::string> set;
    const char* choices;
    Lines messages;
  };
  const Row rows[] = {
      {{{"size", "big"}}, "head=lm size=big [float32] ", {}},
      {{{"size", "small"}, {"head", "none"}}, "head=none size=small [float32] ", {}},
      {{{"size", "big"}, {"dtype", "keep"}}, "head=lm size=big ", {}},
      {{{"size", "big"}, {"dtype", "float16"}}, "head=lm size=big [float16] ", {}},
      {{{"size", "big"}, {"waive", "slow"}}, "head=lm size=big waive=slow [float32] waive:slow ", {}},
      {{}, "head=lm [float32] ", {"plan-variant-open: cannot tell 'size' from the checkpoint: how large"}},
      {{{"size", "bigg"}},
       "head=lm size=bigg [float32] ",
       {"plan-unknown-variant: 'size' cannot be \"bigg\" for this checkpoint"}},
      {{{"size", "big"}, {"hed", "lm"}},
       "head=lm size=big [float32] ",
       {"plan-unknown-variant: --set hed=lm: the rules have no variant 'hed'"}},
      {{{"size", "big"}, {"dtype", "int8"}},
       "head=lm size=big [int8] ",
       {"plan-unknown-variant: --set dtype=int8: not a floating-point dtype"}},
      {{{"size", "big"}, {"waive", "slow,quick"}},
       "head=lm size=big waive=slow,quick [float32] waive:quick waive:slow ",
       {"plan-unknown-variant: --set waive=quick: no check has this name"}},
  };
  for (const Row& row : rows) {
    ToyPlanning planning(kVariants, tensors_of({"head.w"}), {row.set});
    const plan::Choices choices = plan::choose_variants(planning.input, {}, planning.scope, planning.diagnostics);
    CHECK(text_of(choices) == row.choices);
    CHECK(messages(planning.diagnostics) == row.messages);
  }
}

TEST_CASE("patterns name variants and strings under 'let'; a root that was found is part of the choices") {
  ToyPlanning planning(kVariants, tensors_of({"head.w"}), {{{"size", "big"}}});
  const plan::Choices choices = plan::choose_variants(planning.input, "below", planning.scope, planning.diagnostics);
  CHECK(choices.texts == lang::VariantValues{{"head", "lm"}, {"size", "big"}, {"stem", "model_big"}});
  CHECK(text_of(choices) == "head=lm size=big root=below [float32] ");
}

TEST_CASE("a requirement is checked as soon as it can be") {
  struct Row {
    const char* that;
    bool has_data;
    size_t n_left;  // after the first round
    Lines messages, open;
  };
  const Row rows[] = {
      {"exists('a')", true, 0, {}, {}},
      {"exists('b')", true, 0, {"plan-refused: memory: refused, since it must"}, {}},
      {"size == 2", true, 1, {"expression-missing: a size for the dim 'size' is not there"}, {}},
      {"meta.x == 1", true, 1, {"expression-missing: 'meta.x' is missing"}, {}},
      {"meta.x == 1", false, 1, {}, {"required: meta.x == 1"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.that);
    ToyPlanning planning(
        fmt::format("require: [{{that: {}, because: it must}}]\nrules: [{{keep: a, shape: [size]}}]\n", row.that),
        tensors_of({"a"}));
    planning.source.set_has_data(row.has_data);
    const auto left = plan::check_requirements(planning.input, {}, planning.scope, planning.diagnostics);
    CHECK(left.size() == row.n_left);
    const auto open = plan::check_requirements(planning.input, {}, left, planning.scope, planning.diagnostics);
    CHECK(open == row.open);
    REQUIRE(planning.diagnostics.size() == row.messages.size());
    for (size_t i = 0; i < row.messages.size(); ++i) {
      const std::string id = row.messages[i].substr(0, row.messages[i].find(':'));
      CHECK(planning.diagnostics.items()[i].id == id);
    }
  }
}

TEST_CASE("every key belongs to one rule, or it is said why not") {
  struct Row {
    const char* rules;
    Lines keys;
    const char* matched;  // by rule, "|" between rules
    Lines messages;
  };
  const Row rows[] = {
      {"[{keep: a}, {drop: b, because: no}]", {"a", "b"}, "a|b", {}},
      {"[{from: \"l.*.w\", to: \"m.*\"}, {keep: \"l.*.b\"}]",
       {"l.0.b", "l.0.w", "l.1.b", "l.1.w"},
       "l.0.w l.1.w|l.0.b l.1.b",
       {}},
      {"[{drop: \"**\", except: [a, \"b.*\"], because: no}, {keep: a}, {keep: \"b.*\"}]",
       {"a", "b.0", "c"},
       "c|a|b.0",
       {}},
      {"[{keep: a, when: \"false\"}, {keep: \"{x}\"}]", {"a"}, "|a", {}},
      {"[{keep: a}, {from: \"{x}\", to: b}]", {"a"}, "a|", {"plan-key-matched-twice: the key 'a' matches two rules"}},
      {"[{keep: encoder.weight}]",
       {"encoder.bias", "encoder.weight"},
       "encoder.weight",
       {"plan-unmatched-key: no rule matches the key 'encoder.bias' (F32 [2])"}},
      // Rules that leave parts share a key.
      {"[{from: x, to: \"{p}\", split: {axis: 0, into: {p: [a, _]}}},"
       " {from: x, to: \"{p}\", split: {axis: 0, into: {p: [_, b]}}}]",
       {"x"},
       "x|x",
       {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rules);
    ToyPlanning planning(fmt::format("rules: {}\n", row.rules), tensors_of(row.keys));
    const auto active = plan::active_rules(planning.input, planning.scope, planning.diagnostics);
    const auto matches = plan::match_keys(planning.input, {}, active, planning.scope, planning.diagnostics);
    Lines rules;
    for (const auto& matched : matches.by_rule) {
      Lines keys;
      for (const auto& match : matched) keys.emplace_back(match.key->key);
      rules.push_back(fmt::format("{}", fmt::join(keys, " ")));
    }
    CHECK(fmt::format("{}", fmt::join(rules, "|")) == row.matched);
    CHECK(messages(planning.diagnostics) == row.messages);
  }
}

TEST_CASE("indices under one prefix have no gap, whichever rules take them") {
  struct Row {
    Lines keys;
    Lines messages;
  };
  const Row rows[] = {
      {{"l.0.a", "l.1.b", "l.2.a"}, {}},
      {{"l.0.a", "l.2.b"}, {"plan-index-gap: under 'l.' there are the indices 0 2; 1 is missing"}},
      {{"l.1.a"}, {"plan-index-gap: under 'l.' there are the indices 1; 0 is missing"}},
      {{"l.0.m.1.c", "l.1.m.0.c"}, {"plan-index-gap: under 'l.0.m.' there are the indices 1; 0 is missing"}},
  };
  for (const Row& row : rows) {
    ToyPlanning planning("rules: [{keep: \"l.*.a\"}, {keep: \"l.*.b\"}, {keep: \"l.*.m.*.c\"}]\n",
                         tensors_of(row.keys));
    const auto matches = plan::match_keys(planning.input, {}, {true, true, true}, planning.scope, planning.diagnostics);
    plan::check_indices(planning.input, matches.indices, planning.diagnostics);
    CHECK(messages(planning.diagnostics) == row.messages);
  }
}

TEST_CASE("an unmatched key is blamed on the rule that was meant for it") {
  struct Row {
    const char* rules;
    const char* key;  // beside 'l.0.fc1.weight'
    int line;         // 0: at the checkpoint
    const char* note;
  };
  const char* const kTwo = "rules:\n  - {keep: \"l.*.fc1.weight\"}\n  - {keep: \"l.*.fc2.weight\"}\n";
  const Row rows[] = {
      {kTwo, "l.0.fc3.weight", 6,
       "this rule, which no key matches, is the nearest: 'l.*.fc2.weight' does not match, since 'fc3' is not 'fc2'"},
      {kTwo, "l.0.fc2.weight.old", 6,
       "this rule, which no key matches, is the nearest: 'l.*.fc2.weight' does not match, since the pattern ends "
       "before 'old'"},
      {"rules:\n  - {keep: \"l.*.fc1.weight\"}\n", "l.0.fc9.weight", 0,
       "rules.yaml:5:5: nearest rule 'l.*.fc1.weight': 'fc9' is not 'fc1'"},
      {"rules:\n  - {keep: \"l.*.fc1.weight\"}\n  - {keep: \"l.*.fc2.weight\", when: \"false\"}\n", "l.0.fc2.weight", 0,
       "rules.yaml:6:5: 'l.*.fc2.weight' matches, but holds only when false"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    ToyPlanning planning(row.rules, tensors_of({"l.0.fc1.weight", row.key}));
    const auto active = plan::active_rules(planning.input, planning.scope, planning.diagnostics);
    plan::match_keys(planning.input, {}, active, planning.scope, planning.diagnostics);
    REQUIRE(planning.diagnostics.size() == 1);
    const Diagnostic& d = planning.diagnostics.items().front();
    const auto* place = std::get_if<TextPlace>(&d.place);
    CHECK((place ? place->line : 0) == row.line);
    REQUIRE_FALSE(d.notes.empty());
    CHECK(d.notes.front() == row.note);
  }
}

TEST_CASE("rules that share a tensor take every element of it once") {
  struct Row {
    const char *first, *second;  // what each splits
    Lines messages;
  };
  const Row rows[] = {
      {"axis: 0, into: {p: [a, _]}", "axis: 0, into: {p: [_, b]}", {}},
      {"axis: 0, into: {p: {a: 1, _: 3}}", "axis: 0, into: {p: {_: 1, b: 3}}", {}},
      {"axis: 0, into: {p: [a, _]}",
       "axis: 0, into: {p: [b, _]}",
       {"plan-part-twice: 'x[0:2]' is taken twice",
        "plan-part-left: 'x[2:4]' is left to another rule ('_'), and none takes it"}},
      {"axis: 0, into: {p: {a: 1, _: 3}}",
       "axis: 0, into: {p: {_: 2, b: 2}}",
       {"plan-part-left: 'x[1:2]' is left to another rule ('_'), and none takes it"}},
      {"axis: 0, into: {p: {a: 1, _: 3}}",
       "axis: 0, into: {p: {_: 1, b: 2, _c: 1}}",
       {"plan-part-left: 'x[3:4]' is left to another rule ('_'), and none takes it"}},
      {"axis: 0, into: {p: [a, _]}",
       "axis: 1, into: {p: [_, b]}",
       {"plan-part-twice: 'x' is split along axis 0 and along axis 1"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.second);
    ToyPlanning planning(fmt::format("rules:\n  - {{from: x, to: \"1.{{p}}\", split: {{{}}}}}\n"
                                     "  - {{from: x, to: \"2.{{p}}\", split: {{{}}}}}\n",
                                     row.first, row.second),
                         tensors_of({"x"}, {4, 4}));
    const auto matches = plan::match_keys(planning.input, {}, {true, true}, planning.scope, planning.diagnostics);
    plan::build_tensors(planning.input, {}, {true, true}, matches, {}, planning.scope, planning.diagnostics);
    CHECK(messages(planning.diagnostics) == row.messages);
  }
}

TEST_CASE("many keys, which several threads match and write, become what each of them is by itself") {
  constexpr int kKeys = 60'000;
  std::vector<MemoryTensor> tensors;
  for (int i = 0; i < kKeys; ++i)
    tensors.push_back({fmt::format("l.{}.{}", i, i % 3 == 0 ? "g" : "b"), DType::f32, {1 + i % 2}, {}});
  tensors.push_back({"x.y", DType::f32, {1}, {}});
  const std::string rules =
      "maps: {norm: {g: weight, b: bias}}\n"
      "rules: [{from: \"l.{n:int}.{p:norm}\", to: \"m.{n+1}.{p}\"}, {keep: x.y}]\n";
  {
    ToyPlanning planning(rules, tensors);
    const auto matches = plan::match_keys(planning.input, {}, {true, true}, planning.scope, planning.diagnostics);
    const auto targets =
        plan::build_tensors(planning.input, {}, {true, true}, matches, {}, planning.scope, planning.diagnostics);
    CHECK(messages(planning.diagnostics).empty());
    REQUIRE(targets.tensors.size() == kKeys + 1);
    size_t n_wrong = 0;
    for (int i = 0; i < kKeys; ++i) {
      const size_t place = targets.find(fmt::format("m.{}.{}", i + 1, i % 3 == 0 ? "weight" : "bias"));
      if (place == KeyIndex::npos) {
        ++n_wrong;
        continue;
      }
      const PlannedTensor& tensor = targets.tensors[place];
      const TensorInfo& from = planning.source.manifest()[tensor.pieces.at(0).tensor];
      n_wrong += from.key != fmt::format("l.{}.{}", i, i % 3 == 0 ? "g" : "b") || tensor.shape != from.shape;
    }
    CHECK(n_wrong == 0);
  }
  // The first key that becomes none ends the rule, whichever thread comes to one first; those before it are made.
  for (const int first : {0, 7}) {
    CAPTURE(first);
    std::vector<MemoryTensor> some = tensors;
    std::erase_if(some, [&](const MemoryTensor& t) { return t.key.size() < 9 && t.key[0] == 'l'; });  // below 10,000
    some.push_back({fmt::format("l.{}.q", first), DType::f32, {1}, {}});
    some.push_back({"l.9.q", DType::f32, {1}, {}});
    const auto before = std::count_if(some.begin(), some.end(),
                                      [&](const MemoryTensor& t) { return t.key < fmt::format("l.{}.q", first); });
    const std::string body = std::regex_replace(rules, std::regex("n.1"), "n-10");
    ToyPlanning planning(std::regex_replace(body, std::regex("b: bias"), "b: bias, q: q"), some);
    const auto matches = plan::match_keys(planning.input, {}, {true, true}, planning.scope, planning.diagnostics);
    const auto targets =
        plan::build_tensors(planning.input, {}, {true, true}, matches, {}, planning.scope, planning.diagnostics);
    CHECK(messages(planning.diagnostics) ==
          Lines{fmt::format("pattern-no-translation: '{}' moved by -10 is not an index", first)});
    CHECK(static_cast<long>(targets.tensors.size()) == before + 1);
  }
}

TEST_CASE("replicas and twins hold the same values, or the user takes them as they are") {
  struct Row {
    std::map<std::string, std::string> set;
    bool equal;
    Lines messages, dropped;
  };
  const std::string body =
      "rules:\n"
      "  - {from: \"{r}.x\", to: x, replicated: r}\n"
      "  - {drop: twin, equal_to: 2.x, because: it is tied}\n";
  const Row rows[] = {
      {{}, true, {}, {"10.x: the same as 2.x", "twin: it is tied"}},
      {{},
       false,
       {"plan-twin-differs: '2.x' and '10.x' should hold the same values ('replicated: r'), but they differ",
        "plan-twin-differs: 'twin' is dropped as equal to '2.x', but they differ"},
       {"10.x: replicas=first: it differs from 2.x", "twin: it is tied"}},
      {{{"replicas", "first"}, {"twins", "kept"}},
       false,
       {},
       {"10.x: replicas=first: it differs from 2.x",
        "twin: it is tied; differs from 2.x, which is taken (twins=kept)"}},
  };
  for (const Row& row : rows) {
    ToyPlanning planning(body, tensors_of({"2.x", "10.x", "twin"}), {row.set});
    planning.options.same = [&](const Source&, size_t, const Source&, size_t) { return row.equal; };
    const auto matches = plan::match_keys(planning.input, {}, {true, true}, planning.scope, planning.diagnostics);
    const auto replicas = plan::find_replicas(planning.input, {}, matches, planning.scope, planning.diagnostics);
    const auto twins = plan::check_twins(planning.input, {}, matches, planning.scope, planning.diagnostics);
    CHECK(messages(planning.diagnostics) == row.messages);
    CHECK(replicas.skipped.size() == 1);
    Lines dropped;
    for (const auto& d : plan::dropped_tensors(planning.input, matches, replicas, twins, {}, {}))
      dropped.push_back(planning.source.manifest()[d.tensor].key + ": " + d.because);
    CHECK(dropped == row.dropped);
  }
}

TEST_CASE("keys below another root than the rules name are found, if the rules recognise them there") {
  struct Row {
    Lines keys;
    const char *all, *parts;
  };
  const Row rows[] = {
      {{"embed.w", "out.w"}, "-", ""},                       // where the rules look
      {{"module.embed.w", "module.out.w"}, "module", ""},    // all of it in a wrapper
      {{"model.embed.w", "other.w"}, "-", "model"},          // with others beside it
      {{"ema.embed.w", "model.embed.w"}, "-", "ema model"},  // twice
      {{"model.out.w"}, "-", ""},                            // not recognised anywhere
  };
  for (const Row& row : rows) {
    CAPTURE(row.keys.front());
    ToyPlanning planning("recognise: exists('embed.w')\nrules: [{keep: \"**\"}]\n", tensors_of(row.keys));
    const plan::OtherRoots found = plan::other_roots(planning.rules, planning.sources.front());
    CHECK(found.all.value_or("-") == row.all);
    CHECK(fmt::format("{}", fmt::join(found.parts, " ")) == row.parts);
  }
}
