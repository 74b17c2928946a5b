// gin files: what each statement and value becomes, and where mistakes are reported.
#include "formats/gin.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::test;
using formats::parse_gin;

TEST_CASE("gin statements become values") {
  struct Row {
    const char* text;
    const char* json;
  };
  const Row rows[] = {
      {"", "{}"},
      {"# only a comment", "{}"},
      {"A = 1", R"({"A":1})"},
      {"A = 1 # one\n\n  \t\nB = 2\n", R"({"A":1,"B":2})"},
      {"A = 1\r\nB = 2\r\n", R"({"A":1,"B":2})"},
      {"A = 1\nA = 2\n", R"({"A":2})"},
      {"train/utils.DatasetConfig.batch_size = 128", R"({"train/utils.DatasetConfig.batch_size":128})"},
      // numbers keep their kind
      {"A = 1.0", R"({"A":1.0})"},
      {"A = 1e-4", R"({"A":0.0001})"},
      {"A = 1E+2", R"({"A":100.0})"},
      {"A = .5", R"({"A":0.5})"},
      {"A = 3.", R"({"A":3.0})"},
      {"A = -1", R"({"A":-1})"},
      {"A = +1", R"({"A":1})"},
      {"A = -0.0", R"({"A":-0.0})"},
      {"A = 1_000", R"({"A":1000})"},
      {"A = 0x1F", R"({"A":31})"},
      {"A = 0o17", R"({"A":15})"},
      {"A = 0b101", R"({"A":5})"},
      {"A = -9223372036854775808", R"({"A":-9223372036854775808})"},
      {"A = 18446744073709551615", R"({"A":18446744073709551615})"},
      // texts
      {"A = 'b'", R"({"A":"b"})"},
      {"A = \"it's\"", R"({"A":"it's"})"},
      {"A = 'a' \"b\"", R"({"A":"ab"})"},
      {"A = ('a'\n     'b')", R"({"A":"ab"})"},
      {"A = '\\n\\x41\\u00e9\\101\\q'", R"({"A":"\nAéA\\q"})"},
      {"A = r'\\d'", R"({"A":"\\d"})"},
      {"A = '''a\nb'''", R"({"A":"a\nb"})"},
      {"A = '# no comment'", R"({"A":"# no comment"})"},
      {"A = ''", R"({"A":""})"},
      // constants and containers
      {"A = True\nB = False\nC = None", R"({"A":true,"B":false,"C":null})"},
      {"A = []", R"({"A":[]})"},
      {"A = ()", R"({"A":[]})"},
      {"A = ('relu',)", R"({"A":["relu"]})"},
      {"A = ('gelu', 'linear')", R"({"A":["gelu","linear"]})"},
      {"A = (1)", R"({"A":1})"},
      {"A = [1, [2.0, (3,)],]", R"({"A":[1,[2.0,[3]]]})"},
      {"A = {'inputs': 512, 'targets': 114}", R"({"A":{"inputs":512,"targets":114}})"},
      {"A = {1: 'a', 'b': {},}", R"({"A":{"1":"a","b":{}}})"},
      {"A = [  # first\n  1,\n\n  2 # last\n]\n", R"({"A":[1,2]})"},
      // continued lines
      {"A = \\\n    1\n", R"({"A":1})"},
      {"A = \\\r\n    'x'\r\n", R"({"A":"x"})"},
      // macros and references
      {"A = %B\nB = 3", R"({"A":3,"B":3})"},
      {"A = %B\nB = %C\nC = [%D, 1]\nD = 'd'", R"({"A":["d",1],"B":["d",1],"C":["d",1],"D":"d"})"},
      {"A = %x.y.Layout.MIXED", R"({"A":{"$macro":"x.y.Layout.MIXED"}})"},
      {"A = @f", R"({"A":{"$ref":"f"}})"},
      {"A = @scope/mod.f()", R"j({"A":{"$ref":"scope/mod.f()"}})j"},
      {"A = [@f, @g( ), %h]", R"j({"A":[{"$ref":"f"},{"$ref":"g()"},{"$macro":"h"}]})j"},
      // imports
      {"from __gin__ import dynamic_registration\nimport  a.b as c # x\nA = 1",
       R"({"$imports":["from __gin__ import dynamic_registration","import a.b as c"],"A":1})"},
      {"import = 1", R"({"import":1})"},
      // blocks
      {"m.C:\n  a = 1\n  # between\n\n  b = [\n1]\nD = 2", R"({"m.C.a":1,"m.C.b":[1],"D":2})"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(parse_gin(row.text, "config.gin").values.dump() == row.json);
  }
}

TEST_CASE("gin mistakes are reported with line and column") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"A = ", "1:5 gin-syntax: the end of the file where a value was expected"},
      {"A = \nB = 1", "1:5 gin-syntax: the end of the line where a value was expected"},
      {"A", "1:2 gin-syntax: the end of the file where '=' was expected"},
      {"A = 1\nB 2", "2:3 gin-syntax: '2' where '=' was expected"},
      {"A = 1 2", "1:7 gin-syntax: '2' after the end of the statement"},
      {"  A = 1", "1:3 gin-syntax: unexpected indentation"},
      {"A = foo", "1:5 gin-syntax: 'foo' is not a value; a literal, a %macro or an @reference was expected"},
      {"A = os.system('x')", "1:5 gin-syntax: 'os' is not a value"},
      {"A = [1, 2", "1:10 gin-syntax: the end of the file where ',' or ']' was expected"},
      {"A = [1 2]", "1:8 gin-syntax: '2' where ',' or ']' was expected"},
      {"A = (1,\n  2]", "2:4 gin-syntax: ']' where ',' or ')' was expected"},
      {"A = {'a' 1}", "1:10 gin-syntax: '1' where ':' was expected"},
      {"A = {[1]: 1}", "1:6 gin-syntax: a dictionary's key is neither a string nor a number"},
      {"A = 'abc", "1:5 gin-syntax: the string is not closed by '"},
      {"A = 'abc\n'", "1:5 gin-syntax: the string is not closed by '"},
      {"A = '''abc'", "1:5 gin-syntax: the string is not closed by '''"},
      {"A = '\\x4'", "1:6 gin-syntax: an escape of 2 hexadecimal digits was expected"},
      {"A = '\\ud800'", "1:5 gin-syntax: the string is not UTF-8 once its escapes are read"},
      {"A = 1.2.3", "1:5 gin-syntax: '1.2.3' is not a number that can be read"},
      {"A = 012", "1:5 gin-syntax: '012' is not a number that can be read"},
      {"A = 1__0", "1:5 gin-syntax: '1__0' is not a number"},
      {"A = 1j", "1:5 gin-syntax: '1j' is not a number that can be read"},
      {"A = 99999999999999999999", "1:5 gin-syntax: '99999999999999999999' is not a number that can be read"},
      {"A = -", "1:5 gin-syntax: '-' is not a number that can be read"},
      {"A = %", "1:6 gin-syntax: '%' without a macro's name"},
      {"A = @f(1)", "1:8 gin-syntax: '1' where ')' was expected"},
      {"a..b = 1", "1:1 gin-syntax: 'a..b' is not a name"},
      {"a/ = 1", "1:1 gin-syntax: 'a/' is not a name"},
      {"= 1", "1:1 gin-syntax: '=' where a binding was expected"},
      {"m:\nA = 1", "2:1 gin-syntax: the block 'm' has no parameters"},
      {"m:\n  a = 1\n   b = 1", "3:4 gin-syntax: the indentation differs"},
      {"A = %A", "1:5 gin-macro-cycle: the macro '%A' is defined by itself"},
      {"A = %B\nB = [1, %C]\nC = %A", "3:5 gin-macro-cycle: the macro '%A' is defined by itself"},
      {"A = \xff", "gin-syntax: the file is not UTF-8 text"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto error = text_error_of([&] { parse_gin(row.text, "config.gin"); });
    INFO(error);
    CHECK(error.starts_with(row.error));
  }
}

TEST_CASE("a short gin file cannot make a large value") {
  std::string doubling = "M0 = [1, 1]\n";
  for (int i = 1; i < 64; ++i)
    doubling += "M" + std::to_string(i) + " = [%M" + std::to_string(i - 1) + ", %M" + std::to_string(i - 1) + "]\n";
  CHECK(contains(error_of([&] { parse_gin(doubling, "x"); }), "limit-exceeded"));
  // Each macro adds little depth; together they would be deeper than any reader of the value expects.
  std::string nesting = "M0 = 1\n";
  for (int i = 1; i < 300; ++i) nesting += "M" + std::to_string(i) + " = [%M" + std::to_string(i - 1) + "]\n";
  CHECK(contains(error_of([&] { parse_gin(nesting, "x"); }), "limit-exceeded"));
  CHECK(contains(error_of([&] { parse_gin(std::string("A = ").append(100'000, '['), "x"); }), "nested deeper"));
}

TEST_CASE("includes are not followed, and said so") {
  const auto config = parse_gin("A = 1\ninclude 'base.gin'\n", "config.gin");
  CHECK(config.values.dump() == R"({"A":1})");
  CHECK(config.remarks == std::vector<std::string>{"config.gin:2: include 'base.gin' is not followed"});
}

TEST_CASE("the config that T5X wrote beside the reference checkpoint is read whole") {
  const std::string path = REMAP_TEST_DATA "/switch/source/config.gin";
  const Json gin = parse_gin(read_file(path), path).values;
  CHECK(gin["$imports"].size() == 24);
  CHECK(gin["NUM_ENCODER_LAYERS"] == 4);
  CHECK(gin["EXPERT_MLP_DIM"] == 40);  // %MLP_DIM
  CHECK(gin["HEAD_DIM"] == 10);
  CHECK(gin["DROPOUT_RATE"].is_number_float());
  CHECK(gin["TASK_FEATURE_LENGTHS"].dump() == R"({"inputs":512,"targets":114})");
  CHECK(gin["ENCODER_SPARSE_LAYOUT"].dump() ==
        R"({"$macro":"flaxformer.architectures.moe.moe_enums.LayerLayout.MIXED"})");
  CHECK(gin["ARCHITECTURE"].dump() == R"j({"$ref":"t5_architecture.EncoderDecoder()"})j");
  CHECK(gin["dense.MlpBlock.activations"].dump() == R"(["relu"])");
  CHECK(gin["bias_init/linen.initializers.normal.stddev"] == 1e-6);
  CHECK(gin["seqio.SentencePieceVocabulary.sentencepiece_model_file"] ==
        "gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model");
  CHECK(gin["moe_architecture.SparseDecoder.sparse_layout"].dump() ==
        R"({"$macro":"flaxformer.architectures.moe.moe_enums.LayerLayout.MIXED"})");
}
