// The canonical layout of rule files: what it is, that it is a fixed point, and that nothing is lost on the way.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "lang/yaml_tree.h"
#include "remap/format_rules.h"
#include "support/catch.h"

namespace fs = std::filesystem;
using namespace remap;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Checked on the way: laying out again changes nothing.
std::string formatted(const std::string& text) {
  Diagnostics diagnostics;
  const auto once = format_rules("test.yaml", text, diagnostics);
  if (!once) return diagnostics.items().front().message;
  CHECK(format_rules("test.yaml", *once, diagnostics).value_or("refused") == *once);
  return *once;
}

// Below "remap: 1", which makes it a rule file.
std::string body(const std::string& text) {
  const std::string result = formatted("remap: 1\n" + text);
  return result.starts_with("remap: 1\n") ? result.substr(9) : result;
}

const std::string kLong = std::string(60, 'x');

}  // namespace

TEST_CASE("the shipped files are laid out so, and any layout of them leads there") {
  size_t count = 0;
  for (const char* folder : {"rules", "schemas"})
    for (const auto& entry : fs::directory_iterator(fs::path(REMAP_SOURCE_DIR) / folder)) {
      if (entry.path().extension() != ".yaml") continue;
      CAPTURE(entry.path());
      const std::string text = read(entry.path());
      CHECK(formatted(text) == text);
      ++count;
      std::string loose;  // more blanks wherever there is one at the end of a line, and other line ends
      for (const char c : text) loose += c == '\n' ? "  \r\n" : std::string(1, c);
      if (text.find("\n  detect: >-") == std::string::npos && text.find(">-\n") == std::string::npos)
        CHECK(formatted(loose) == text);
    }
  CHECK(count >= 20);
}

TEST_CASE("sections have an order, and take their comments along") {
  CHECK(formatted("# about the file\nrules: []\n\n# what it is\nfamily: a   # its name\nremap: 1\nodd: 2\n") ==
        "# about the file\nremap: 1\n\n# what it is\nfamily: a   # its name\nrules: []\nodd: 2\n");
  CHECK(formatted("architectures: {}\nremap_schema: 1\nconfig: {}\n") ==
        "remap_schema: 1\nconfig: {}\narchitectures: {}\n");
  CHECK(formatted("steps: []\nremap_model: 1\nlet: {}\n") == "steps: []\nremap_model: 1\nlet: {}\n");
}

TEST_CASE("what stands in braces, and what does not") {
  struct Row {
    const char* title;
    std::string before, after;
  };
  const std::vector<Row> rows = {
      {"a rule that fits", "rules:\n- from: a\n  to: b\n  shape:\n    - x\n    - y\n",
       "rules:\n  - {from: a, to: b, shape: [x, y]}\n"},
      {"a rule that does not fit",
       "rules:\n  - {from: " + kLong + ", to: " + kLong + ", shape: [x, y], transpose: true}\n",
       "rules:\n  - from: " + kLong + "\n    to: " + kLong + "\n    shape: [x, y]\n    transpose: true\n"},
      {"a block of rules", "rules:\n  - {within: {from: a}, rules: [{keep: b}]}\n",
       "rules:\n  - within: {from: a}\n    rules:\n      - {keep: b}\n"},
      {"a source", "source:\n    format: torch\n    root:   \"\"\n", "source: {format: torch, root: \"\"}\n"},
      {"tables", "maps:\n    a: {b:   c}\n    d:\n      e: f\n", "maps:\n  a: {b: c}\n  d: {e: f}\n"},
      {"free sections stay as they were", "config:\n  a: {b: 1,c: 2}\n  d:\n     e: 3\nlet: {f: '1'}\n",
       "let: {f: \"1\"}\nconfig:\n  a: {b: 1, c: 2}\n  d:\n    e: 3\n"},
      {"a list of plain values stays on its line", "config:\n  a: [" + kLong + ", " + kLong + ", " + kLong + "]\n",
       "config:\n  a: [" + kLong + ", " + kLong + ", " + kLong + "]\n"},
      {"braces that do not fit", "config:\n  a: {b: " + kLong + ", c: " + kLong + ", d: " + kLong + "}\n",
       "config:\n  a:\n    b: " + kLong + "\n    c: " + kLong + "\n    d: " + kLong + "\n"},
      {"nothing, and its names", "config:\n  a:\n  b: null\n  c: ~\n  d: []\n  e: {}\n",
       "config:\n  a:\n  b: null\n  c: ~\n  d: []\n  e: {}\n"},
      {"lists of lists", "config:\n  a:\n  - - 1\n    - 2\n  -\n    b: 3\n    c: 4\n",
       "config:\n  a:\n    - [1, 2]\n    - b: 3\n      c: 4\n"},
  };
  for (const Row& row : rows) {
    INFO(row.title);
    CHECK(body(row.before) == row.after);
  }
}

