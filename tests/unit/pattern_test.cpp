// Key patterns: what they match, and which key they give.
#include "lang/pattern.h"
#include "support/catch.h"

#include <map>
#include <random>
#include <set>

#include <re2/re2.h>

using namespace remap;
using namespace remap::lang;

namespace {

const Tables kTables = {{"qkv", {{"q", "query"}, {"k", "key"}, {"v", "value"}}},
                        {"ff", {{"encoder", "1"}, {"decoder", "2"}}}};

KeyPattern pattern(const std::string& text) {
  auto source = std::make_shared<SourceText>("test.yaml", text);
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = text;
  node.line = node.column = 1;
  Diagnostics diagnostics;
  auto parsed = parse_pattern(text, span_of(source, node), kTables, diagnostics);
  if (!parsed) throw Error(diagnostics.items().front());
  return *parsed;
}

// The target key, or "-" if the source key does not match.
std::string applied(const std::string& from, const std::string& to, const std::string& key) {
  const KeyPattern f = pattern(from), t = pattern(to);
  Diagnostics diagnostics;
  check_expansion(t, f, {}, kTables, diagnostics);
  if (diagnostics.has_errors()) throw Error(diagnostics.items().front());
  const VariantValues variants = {{"head", "mnli"}};
  Captures captures;
  return Matcher(f, variants).match(key, captures) ? expand(t, f, captures, kTables, variants) : "-";
}

}  // namespace

TEST_CASE("patterns match whole keys and give target keys") {
  struct Row {
    const char *from, *to, *key, *expected;
  };
  const Row rows[] = {
      {"a.b", "c", "a.b", "c"},
      {"a.b", "c", "aXb", "-"},    // a dot is a dot
      {"a.b", "c", "a.b.c", "-"},  // a prefix is not a match
      {"a.b", "c", "x.a.b", "-"},  // nor is a suffix
      {"layers.*.w", "layer.*.w", "layers.12.w", "layer.12.w"},
      {"layers.*.w", "layer.*.w", "layers.x.w", "-"},
      {"a.*.b.*", "*.x.*", "a.3.b.4", "3.x.4"},
      {"{x}.{y}", "{y}.{x}", "left.right", "right.left"},
      {"{x}.w", "{x}", "a.b.w", "-"},  // a hole takes no separator
      {"b.{i:int}.{j:int}", "l.{=2*i+j}.w", "b.3.1", "l.7.w"},
      {"b.{i:int}", "l.{= 'even' if i % 2 == 0 else 'odd'}.{i}", "b.03", "l.odd.03"},
      {"{x}/w", "{x}", "a/w", "a"},
      {"a.**", "b.**", "a.x.y.z", "b.x.y.z"},
      {"a.**", "b.**", "a.", "-"},
      {"{p:qkv}_proj.{q:weight|bias}", "{p}.{q}", "k_proj.bias", "key.bias"},
      {"{p:qkv}_proj.{q:weight|bias}", "{p}.{q}", "out_proj.bias", "-"},
      {"{p:qkv}_proj.{q:weight|bias}", "{p}.{q}", "k_proj.scale", "-"},
      {"{side:encoder|decoder}.mlp", "{side}.{side:ff}", "decoder.mlp", "decoder.2"},
      {"block_{i:int}", "block.{i-1}", "block_4", "block.3"},
      {"e.{i:4..7}.w", "e.{i-4}.w", "e.4.w", "e.0.w"},
      {"e.{i:4..7}.w", "e.{i}.w", "e.07.w", "e.07.w"},
      {"e.{i:4..7}.w", "e.{i}.w", "e.3.w", "-"},
      {"e.{i:4..7}.w", "e.{i}.w", "e.47.w", "-"},
      {"e.{i:98..}", "{i}", "e.98", "98"},
      {"e.{i:98..}", "{i}", "e.1000", "1000"},
      {"e.{i:98..}", "{i}", "e.97", "-"},
      {"heads.${head}.w", "classifier.w", "heads.mnli.w", "classifier.w"},
      {"heads.${head}.w", "classifier.w", "heads.rte.w", "-"},
      {"{x}.{x}", "{x}", "a.a", "a"},
      {"{x}.{x}", "{x}", "a.b", "-"},
      {"re:(enc|dec)\\.(\\d+)\\.w", "\\2.\\1", "dec.3.w", "3.dec"},
      {"re:(enc|dec)\\.(\\d+)\\.w", "\\2.\\1", "xdec.3.w", "-"},
      {"router/w", "r", "router/w", "r"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.from, row.to, row.key);
    CHECK(applied(row.from, row.to, row.key) == row.expected);
  }
}

