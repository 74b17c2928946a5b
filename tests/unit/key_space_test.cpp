// What a file says of the checkpoints it is for: which keys lie below its roots, how older spellings and numbered files
// are named, where else its keys may lie, and what expressions see of them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lang/rules.h"
#include "layout/checkpoint_scope.h"
#include "support/catch.h"
#include "support/memory_source.h"

using namespace remap;

namespace {

lang::RuleSet rules(const std::string& sections) {
  Diagnostics diagnostics;
  const std::string text = "remap: 1\nfamily: toy\nrules: [{keep: '{x}', shape: [hidden]}]\n" + sections;
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", text), diagnostics);
  for (const auto& d : diagnostics.items()) UNSCOPED_INFO(d.message);
  REQUIRE(set);
  return *set;
}

test::MemorySource source(const std::vector<std::string>& keys, Json metadata = Json::object()) {
  std::vector<test::MemoryTensor> tensors;
  for (const auto& key : keys) tensors.push_back({key, DType::u8, {}, std::vector<std::byte>(1)});
  return test::MemorySource(std::move(tensors), std::move(metadata));
}

// The keys that the rules see, in order; or what is wrong with them.
std::string seen(const std::string& sections, const std::vector<std::string>& keys,
                 const std::optional<std::string>& root) {
  const auto set = rules(sections);
  const auto checkpoint = source(keys);
  Diagnostics diagnostics;
  const layout::KeyTable table(set, {{"", &checkpoint}}, diagnostics, root);
  if (diagnostics.has_errors()) return diagnostics.items().front().id + ": " + diagnostics.items().front().message;
  std::string all;
  for (const auto& key : table.keys(0)) {
    all += (all.empty() ? "" : " ") + std::string(key.key);
    CHECK(table.find(0, key.key) == &key);
  }
  CHECK(table.find(0, "none") == nullptr);
  return all;
}

}  // namespace

TEST_CASE("keys are seen below the root, in files by number, in their new spelling") {
  const struct {
    std::string sections;
    std::vector<std::string> keys;
    std::optional<std::string> root;
    std::string seen;
  } rows[] = {
      {"source: {root: ''}", {"b", "a"}, {}, "a b"},
      {"source: {root: m}", {"m.a", "o.b", "mm.c", "m"}, {}, "a"},  // not what only begins so
      {"source: {root: [m, n]}", {"n.a", "x"}, {}, "a"},            // the first that holds something
      {"source: {root: [m, n]}", {"n.a", "m.b"}, {}, "b"},
      {"source: {root: m}", {"o.b", "m.a"}, "o", "b"},  // the user's choice
      {"source: {format: t5x, root: m}", {"m/a", "m.b"}, {}, "a"},
      {"source: {root: m}", {"o.b"}, {}, "plan-empty-root: no tensor lies below 'm' (1 lie elsewhere)"},
      {"source: {root: ''}", {}, {}, "plan-empty-root: the checkpoint holds no tensors"},
      {"source: {files: 'c.{r}.pt'}", {"c.00.pt/a", "c.11.pt/a"}, {}, "0/a 11/a"},
      {"source: {files: 'c.{r}.pt', root: m}", {"c.0.pt/m.a", "c.1.pt/x"}, {}, "0/a"},
      {"source: {files: 'c.{r}.pt'}", {"a"}, {}, "0/a"},  // one file alone is number 0
      {"source: {files: 'c{r}-{s}'}", {"c1-02/a", "c1-x/b"}, {}, "1/2/a 1/x/b"},
      {"source: {root: ''}\nnormalise: [{from: old.*, to: new.*}, {from: 'new.{i}', to: 'newest.{i}'}]",
       {"old.1", "new.2", "b"},
       {},
       "b newest.1 newest.2"},
      {"source: {root: ''}\nnormalise: [{from: old.*, to: new.*}]",
       {"old.1", "new.1"},
       {},
       "plan-spelling-collision: 'new.1' and 'old.1' are both 'new.1' once older spellings are normalised"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.sections, row.keys);
    CHECK(seen(row.sections, row.keys, row.root) == row.seen);
  }
}