TEST_CASE("quotes stand where the text would be something else without them") {
  const auto value = [](const std::string& written) { return body("config:\n  a: " + written + "\n").substr(13); };
  for (const char* kept :
       {"\"1\"",       "\"true\"", "\"null\"",  "\"no\"",   "\"1e-5\"", "\"2024-01-01\"", "\"\"",          "\" a\"",
        "\"a \"",      "\"a: b\"", "\"a:\"",    "\"a #b\"", "\"*\"",    "\"- a\"",        "\"{a}\"",       "\"[a\"",
        "\"'a' b\"",   "\"@a\"",   "\"a\\nb\"", "1",        "true",     "1e-5",           "4.38.2",        "a, b",
        "a[0] ?? {b}", "it's",     "a:b",       "a#b",      "\"%a\"",   "\"| a\"",        "$a if b else c"}) {
    CAPTURE(kept);
    CHECK(value(kept) == std::string(kept) + "\n");
  }
  CHECK(value("'plain text'") == "plain text\n");
  CHECK(value("\"a ?? b, c\"") == "a ?? b, c\n");
  CHECK(value("'it''s'") == "it's\n");
  CHECK(value("'[''a'']'") == "\"['a']\"\n");
  CHECK(value("\"re:\\\\d\"") == "re:\\d\n");
  CHECK(value("\"{\\\\d}\"") == "'{\\d}'\n");
  // In braces more has to be quoted, and again less where they are gone.
  CHECK(body("rules:\n  - from: a.{b}\n    to: c ?? d, e\n") == "rules:\n  - {from: \"a.{b}\", to: \"c ?? d, e\"}\n");
  CHECK(body("config: {\"0\": \"0\", \"a\": \"b\", \"no\": x}\n") == "config: {\"0\": \"0\", a: b, \"no\": x}\n");
}

TEST_CASE("texts over several lines") {
  CHECK(body("let:\n  a: one\n     two\n") == "let:\n  a: one two\n");
  CHECK(body("let:\n  a: >-\n       one\n       two\n  b: |\n    x\n      y\n\n  c: 1\n") ==
        "let:\n  a: >-\n    one\n    two\n  b: |\n    x\n      y\n\n  c: 1\n");
  CHECK(body("let:\n  a: " + kLong + "\n    " + kLong + "\n    " + kLong + "\n") ==
        "let:\n  a: >-\n    " + kLong + " " + kLong + "\n    " + kLong + "\n");
  CHECK(body("let:\n  a: |+\n    x\n\n  b: 1\n") == "let:\n  a: \"x\\n\\n\"\n\n  b: 1\n");
}

TEST_CASE("comments stay with what they stand before or behind") {
  CHECK(body("let: # of let\n  # above a\n  a: 1 # behind a\n\n\n  # below\n\n# of rules\nrules: []\n") ==
        "let:   # of let\n  # above a\n  a: 1   # behind a\n\n  # below\n\n# of rules\nrules: []\n");
  CHECK(body("rules:\n  - {from: a,   # one\n     to: b}   # two\n") ==
        "rules:\n  - from: a   # one\n    to: b   # two\n");
  CHECK(body("rules:\n  - from: a\n    # about b\n    to: b\n  # about c\n  - {from: c, to: d}   # behind d\n") ==
        "rules:\n  - from: a\n    # about b\n    to: b\n  # about c\n  - {from: c, to: d}   # behind d\n");
  CHECK(body("let:\n  a: 'x # no comment'\n  b: x#none\n  c: >-   # of c\n    # none\n    d\n") ==
        "let:\n  a: \"x # no comment\"\n  b: x#none\n  c: >-   # of c\n    # none\n    d\n");
  CHECK(body("rules: []\n# at the end\n") == "rules: []\n# at the end\n");
}

TEST_CASE("bytes of which readers of YAML make different things are refused, not laid out") {
  CHECK(formatted("remap: x\r\r\n") == "a carriage return that does not end a line");
  for (const char* text :
       {"remap: x\r", "remap: \"x\ry\"\n", "# a\rremap: 1\n", "remap: 1\ra: 2\n", "remap: |\n  x\r\r\n"})
    CHECK(formatted(text) == "a carriage return that does not end a line");
  CHECK(formatted(std::string("remap: a\0b\n", 11)) == "the control character 0x00, which YAML does not allow");
  CHECK(formatted("remap: \x1b[1m\n") == "the control character 0x1b, which YAML does not allow");
  CHECK(formatted("remap: a\x7f\n") == "the control character 0x7f, which YAML does not allow");
  CHECK(formatted("remap: \"\\x00\\r\\x1b\"\r\n") == "remap: \"\\x00\\x0d\\x1b\"\n");
  CHECK(formatted("remap: |\r\n  x\r\n\r\n  y\r\n") == "remap: |\n  x\n\n  y\n");
}

TEST_CASE("what is not a rule file is left alone") {
  CHECK(formatted("repos: []\n").starts_with("this is neither a rule file nor a schema"));
  CHECK(formatted("remap: 1\nrules: [\n").starts_with("'[' is not closed"));
  CHECK(formatted("remap: 1\nrules: &a []\n").starts_with("an anchor"));
  CHECK(formatted("- remap\n").starts_with("this is neither"));
}
