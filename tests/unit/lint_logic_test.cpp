// What lint decides by itself: whether two patterns have a key in common, and whether conditions can hold together.
#include "lint/automaton.h"
#include "lint/linter.h"
#include "lint/satisfiability.h"
#include "support/catch.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

using namespace remap;
using namespace remap::linting;

namespace {

lang::Expression expression(const std::string& text) {
  auto source = std::make_shared<lang::SourceText>("test.yaml", text);
  lang::YamlNode node;
  node.kind = lang::YamlNode::Kind::scalar;
  node.text = text;
  node.line = node.column = 1;
  Diagnostics diagnostics;
  auto parsed = lang::parse_expression(text, lang::span_of(source, node), diagnostics);
  if (!parsed) throw Error(diagnostics.items().front());
  return *parsed;
}

}  // namespace

TEST_CASE("texts that two expressions have in common") {
  struct Row {
    const char *a, *b;
    std::vector<const char*> without;
    const char* texts;  // shortest first; one of those that lead through the same states
  };
  const Row rows[] = {
      {"abc", "abc", {}, "abc"},
      {"abc", "abd", {}, ""},
      {"a.c", "a[bd]c", {}, "abc"},
      {"[ab]{2}", "[bc]{2}", {}, "bb"},
      {"a*", "(aa)*", {}, " aa aaaa"},
      {"(a|b)+", "b+", {"b", "bb"}, "bbb bbbb bbbbb"},
      {"layers\\.[0-9]+\\.w", "layers\\.[^./]+\\.w", {}, "layers.0.w layers.00.w layers.000.w"},
      {"layers\\.[0-9]+\\.w", "layers\\.[a-z]+\\.w", {}, ""},
      {"[0-9]+", ".*", {"[0-8]"}, "9 00 09"},
      {"^ab$", "\\Aa.\\z", {}, "ab"},
      {"a?b?", "[^a]*", {}, " b"},
      {"\\d\\.\\w", "1[.]x", {}, "1.x"},
      {"(?:ab)?c", "abc|dc", {}, "abc"},
      {"x", ".", {"x"}, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.a, row.b);
    const auto a = Automaton::of(row.a), b = Automaton::of(row.b);
    REQUIRE(a);
    REQUIRE(b);
    std::vector<Automaton> others;
    for (const char* other : row.without) others.push_back(*Automaton::of(other));
    std::vector<const Automaton*> without;
    for (const Automaton& other : others) without.push_back(&other);
    size_t steps = 10'000;
    const auto texts = common_texts(*a, *b, without, 3, steps);
    CHECK(fmt::format("{}", fmt::join(texts, " ")) == row.texts);
    for (const auto& text : texts) {
      CHECK(RE2::FullMatch(text, row.a));
      CHECK(RE2::FullMatch(text, row.b));
    }
  }
}

TEST_CASE("an expression that is not read, or whose automaton would be large, has none") {
  for (const char* regex : {"a\\bb", "(?i)a", "a^b", "((a{60}){60}){60}", "("}) {
    CAPTURE(regex);
    CHECK_FALSE(Automaton::of(regex));
  }
}

TEST_CASE("a search ends when its steps are used up") {
  const auto a = Automaton::of("[a-y]*z"), b = Automaton::of("[0-9]*z|.{40}");
  size_t steps = 5;
  CHECK(common_texts(*a, *b, {}, 1000, steps).size() < 1000);
  CHECK(steps == 0);
}

TEST_CASE("conditions that can hold together, and those that cannot") {
  struct Row {
    std::vector<const char*> conditions;
    bool can_hold;
  };
  const Row rows[] = {
      {{}, true},
      {{"true"}, true},
      {{"false"}, false},
      {{"x == 1"}, true},
      {{"x == 1", "x == 2"}, false},
      {{"x == 1", "x != 1"}, false},
      {{"x == 1", "x != 2"}, true},
      {{"x == 1", "1 == x"}, true},
      {{"x == 1", "2 == x"}, false},
      {{"x in [1, 2]", "x in [2, 3]"}, true},
      {{"x in [1, 2]", "x in [3]"}, false},
      {{"x in [1, 2]", "x == 1 or x == 3", "x != 1"}, false},
      {{"x == 1", "y == 2"}, true},
      {{"meta.a == 1", "meta.a == 2"}, false},
      {{"exists('a')", "not exists('a')"}, false},
      {{"exists('a')", "not exists(\"a\")"}, false},  // one spelling
      {{"exists('a')", "not exists('b')"}, true},
      {{"f", "not f"}, false},
      {{"n > 3", "n < 2"}, true},  // told by their form alone
      // A variant is one of its values.
      {{"head != 'lm'", "head != 'none'"}, false},
      {{"head != 'lm'"}, true},
      {{"head == 'other'"}, false},
      // An entry of 'let' that is a condition is looked into.
      {{"is_lm", "head == 'none'"}, false},
      {{"is_lm", "head == 'lm'"}, true},
      {{"not is_lm", "head == 'lm'"}, false},
  };
  const std::vector<std::pair<std::string, lang::Expression>> let = {{"is_lm", expression("head == 'lm'")}};
  Conditions conditions(let);
  conditions.limit("head", {"lm", "none"});
  for (const Row& row : rows) {
    std::vector<lang::Expression> parsed;
    for (const char* text : row.conditions) parsed.push_back(expression(text));
    std::vector<const lang::Expression*> list = {nullptr};  // one that always holds
    for (const auto& one : parsed) list.push_back(&one);
    CAPTURE(row.conditions.empty() ? "" : row.conditions.back());
    CHECK(conditions.can_hold(list) == row.can_hold);
  }
}

TEST_CASE("anchors at the ends of an expression, and what only looks like one") {
  struct Row {
    const char* expression;
    size_t begin, end;
  };
  const Row rows[] = {{"", 0, 0},       {"^a$", 1, 1},      {"\\Aa\\z", 2, 2}, {"a\\$", 0, 0},  {"a\\\\$", 0, 1},
                      {"a\\\\z", 0, 0}, {"a\\\\\\z", 0, 2}, {"^", 1, 0},       {"$", 0, 1},     {"^$", 1, 1},
                      {"[^a]$", 0, 1},  {"\\^a", 0, 0},     {"\\A", 2, 0},     {"\\\\Aa", 0, 0}};
  for (const Row& row : rows) {
    INFO(row.expression);
    CHECK(anchors_of(row.expression) == std::pair(row.begin, row.end));
  }
}

TEST_CASE("lint.md says which findings --fix mends") {
  std::ifstream page(REMAP_SOURCE_DIR "/docs/lint.md");
  std::vector<std::string> marked, ids;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `lint-") && line.find("`--fix` does") != std::string::npos)
      marked.push_back(line.substr(3, line.find('`', 3) - 3));
  for (const auto id : findings_with_a_mend()) {
    ids.emplace_back(id);
    CHECK(std::any_of(diagnostic_table().begin(), diagnostic_table().end(), [&](const auto& r) { return r.id == id; }));
  }
  std::sort(marked.begin(), marked.end());
  std::sort(ids.begin(), ids.end());
  CHECK(marked == ids);
}
