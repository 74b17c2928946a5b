// How findings are told as text: those of one kind as one, and never too many lines.
#include <algorithm>
#include <random>
#include <set>

#include <fmt/format.h>

#include "formats/key_ranges.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/remark_list.h"
#include "support/catch.h"

using namespace remap;

namespace {

const std::string kRules = "rules.yaml";

TextPlace at(int line, int column = 5) { return {kRules, line, column, column + 4, "  - {from: a, to: b}"}; }

Diagnostics lost_keys(size_t layers) {
  Diagnostics found;
  for (size_t i = 0; i < layers; ++i)
    for (const char* part : {"attn", "mlp"})
      found.error("plan-unmatched-key", BytePlace{"m.json", {}, {}},
                  fmt::format("no rule matches the key 'layers.{}.{}.weight' (F32 [{}])", i, part, i + 4),
                  "add a rule for it");
  return found;
}

size_t lines_in(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TEST_CASE("findings of one kind are one: the first in full, the count, the keys folded") {
  CHECK(render_text(lost_keys(12)) ==
        "m.json: error[plan-unmatched-key]: no rule matches the key 'layers.0.attn.weight' (F32 [4])\n"
        "  hint: add a rule for it\n"
        "  24 in all: layers.{0..11}.{attn,mlp}.weight\n");
  CHECK(render_text(lost_keys(12), {.full = true}).find("layers.11.mlp.weight") != std::string::npos);
  CHECK(lines_in(render_text(lost_keys(12), {.full = true})) == 48);
  const auto folded = fold_findings(lost_keys(12));
  REQUIRE(folded.size() == 1);
  CHECK(folded[0].count == 24);
}

TEST_CASE("what differs and what does not") {
  struct Row {
    const char* what;
    Diagnostic a, b;
    const char* others;  // of the one finding that both are; "two" if they are two
  };
  const auto error = [](Place place, std::string message, std::string id = "plan-layout") {
    return Diagnostic{Severity::error, std::move(id), std::move(place), std::move(message)};
  };
  const std::vector<Row> rows = {
      {"numbers outside of quotes", error(at(3), "axis 0 has 3 entries"), error(at(3), "axis 1 has 12 entries"),
       "2 in all"},
      {"shapes of other ranks", error(at(3), "'a' of shape [2,3]"), error(at(3), "'b' of shape [2]"),
       "2 in all: {a,b}"},
      {"a number with zeros before it", error(at(3), "'s.08'"), error(at(3), "'s.09'"), "2 in all: s.{08..09}"},
      {"the string that differs most is shown", error(at(3), "'x' and 'y.1' differ"),
       error(at(3), "'x' and 'y.2' differ"), "2 in all: y.{1..2}"},
      {"an apostrophe is not a quote", error(at(3), "the checkpoint's 'a' is lost"),
       error(at(3), "the checkpoint's 'b' is lost"), "2 in all: {a,b}"},
      {"the same message twice, as of two manifests", error(BytePlace{"a.json", {}, {}}, "'k'"),
       error(BytePlace{"b.json", {}, {}}, "'k'"), "in 2 files: {a,b}.json"},
      {"keys in two files", error(BytePlace{"a.json", {}, {}}, "'k.1'"), error(BytePlace{"b.json", {}, {}}, "'k.2'"),
       "2 in all: k.{1..2} (in 2 files: {a,b}.json)"},
      {"other words", error(at(3), "'a' is lost"), error(at(3), "'a' is found"), "two"},
      {"another line", error(at(3), "'a'"), error(at(4), "'b'"), "two"},
      {"another column", error(at(3, 5), "'a'"), error(at(3, 9), "'b'"), "two"},
      {"another id", error(at(3), "'a'"), error(at(3), "'b'", "plan-cast"), "two"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Diagnostics found;
    found.add(row.a);
    found.add(row.b);
    const auto folded = fold_findings(found);
    if (std::string(row.others) == "two") {
      CHECK(folded.size() == 2);
      continue;
    }
    REQUIRE(folded.size() == 1);
    CHECK(folded[0].others == row.others);
  }
}

TEST_CASE("errors come before warnings, causes before what follows from them") {
  Diagnostics found;
  found.warning("lint-broad-expression", at(1), "first in the file");
  found.error("schema-missing-tensor", at(2), "'x' is missing");
  found.error("plan-shape-mismatch", at(9), "why");
  std::vector<std::string> ids;
  for (const auto& finding : fold_findings(found)) ids.push_back(finding.first.id);
  CHECK(ids == std::vector<std::string>{"plan-shape-mismatch", "schema-missing-tensor", "lint-broad-expression"});
  const std::string full = render_text(found, {.full = true});
  CHECK(full.find("why") < full.find("'x'"));
  CHECK(full.find("'x'") < full.find("first"));
}

TEST_CASE("whatever is found, of whatever kind: a bound on the lines, and what is left out is counted") {
  for (const auto& row : diagnostic_table()) {
    Diagnostics many;
    for (int i = 0; i < 400; ++i)
      many.add({row.severity,
                std::string(row.id),
                at(i + 1),
                fmt::format("'{}' is wrong", i),
                {"one note", "and another"},
                "mend it"});
    const std::string text = render_text(many);
    INFO(text);
    CHECK(lines_in(text) <= 50);
    CHECK(text.find("more findings of") != std::string::npos);
    CHECK(text.ends_with("--full shows all, --format json has them\n"));
  }
}

TEST_CASE("one finding alone is bounded, too") {
  Diagnostics one;
  std::vector<std::string> notes(300, "a family that it is not");
  one.add({Severity::error, "family-unknown", {}, "no family\nknows\tthis \x1bkey", notes, std::string(5000, 'h')});
  const std::string text = render_text(one);
  CHECK(lines_in(text) == 22);
  CHECK(text.starts_with("error[family-unknown]: no family\\nknows\\tthis \\x1bkey\n"));
  CHECK(text.find("note: … and 281 more") != std::string::npos);
  CHECK(text.size() < 3000);
  const std::string least = render_text(one, {.max_lines = 4});
  CHECK(lines_in(least) == 4);
  CHECK(least.ends_with("… cut short; --full shows all, --format json has them\n"));
}

TEST_CASE("a very long line is cut around what is meant, between characters") {
  TextPlace place = at(7, 3001);
  std::string line(3000, 'x');
  for (int i = 0; i < 300; ++i) line += "ü";
  place.source_line = line;
  Diagnostics one;
  one.error("plan-layout", place, "here");
  const std::string text = render_text(one);
  CHECK(text.size() < 1200);
  CHECK(text.find("xü") != std::string::npos);
  CHECK(text.find("…ü") == std::string::npos);
}

TEST_CASE("folded lines stand for all lines, each once, also those that are made when they are asked for") {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> keys;
    for (size_t n = random() % 60; n-- > 0;) {
      std::string key = random() % 3 == 0 ? "a" : "b";
      for (size_t numbers = random() % 3; numbers-- > 0;)
        key += fmt::format(".{:0{}}", random() % 6, random() % 9 == 0 ? 2 : 0);
      if (random() % 50 == 0) key += ".1234567890123456";  // too long to be a number
      keys.insert(key);
    }
    std::vector<report::Line> lines;
    for (const auto& key : keys) lines.push_back({{key, "from " + key}, key.substr(0, 1)});
    std::shuffle(lines.begin(), lines.end(), random);
    const auto rows = report::fold(lines);
    CHECK(rows == report::fold(lines.size(), [&](size_t i, report::Line& line) { line = lines[i]; }));
    std::vector<std::string> all;
    for (const auto& row : rows) {
      std::string problem;
      const auto expanded = formats::expand_ranges(row[0], 1000, problem);
      REQUIRE(expanded);
      all.insert(all.end(), expanded->begin(), expanded->end());
      if (expanded->size() == 1) CHECK(row[1] == "from " + row[0]);
    }
    std::sort(all.begin(), all.end());
    CHECK(all == std::vector<std::string>(keys.begin(), keys.end()));
  }
  // So many that several threads take part.
  const auto expert = [](size_t i, report::Line& line) {
    line.cells = {fmt::format("layers.{}.experts.{}.w", i / 512, i % 512), fmt::format("x.{}", i % 512)};
  };
  CHECK(report::fold(40 * 512, expert) ==
        std::vector<report::Row>{{"layers.{0..39}.experts.{0..511}.w", "x.{0..511}"}});
}

TEST_CASE("keys are folded by numbers first, then by words") {
  struct Row {
    std::vector<std::string> keys, folded;
  };
  std::vector<std::string> many;
  for (char c = 'a'; c <= 'z'; ++c) many.push_back(fmt::format("lang.{}.w", c));
  const std::vector<Row> rows = {
      {{"a.1", "a.0", "a.1"}, {"a.{0..1}"}},
      {{"encoder/layers_0/q", "encoder/layers_1/q", "decoder/layers_0/q", "decoder/layers_1/q"},
       {"{decoder,encoder}/layers_{0..1}/q"}},
      {{"a.x.w", "a.y.w", "b.x.w"}, {"{a,b}.x.w", "a.y.w"}},
      {{"a.x", "a.x.w"}, {"a.x", "a.x.w"}},
      {many, {"lang.{a,b,c,… 23 more}.w"}},
      {{""}, {""}},
  };
  for (const Row& row : rows) CHECK(report::fold_keys(row.keys) == row.folded);
}

TEST_CASE("a hundred thousand findings take no time to tell") {
  Diagnostics found;
  for (int i = 0; i < 120'000; ++i)
    found.error("plan-unmatched-key", BytePlace{"m.json", {}, {}},
                fmt::format("no rule matches the key 'layers.{}.experts.{}.w'", i / 2000, i % 2000));
  const std::string text = render_text(found);
  CHECK(text.find("120000 in all: layers.{0..59}.experts.{0..1999}.w") != std::string::npos);
  CHECK(lines_in(text) == 2);
}

TEST_CASE("remarks of many tensors are folded on a page, and the largest stay") {
  const auto differs = [](double size) { return fmt::format("1 of 4 elements differ, mean {:g}", size); };
  std::vector<report::TensorRemark> remarks;
  for (int layer = 0; layer < 12; ++layer)
    remarks.push_back({fmt::format("l.{}.w", layer), differs(layer), 1.0 * layer});
  for (int layer = 0; layer < 3; ++layer) remarks.push_back({fmt::format("l.{}.b", layer), "only in the first"});
  remarks.push_back({"norm", "shape [2] and [3]"});
  remarks.push_back({"alpha", differs(1e-3), 1e-3});
  struct Row {
    size_t most_lines;
    std::vector<std::string> lines;
    size_t n_left_out;
  };
  const std::string alpha = "alpha: 1 of 4 elements differ, mean 0.001", norm = "norm: shape [2] and [3]",
                    w = "l.{0..11}.w: 12 tensors; the largest: 1 of 4 elements differ, mean 11",
                    b = "l.{0..2}.b: 3 tensors: only in the first";
  const Row rows[] = {
      {16, {alpha, b, w, norm}, 0}, {4, {alpha, b, w, norm}, 0}, {3, {alpha, b, w}, 1}, {2, {alpha, w}, 4}, {1, {w}, 5},
  };
  for (const Row& row : rows) {
    CAPTURE(row.most_lines);
    const auto [lines, n_left_out] = report::remark_list(remarks, row.most_lines);
    std::vector<std::string> said;
    for (const auto& line : lines) said.push_back(line.keys + ": " + line.text);
    CHECK(said == row.lines);
    CHECK(n_left_out == row.n_left_out);
  }
  const auto all = report::remark_list(remarks, remarks.size());
  REQUIRE(all.lines.size() == remarks.size());
  CHECK(all.lines.front().keys == "l.0.w");
  CHECK(all.n_left_out == 0);
}