TEST_CASE("prefixes below which known keys lie") {
  const std::string plain = "source: {root: [m, '']}\nrecognise: exists('l.*.w')\n";
  const struct {
    std::string sections;
    std::vector<std::string> keys;
    std::vector<std::string> prefixes;
    bool first_holds_all;
  } rows[] = {
      {plain, {"x.l.0.w"}, {"x"}, true},
      {plain, {"x.y.l.0.w", "x.l.1.w"}, {"x", "x.y"}, true},  // shortest first
      {plain, {"x.l.0.w", "o.p"}, {"x"}, false},
      {plain, {"m.l.0.w", "l.0.w"}, {}, true},       // the rules' own roots are none
      {plain, {"m.x.l.0.w", "o.p"}, {"m.x"}, true},  // beside the rules' root nothing counts
      {"source: {root: ''}\nrecognise: exists('re:l.*')\n", {"x.l"}, {}, true},
      {"source: {root: ''}\nnormalise: [{from: old.w, to: w}]\n", {"x.old.w"}, {"x"}, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.sections, row.keys);
    const auto set = rules(row.sections);
    const auto checkpoint = source(row.keys);
    CHECK(layout::prefixes_of_known_keys(set, checkpoint.manifest()) == row.prefixes);
    const std::string first = row.prefixes.empty() ? "" : row.prefixes.front();
    CHECK(layout::holds_all_keys(first, set, checkpoint.manifest()) == row.first_holds_all);
  }
}

TEST_CASE("what an expression sees of a checkpoint") {
  const auto set = rules(
      "source: {root: ''}\nsources: {vocab: {format: json, doc: its words}}\n"
      "variants: {head: {detect: \"'qa'\"}}\n"
      "let: {a: b + 1, b: 2, c: d, d: c, own: 'hidden ?? 7', n: \"exists('heads.${head}')\"}\n");
  const auto checkpoint = source({"heads.nli", "layers.0"}, Json{{"layers", 3}});
  PlanOptions options;
  options.config = {{"given", true}};
  Diagnostics diagnostics;
  const std::vector<NamedSource> sources = {{"", &checkpoint}};
  const layout::KeyTable keys(set, sources, diagnostics);
  layout::CheckpointScope scope(set, keys, sources, options);
  const auto value = [&](const std::string& text) -> std::string {
    const auto expression = lang::parse_expression(text, {set.text}, diagnostics);
    try {
      return lang::evaluate_present(*expression, scope).dump();
    } catch (const Error& e) {
      return e.diagnostic().message;
    }
  };
  CHECK(value("meta.layers") == "3");
  CHECK(value("config.given") == "true");
  CHECK(value("a") == "3");
  CHECK(value("d") == "'d' is defined by itself");
  CHECK(value("own") == "7");
  CHECK(value("hidden") == "'hidden' has no value: a size for the dim 'hidden' is not there");
  CHECK(value("vocab") == "'vocab' has no value: the source 'vocab' (vocab=PATH: its words) is not there");

  // What depends on a dim or a variant is asked again once it has another value.
  scope.dims = {{"hidden", 8}, {"by.x", 1}, {"by.y", 2}};
  scope.forget_let();
  CHECK(value("own") == "8");
  CHECK(value("by") == R"({"x":1,"y":2})");
  CHECK(value("exists('heads.${head}')") == "'heads.${head}' uses ${head}, which has no value yet");
  scope.variants = {{"head", "qa"}};
  CHECK(value("exists('heads.${head}')") == "false");
  scope.variants = {{"head", "nli"}};
  CHECK(value("exists('heads.${head}')") == "true");

  // The holes of a key are names; what stands behind a dot is looked up by what they took.
  scope.holes = {{"m", "y"}};
  CHECK(value("m") == "\"y\"");
  CHECK(value("by.m") == "2");
  CHECK(scope.is_defined("m"));
  CHECK_FALSE(scope.is_defined("by"));
}