TEST_CASE("mistakes in patterns are named where they are") {
  struct Row {
    const char *from, *to, *message;
  };
  const Row rows[] = {
      {"a.{b", "c", "test.yaml:1:3: error[pattern-syntax]: '{' is not closed"},
      {"a.b}", "c", "test.yaml:1:4: error[pattern-syntax]: '}' without '{'"},
      {"a.{1x}", "c", "test.yaml:1:3: error[pattern-syntax]: '{1x}' does not name a hole"},
      {"a.{p:qkw}", "c", "test.yaml:1:3: error[pattern-syntax]: there is no table 'qkw' under 'maps'"},
      {"a.{p:x||y}", "c", "test.yaml:1:3: error[pattern-syntax]: '{p:x||y}' has an empty alternative"},
      {"re:a(b", "c", "test.yaml:1:5: error[pattern-syntax]: not an expression: '(' is not closed"},
      {"a.*", "b.*.*", "test.yaml:1:1: error[pattern-missing-capture]: 'b.*.*' has 2 '*', 'a.*' has 1"},
      {"a.{x}", "b.{y}", "test.yaml:1:3: error[pattern-missing-capture]: '{y}' is not a hole of 'a.{x}'"},
      {"a.{x}", "b.{x+1}", "test.yaml:1:3: error[pattern-missing-capture]: '{x}' is moved by 1 but takes any string"},
      {"{s:encoder|other}", "{s:ff}",
       "test.yaml:1:1: error[pattern-missing-capture]: maps.ff has no entry for 'other', which '{s}' can take"},
      {"re:(a)", "\\2", "test.yaml:1:1: error[pattern-missing-capture]: '\\2' is not a group of '(a)', which has 1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.from, row.to);
    std::string message = "no error";
    try {
      applied(row.from, row.to, "x");
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(message == row.message);
  }
}

TEST_CASE("a range takes exactly its numbers") {
  for (const auto& [first, last] : {std::pair{0, 0},
                                    {0, 9},
                                    {4, 7},
                                    {7, 12},
                                    {9, 10},
                                    {0, 1200},
                                    {38, 41},
                                    {99, 101},
                                    {128, 255},
                                    {190, 1209},
                                    {1000, 1000}}) {
    const Matcher closed(pattern("e{i:" + std::to_string(first) + ".." + std::to_string(last) + "}"), {}),
        open(pattern("e{i:" + std::to_string(first) + "..}"), {});
    Captures captures;
    for (int n = 0; n < 1300; ++n) {
      INFO(first << " " << last << " " << n);
      REQUIRE(closed.match("e" + std::to_string(n), captures) == (n >= first && n <= last));
      REQUIRE(open.match("e" + std::to_string(n), captures) == (n >= first));
    }
    CHECK(open.match("e123456789", captures));
    CHECK_FALSE(open.match("e", captures));
  }
}

TEST_CASE("the value of a variant stands in both keys; where it is empty, so does the separator after it") {
  struct Row {
    const char *from, *key, *value, *expected;
  };
  const Row rows[] = {
      {"m.${head}.w", "m.a.w", "a", "t.a.w"}, {"m.${head}.w", "m.w", "", "t.w"},
      {"${head}/w", "w", "", "t.w"},          {"m.${head}w", "m.w", "", "t.w"},
      {"m.${head}.w", "m..w", "", "-"},       {"m.${head}.w", "m.aXb.w", "a.b", "-"},  // its dots are dots
  };
  for (const Row& row : rows) {
    CAPTURE(row.from, row.value);
    const KeyPattern from = pattern(row.from), to = pattern("t.${head}.w");
    const VariantValues variants = {{"head", row.value}};
    Captures captures;
    CHECK((Matcher(from, variants).match(row.key, captures) ? expand(to, from, captures, {}, variants) : "-") ==
          row.expected);
  }
  CHECK_THROWS_WITH(Matcher(pattern("m.${head}"), {}),
                    "test.yaml:1:1: error[expression-value]: 'm.${head}' uses ${head}, which has no value yet");
}

TEST_CASE("a matcher knows how its keys begin, and all of them that a target may give") {
  struct Row {
    const char *from, *prefix, *regex, *regex_of_target;  // as a source; as the target of itself
  };
  const Row rows[] = {
      {"a.b", "a.b", "a\\.b", "a\\.b"},
      {"a.*.b", "a.", "a\\.([0-9]+)\\.b", "a\\.[0-9]+\\.b"},
      {"a/**", "a/", "a\\/((?s:.+))", "a\\/(?s:.+)"},
      {"{x}.b", "", "([^./]+)\\.b", "[^./]+\\.b"},
      {"{x:a|b+}", "", "(a|b\\+)", "(?:a|b\\+)"},
      {"{x:ff}", "", "(encoder|decoder)", "(?:1|2)"},  // the values that the table has for them
      {"a{x:8..12}", "a", "a(0*(?:[8-9]|1[0-2]))", "a[^./]+"},
      {"re:a(b)", "", "a(b)", "(?s:.+)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.from);
    const KeyPattern p = pattern(row.from);
    const Matcher matcher(p, {});
    CHECK(matcher.literal_prefix() == row.prefix);
    CHECK(matcher.regex() == row.regex);
    CHECK(regex_of_target(p, p, kTables, {}) == row.regex_of_target);
  }
}

TEST_CASE("reading a key from its start finds what the regular expression finds") {
  std::mt19937 random(3);
  const auto one_of = [&](const std::vector<std::string>& texts) { return texts[random() % texts.size()]; };
  size_t n_matched = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text, key;  // a pattern, and a key that is made like it
    for (size_t n = 1 + random() % 5; n-- > 0;) {
      const std::string token = one_of(
          {"a", "a.", ".b", "/", "1", "ab", "*", "{x}", "{y}", "{k:int}", "{z:a|ab|1}", "{w:1|12}", "{r:3..12}", "**"});
      text += token;
      if (token == "*" || token == "{k:int}" || token == "{r:3..12}")
        key += one_of({"0", "7", "12", "007", "a", ""});
      else if (token.starts_with("{z") || token.starts_with("{w"))
        key += one_of({"a", "ab", "1", "12", "b"});
      else if (token.starts_with("{") || token == "**")
        key += one_of({"a", "ab", "1", "a.b", "\n", "\xc3\xa9", "\xff", "x y", ""});
      else
        key += random() % 8 == 0 ? one_of({"b", ".", ""}) : token;
    }
    INFO(text << " on " << key);
    std::optional<KeyPattern> parsed;
    try {
      parsed = pattern(text);
    } catch (const Error&) {
      continue;
    }
    const Matcher matcher(*parsed, {});
    const RE2 regex(matcher.regex());
    std::vector<re2::StringPiece> groups(static_cast<size_t>(regex.NumberOfCapturingGroups()) + 1);
    bool matches = regex.Match(key, 0, key.size(), RE2::ANCHOR_BOTH, groups.data(), static_cast<int>(groups.size()));
    std::string expected, found;
    std::map<std::string, std::string> holes;
    size_t g = 0;
    for (const PatternToken& token : parsed->tokens) {
      if (token.kind == PatternToken::Kind::literal) continue;
      const std::string taken = matches ? std::string(groups[g + 1].data(), groups[g + 1].size()) : "";
      ++g;
      if (token.kind == PatternToken::Kind::hole) {
        const auto [it, fresh] = holes.emplace(token.text, taken);
        matches = matches && it->second == taken;
        if (!fresh) continue;
      }
      expected += token.text + "=" + taken + "|";
    }
    std::vector<KeyPart> parts(matcher.n_groups());
    CHECK(matcher.find(key, parts.data()) == matches);
    if (!matches) continue;
    ++n_matched;
    Captures captures = {{"old"}, {"old"}, {"old"}, {7}, {{"old", "old"}, {"old", "old"}}};
    matcher.take(key, parts.data(), captures);
    size_t star = 0, rest = 0, hole = 0;
    std::set<std::string> seen;
    for (const PatternToken& token : parsed->tokens) {
      if (token.kind == PatternToken::Kind::literal) continue;
      if (token.kind == PatternToken::Kind::hole && !seen.insert(token.text).second) continue;
      if (token.kind == PatternToken::Kind::star)
        CHECK(key.compare(captures.star_offsets.at(star), 1, captures.stars[star], 0, 1) == 0);
      found += token.text + "=" +
               (token.kind == PatternToken::Kind::star   ? captures.stars.at(star++)
                : token.kind == PatternToken::Kind::rest ? captures.rests.at(rest++)
                                                         : captures.holes.at(hole++).second) +
               "|";
    }
    CHECK(found == expected);
    CHECK(captures.stars.size() + captures.rests.size() + captures.holes.size() == star + rest + hole);
    CHECK(captures.groups.empty());
  }
  CHECK(n_matched > 300);
}

TEST_CASE("prefixes of blocks stand before a pattern, and can be told from it") {
  const KeyPattern prefix = pattern("a.{x}"), own = pattern("{y}.w");
  const KeyPattern joined = with_suffix(join(pattern("m"), '.', join(prefix, '/', own)), ".bias");
  CHECK(joined.text == "m.a.{x}/{y}.w.bias");
  CHECK(joined.own_text() == "{y}.w");
  REQUIRE(joined.hole("x"));
  REQUIRE(joined.hole("y"));
  CHECK(joined.hole("z") == nullptr);
  CHECK(joined.origin_of(*joined.hole("x")).column == 3);  // in the prefix's text
  CHECK(joined.place_of(*joined.hole("y")).end_column == 4);
  REQUIRE(without_prefix(joined));
  CHECK(without_prefix(joined)->text == "{y}.w");
  CHECK_FALSE(without_prefix(own));
  CHECK(prefix_hint("equal_to", join(prefix, '.', own), "k")
            .starts_with("'equal_to' stands below the prefix of its block, 'a.{x}', and 'k' is there without it"));
  // An empty prefix adds nothing.
  CHECK(join({}, '.', own).text == "{y}.w");
}

TEST_CASE("what cannot be expanded for a key is said") {
  struct Row {
    const char *from, *to, *key, *message;
  };
  const Row rows[] = {
      {"e{i:int}", "{i-1}", "e0", "error[pattern-no-translation]: '0' moved by -1 is not an index"},
      {"e{i:int}", "{i+1}", "e99999999999999999999",
       "error[pattern-no-translation]: '99999999999999999999' moved by 1 is not an index"},
  };
  for (const Row& row : rows) CHECK_THROWS_WITH(applied(row.from, row.to, row.key), row.message);
}
