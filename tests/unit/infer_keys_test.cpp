// What infer makes of keys: forms with tokens, numbers taken apart, words, templates, variables, subtrees, words that
// are merged, parts along an axis.
#include <map>
#include <set>

#include "infer/generalise.h"
#include "infer/indices.h"
#include "infer/key_form.h"
#include "infer/key_template.h"
#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/merge_words.h"
#include "infer/subtrees.h"
#include "infer/tiling.h"
#include "infer/write.h"
#include "support/catch.h"
#include "support/memory_source.h"

using namespace remap;
using namespace remap::infer;

namespace {

// A form as a test writes it: {0} a variable, {0+1} one that is moved, {part}, {each}, #, {word}, **.
KeyForm form(const std::string& text) {
  static const std::vector<std::pair<std::string, KeyForm>> tokens = {{"{0}", KeyForm::variable(0)},
                                                                      {"{1}", KeyForm::variable(1)},
                                                                      {"{0+1}", KeyForm::variable(0, 1)},
                                                                      {"{0-1}", KeyForm::variable(0, -1)},
                                                                      {"{part}", KeyForm::part()},
                                                                      {"{each}", KeyForm::each()},
                                                                      {"#", KeyForm::number()},
                                                                      {"{word}", KeyForm::word()},
                                                                      {"**", KeyForm::rest()}};
  KeyForm result;
  for (size_t i = 0; i < text.size();) {
    const auto token = std::find_if(tokens.begin(), tokens.end(),
                                    [&](const auto& t) { return text.compare(i, t.first.size(), t.first) == 0; });
    if (token == tokens.end()) {
      result += std::string_view(text).substr(i++, 1);
    } else {
      result += token->second;
      i += token->first.size();
    }
  }
  return result;
}

std::string shown(const KeyForm& form) {
  return form.render([](const KeyToken& token) -> std::string {
    using Kind = KeyToken::Kind;
    switch (token.kind) {
      case Kind::variable:
        return "{" + std::to_string(token.variable) +
               (token.add == 0 ? "" : (token.add > 0 ? "+" : "") + std::to_string(token.add)) + "}";
      case Kind::part: return "{part}";
      case Kind::each: return "{each}";
      case Kind::number: return "#";
      case Kind::word: return "{word}";
      case Kind::rest: return "**";
      case Kind::text: break;
    }
    return token.text;
  });
}
std::vector<std::string> shown(const std::vector<KeyForm>& forms) {
  std::vector<std::string> texts;
  for (const auto& one : forms) texts.push_back(shown(one));
  return texts;
}

PatternRule rule(const std::string& from, const std::string& to, size_t variables = 0) {
  PatternRule result;
  result.from = form(from), result.to = form(to);
  result.variables.resize(variables);
  for (auto& variable : result.variables) variable.index = true, variable.values = {{"0", "0"}, {"1", "1"}};
  return result;
}
std::vector<std::string> shown(const std::vector<PatternRule>& rules) {
  std::vector<std::string> keys;
  for (const auto& one : rules) keys.push_back(shown(one.from) + " -> " + shown(one.to));
  std::sort(keys.begin(), keys.end());
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("a form is text and tokens, counted in characters of the one and in the other one by one") {
  struct Row {
    std::string form;
    size_t size;
    Keys segments;
    std::string parent;
    std::set<size_t> variables;
    std::string without_rule;
  };
  const std::vector<Row> rows = {
      {"", 0, {""}, "", {}, ""},
      {"a.bc/d", 6, {"a", "bc", "d"}, "a.bc", {}, "a.bc/d"},
      {"layers.{0}.fc{1}.w", 14, {"layers", "{0}", "fc{1}", "w"}, "layers.{0}.fc{1}", {0, 1}, "layers.#.fc#.w"},
      {"block.{0+1}.attn", 12, {"block", "{0+1}", "attn"}, "block.{0+1}", {0}, "block.#.attn"},
      {"x{each}.{part}", 4, {"x{each}", "{part}"}, "x{each}", {}, "x#.{word}"},
      {"a.**", 3, {"a", "**"}, "a", {}, "a.**"}};
  for (const Row& row : rows) {
    INFO(row.form);
    const KeyForm own = form(row.form);
    CHECK(shown(own) == row.form);
    CHECK(own.size() == row.size);
    CHECK(shown(own.segments()) == row.segments);
    CHECK(shown(own.parent()) == row.parent);
    CHECK(own.variables() == row.variables);
    CHECK(shown(own.without_rule()) == row.without_rule);
    for (size_t i = 0; i <= own.size(); ++i) {
      CHECK(own.substr(0, i) + own.substr(i) == own);
      CHECK(own.starts_with(own.substr(0, i)));
      CHECK(own.ends_with(own.substr(i)));
      CHECK(common_prefix(own, own.substr(0, i)) == i);
      CHECK(common_suffix(own, own.substr(i)) == own.size() - i);
    }
  }
  CHECK_FALSE(form("a{0}").starts_with(form("a{1}")));
  CHECK_FALSE(form("a{0}").ends_with(form("{0+1}")));
  CHECK(KeyForm("a") + "b" == KeyForm("ab"));
  // Bytes that once stood for tokens, and the sign for numbers, are text like any other.
  CHECK(KeyForm("a\x01"
                "0#")
            .text() ==
        "a\x01"
        "0#");
  CHECK(numbered("a#.1").shape() != numbered("a2.1").shape());
}

TEST_CASE("keys are taken apart at their numbers") {
  for (const auto& [key, shape] : std::map<std::string, std::string>{{"layers.12.fc1.weight", "layers.#.fc#.weight"},
                                                                     {"007.x", "007.x"},
                                                                     {"a.0", "a.#"},
                                                                     {"1234567890", "1234567890"},
                                                                     {"", ""}}) {
    CHECK(shown(numbered(key).shape()) == shape);
    CHECK(numbered(key).joined() == key);
  }
  CHECK(shown(numbered(form("a.{part}.3.{each}")).shape()) == "a.{part}.#.{each}");
  const auto counted = counted_prefixes({"l.0.a", "l.1.a", "m.1.a", "m.2.a", "n0x.a", "n1x.a", "o.0"});
  CHECK(counted == std::set<KeyForm>{form("l.")});
  struct Row {
    Keys keys;
    std::string before, after;
    Keys names;
  };
  for (const Row& row : std::vector<Row>{{{"e.0.w", "e.1.w"}, "e.", ".w", {"0", "1"}},
                                         {{"e.4.w", "e.5.w"}, "e.", ".w", {"4", "5"}},
                                         {{"l.7.e_0.w", "l.7.e_1.w"}, "l.7.e_", ".w", {"0", "1"}}}) {
    const auto place = counting_place(row.keys);
    REQUIRE(place);
    CHECK(place->before == row.before);
    CHECK(place->after == row.after);
    CHECK(place->names == row.names);
  }
  CHECK_FALSE(counting_place(Keys{"e.0.w", "e.2.w"}));
  const auto place = differing_place({"a.q_proj.w", "a.k_proj.w"});
  REQUIRE(place);
  CHECK(place->names == Keys{"q", "k"});
}

TEST_CASE("words of keys are those of the field, with what their modules do") {
  const auto never = [](const std::string&) { return false; };
  struct Row {
    std::string key;
    Keys words, roles;
  };
  for (const Row& row : std::vector<Row>{
           {"encoder.layer.0.attention.self.query.weight",
            {"encoder", "layer", "0", "attention", "q", "weight"},
            {"encoder", "layer", "0", "attention", "q", "weight"}},
           {"h.0.ln_1.gamma", {"layer", "0", "norm", "1", "weight"}, {"layer", "0", "norm", "1", "first", "weight"}},
           {"blocks.0.ffn.w2", {"layer", "0", "mlp", "w2"}, {"layer", "0", "mlp", "down", "w2"}},
           {"EncDecAttention/kernel", {"enc", "dec", "attention", "weight"}, {"enc", "dec", "attention", "weight"}}}) {
    INFO(row.key);
    CHECK(words_of(row.key) == row.words);
    CHECK(roles_of(row.key, never) == row.roles);
  }
  CHECK(part_roles("qk") == Keys{});
  CHECK(part_roles("w1") == Keys{"gate"});
  CHECK(alikeness({"a", "w"}, {"a", "w"}, 0.3) == 1);
  CHECK(alikeness({"a"}, {"b"}, 0.3) == 0);
}

TEST_CASE("keys of a list become templates: numbers that count are open, those of one value are words") {
  std::vector<test::MemoryTensor> source, target;
  for (const char* key : {"l.0.fc1.w", "l.1.fc1.w", "l.0.norm#.w", "l.1.norm#.w", "odd.7", "optimizer.l.0"})
    source.push_back({key, DType::f32, {4}, {}});
  for (const char* key : {"m.3.w", "m.4.w"}) target.push_back({key, DType::f32, {4}, {}});
  const test::MemorySource from(source), to(target);
  const Problem problem{{{"", &from}}, &to, false, {std::nullopt}};
  const Templates templates = templates_of(problem);
  Keys keys;
  for (const auto& one : templates.source) keys.push_back(one.key.shown("*"));
  CHECK(keys == Keys{"l.*.fc1.w", "l.*.norm#.w", "odd.7"});
  CHECK(templates.source[0].numbers == std::vector<std::vector<int64_t>>{{0}, {1}});
  CHECK(templates.target.size() == 2);
}

TEST_CASE("what is below a prefix on both sides has that prefix, though a number in it is moved") {
  struct Row {
    std::string from, to, path;
    std::optional<std::string> prefix;
  };
  for (const Row& row : std::vector<Row>{{"a.b.w", "c.b.w", "a", "c"},
                                         {"a.b.w", "b.w", "a", ""},
                                         {"b.w", "c.b.w", "", "c"},
                                         {"a.b.w", "c.x.w", "a", std::nullopt},
                                         {"a.b.w", "xb.w", "a", std::nullopt},
                                         {"a.b.w", "c/b.w", "a", std::nullopt},
                                         {"l.{0}.attn.w", "block.{0}.attn.w", "l.{0}", "block.{0}"},
                                         {"l.{0}.attn.w", "block.{0+1}.attn.w", "l.{0}", "block.{0+1}"},
                                         {"l.{0}.a.w", "block.{0+1}.attn.w", "l.{0}.a", "block.{0+1}.attn"},
                                         {"l.{0}.attn.w", "block.{0}.attn.w", "l", "block"},
                                         {"l.w", "block.{0}.w", "l", std::nullopt}}) {
    INFO(row.from << " to " << row.to << " below " << row.path);
    const auto prefix = prefix_of(rule(row.from, row.to, 1), form(row.path));
    CHECK(prefix.has_value() == row.prefix.has_value());
    if (prefix && row.prefix) CHECK(shown(*prefix) == *row.prefix);
  }
  // So a whole subtree is one rule.
  const std::vector<PatternRule> rules = {
      rule("l.{0}.a.q.w", "block.{0+1}.attn.q.w", 1), rule("l.{0}.a.k.w", "block.{0+1}.attn.k.w", 1),
      rule("l.{0}.a.o.w", "block.{0+1}.attn.o.w", 1), rule("l.{0}.a.o.b", "block.{0+1}.attn.o.b", 1)};
  CHECK(shown(with_rest(rules)) == Keys{"l.{0}.a.** -> block.{0+1}.attn.**"});
  // One that goes elsewhere is left out of it.
  auto more = rules;
  more.push_back(rule("l.{0}.a.norm.w", "norms.{0}.w", 1));
  const auto divided = with_rest(more);
  CHECK(shown(divided) == Keys{"l.{0}.a.** -> block.{0+1}.attn.**", "l.{0}.a.norm.w -> norms.{0}.w"});
  CHECK(shown(divided[0].except) == Keys{"l.#.a.norm.w"});
}

TEST_CASE("numbers of the source become those of the target") {
  Findings findings;
  const Operations operations;
  const auto rules_of = [&](const std::vector<std::pair<std::string, std::string>>& keys) {
    std::vector<KeyPair> pairs;
    findings.relations.assign(keys.size(), Relation());
    for (const auto& [from, to] : keys) pairs.push_back({KeyForm(from), KeyForm(to), 0, pairs.size()});
    return shown(with_indices(pairs, 0, findings, operations, {{form("l.")}, {form("m.")}}));
  };
  CHECK(rules_of({{"l.0.w", "m.0.w"}, {"l.1.w", "m.1.w"}}) == Keys{"l.{0}.w -> m.{0}.w"});
  CHECK(rules_of({{"l.0.w", "m.1.w"}, {"l.1.w", "m.2.w"}}) == Keys{"l.{0}.w -> m.{0+1}.w"});
  CHECK(rules_of({{"l.0.w", "m.0.w"}, {"l.1.w", "m.5.w"}}) == Keys{"l.1.w -> m.5.w", "l.{0}.w -> m.{0}.w"});
  CHECK(rules_of({{"l.0.w", "m.0.w"}}) == Keys{"l.{0}.w -> m.{0}.w"});
  CHECK(rules_of({{"x.0.w", "y.0.w"}}) == Keys{"x.0.w -> y.0.w"});
  CHECK(rules_of({{"l.0.e3.w", "m.3.0.w"}, {"l.1.e4.w", "m.4.1.w"}}) == Keys{"l.{0}.e{1}.w -> m.{1}.{0}.w"});
}

TEST_CASE("rules that differ in a word become one") {
  Operations operations;
  const auto merged = [&](const std::vector<PatternRule>& rules) { return shown(with_words(rules, operations)); };
  CHECK(merged({rule("a.{0}.q.w", "b.{0}.q.w", 1), rule("a.{0}.k.w", "b.{0}.k.w", 1)}) ==
        Keys{"a.{0}.{1}.w -> b.{0}.{1}.w"});
  CHECK(merged({rule("a.wq.w", "b.q_proj.w"), rule("a.wk.w", "b.k_proj.w")}) == Keys{"a.w{0}.w -> b.{0}_proj.w"});
  CHECK(merged({rule("a.cat.w", "b.dog.w"), rule("a.cow.w", "b.hen.w")}) ==
        Keys{"a.cat.w -> b.dog.w", "a.cow.w -> b.hen.w"});
  CHECK(merged({rule("a.x_{0}.w", "b.x_{0}.w", 1), rule("a.y_{0}.w", "b.y_{0}.w", 1)}) ==
        Keys{"a.{1}_{0}.w -> b.{1}_{0}.w"});
  Keys words;
  for (const auto& cut : cuts_of(form("a.{0}.w"))) words.push_back(shown(cut.word));
  CHECK(words == Keys{"a", "a.{0}", "a.{0}.w", "{0}", "{0}.w", "w"});
}

TEST_CASE("parts fill an axis from end to end, one after another or by turns") {
  struct Row {
    std::string name;
    std::vector<uint64_t> slices;  // hashes of the axis' entries, of two elements each
    std::vector<uint64_t> hashes;  // of the parts
    std::vector<int64_t> elements;
    Turns turns;
    std::vector<int64_t> begins;
  };
  const std::vector<Row> rows = {{"two parts", {1, 2, 4, 8}, {3, 12}, {4, 4}, {1, 4}, {0, 2}},
                                 {"other lengths, in another order", {1, 2, 4, 8}, {14, 1}, {6, 2}, {1, 4}, {0, 1}},
                                 {"a gap", {1, 2, 4, 8}, {3, 8}, {4, 2}, {1, 4}, {}},
                                 {"the hash fits, the size does not", {1, 2, 4, 8}, {3, 12}, {4, 6}, {1, 4}, {}},
                                 {"by turns", {1, 2, 4, 8}, {5, 10}, {4, 4}, {2, 2}, {0, 1}},
                                 {"the whole is not a part of itself", {1, 2}, {3}, {4}, {1, 2}, {}}};
  for (const Row& row : rows) {
    INFO(row.name);
    PartPool pool;
    pool.elements_of = [&](size_t part) { return row.elements[part]; };
    pool.is_taken = [](size_t) { return false; };
    for (size_t part = 0; part < row.hashes.size(); ++part) pool.add(part, row.hashes[part]);
    size_t windows = 0;
    std::vector<int64_t> begins;
    for (const Slot& slot : slots_along({row.slices, 0, 2}, row.turns, pool, windows)) begins.push_back(slot.begin);
    CHECK(begins == row.begins);
    pool.is_taken = [](size_t part) { return part == 0; };
    CHECK(slots_along({row.slices, 0, 2}, row.turns, pool, windows).empty());
  }
  CHECK(turns_of(12).size() == 5);  // 1, 2, 3, 4 and 6 groups
}

TEST_CASE("of parts that hold the same, keys say which is where") {
  const Keys keys = {"w.0", "w.1", "w.2", "other.1"};
  PartNames names{[&](size_t part) -> const std::string& { return keys[part]; }, [](size_t) { return 0.0; }, false};
  // Those that count.
  CHECK(assigned({{0, 1, {0, 1, 2, 3}}, {1, 1, {0, 1, 2, 3}}, {2, 1, {0, 1, 2, 3}}}, names) ==
        std::vector<size_t>{0, 1, 2});
  // Those that are nearest to what is certain.
  CHECK(assigned({{0, 2, {0}}, {2, 1, {1, 3}}}, names) == std::vector<size_t>{0, 1});
  // One cannot be in two places.
  CHECK(assigned({{0, 2, {1}}, {2, 1, {1}}, {3, 1, {1, 1}}}, names).empty());
  // Constants fit anywhere: their keys must belong together.
  names.constants = true;
  CHECK(assigned({{0, 1, {0}}, {1, 1, {1}}}, names) == std::vector<size_t>{0, 1});
  CHECK(assigned({{0, 1, {0}}, {1, 1, {3}}}, names).empty());
}
