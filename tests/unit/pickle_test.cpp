// The pickle machine: what every opcode makes, what it refuses, and that nothing a pickle names is ever more than a
// name.
#include "formats/pickle.h"
#include "formats/pickle_known.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"
#include "remap/text.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/source_values.h"
#include "support/torch_files.h"

#include <map>
#include <set>

#include <fmt/format.h>

using namespace remap;
using namespace remap::formats;
using remap::test::little;
using remap::test::Pickle;
using namespace std::string_literals;

namespace {

PickleGraph read(const std::string& bytes, const Limits& limits = {}) {
  return read_pickle(std::as_bytes(std::span(bytes)), {"a.pt", "archive/data.pkl", 0}, limits);
}

// Python's repr, more or less; objects as <callable(arguments)state items pairs>.
std::string dump(const PickleGraph& graph, PickleRef ref, int depth = 0) {
  if (ref == kNoValue) return "-";
  if (depth > 8) return "...";
  const auto join = [&](const std::vector<PickleRef>& items, bool pairs) {
    std::string out;
    for (size_t i = 0; i < items.size(); ++i)
      out += (i == 0 ? "" : pairs && i % 2 == 1 ? ": " : ", ") + dump(graph, items[i], depth + 1);
    return out;
  };
  switch (graph.kind(ref)) {
    case PickleKind::none: return "None";
    case PickleKind::boolean: return graph[ref].integer != 0 ? "True" : "False";
    case PickleKind::integer: return fmt::to_string(graph[ref].integer);
    case PickleKind::big_integer: return "big " + std::string(graph.text(ref));
    case PickleKind::real: return fmt::format("{}f", graph[ref].real);
    case PickleKind::bytes: return fmt::format("b'{}'", graph.text(ref));
    case PickleKind::text: return fmt::format("'{}'", graph.text(ref));
    case PickleKind::tuple: return "(" + join(graph.items(ref), false) + ")";
    case PickleKind::list: return "[" + join(graph.items(ref), false) + "]";
    case PickleKind::dict: return "{" + join(graph.items(ref), true) + "}";
    case PickleKind::set: return "set{" + join(graph.items(ref), false) + "}";
    case PickleKind::frozenset: return "frozenset{" + join(graph.items(ref), false) + "}";
    case PickleKind::global: return graph.global(ref).full_name();
    case PickleKind::persistent: return "@" + dump(graph, graph.persistent_id(ref), depth + 1);
    case PickleKind::object: {
      const PickleObject& o = graph.object(ref);
      std::string out = "<" + std::string(o.made_by_new ? "new " : "") + dump(graph, o.callable, depth + 1) +
                        dump(graph, o.arguments, depth + 1);
      if (o.keywords != kNoValue) out += "**" + dump(graph, o.keywords, depth + 1);
      for (const PickleRef state : o.states) out += " state " + dump(graph, state, depth + 1);
      if (!o.items.empty()) out += " items " + join(o.items, false);
      if (!o.pairs.empty()) out += " pairs " + join(o.pairs, true);
      return out + ">";
    }
  }
  return "?";
}
std::string value_of(const std::string& bytes) {
  const PickleGraph graph = read(bytes);
  return dump(graph, graph.root());
}

}  // namespace

TEST_CASE("every opcode makes the value Python makes") {
  struct Row {
    const char* name;
    std::string opcodes, value;
  };
  const std::vector<Row> rows = {
      {"NONE", "N", "None"},
      {"NEWTRUE, NEWFALSE", "\x88\x89\x86", "(True, False)"},
      {"INT", "I42\n", "42"},
      {"INT, a bool", "I01\nI00\n\x86", "(True, False)"},
      {"INT, large", "I99999999999999999999\n", "big 99999999999999999999"},
      {"LONG", "L-5L\n", "-5"},
      {"LONG without L", "L5\n", "5"},
      {"BININT", "J" + little<int32_t>(-2), "-2"},
      {"BININT1", "K\xff", "255"},
      {"BININT2", "M\xff\xff", "65535"},
      {"LONG1, nothing", "\x8a\0"s, "0"},
      {"LONG1, negative", "\x8a\x01\xff", "-1"},
      {"LONG1, eight bytes", "\x8a\x08" + little<int64_t>(-9000000000), "-9000000000"},
      {"LONG1, ten bytes", "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "big 119547037146038801333356"},
      {"LONG1, nine bytes negative", "\x8a\x09\0\0\0\0\0\0\0\0\xff"s, "big -18446744073709551616"},
      {"LONG4", "\x8b" + little<int32_t>(1) + "\x7f", "127"},
      {"FLOAT", "F1.5\n", "1.5f"},
      {"BINFLOAT", "G\xbf\xf8\0\0\0\0\0\0"s, "-1.5f"},
      {"STRING", "S'a\\n\\'\\x41\\101'\n", "'a\n'AA'"},
      {"STRING that is no UTF-8", "S'\\xff'\n", "b'\xff'"},
      {"BINSTRING", "T" + little<int32_t>(2) + "ab", "'ab'"},
      {"SHORT_BINSTRING",
       "U\x02"
       "ab",
       "'ab'"},
      {"UNICODE", "Va\\u00e9\\U0001f600\xe9\n", "'a\u00e9\U0001f600\u00e9'"},
      {"BINUNICODE", "X" + little<uint32_t>(2) + "\u00e9", "'\u00e9'"},
      {"BINUNICODE with a surrogate", "X" + little<uint32_t>(3) + "\xed\xb2\x80", "'\xed\xb2\x80'"},
      {"SHORT_BINUNICODE",
       "\x8c\x01"
       "a",
       "'a'"},
      {"BINUNICODE8", "\x8d" + little<uint64_t>(1) + "a", "'a'"},
      {"BINBYTES", "B" + little<uint32_t>(1) + "\xff", "b'\xff'"},
      {"SHORT_BINBYTES", "C\x01\xff", "b'\xff'"},
      {"BINBYTES8", "\x8e" + little<uint64_t>(1) + "\xff", "b'\xff'"},
      {"BYTEARRAY8, READONLY_BUFFER", "\x96" + little<uint64_t>(1) + "\xff\x98", "b'\xff'"},
      {"EMPTY_TUPLE", ")", "()"},
      {"TUPLE", "(K\1K\2t", "(1, 2)"},
      {"TUPLE1 to TUPLE3", "K\1\x85K\1K\2\x86K\1K\2K\3\x87\x87", "((1), (1, 2), (1, 2, 3))"},
      {"LIST", "(K\1l", "[1]"},
      {"APPEND, APPENDS", "]K\1a(K\2K\3e", "[1, 2, 3]"},
      {"DICT", "(K\1K\2d", "{1: 2}"},
      {"SETITEM, SETITEMS", "}K\1K\2s(K\3K\4u", "{1: 2, 3: 4}"},
      {"EMPTY_SET, ADDITEMS", "\x8f(K\1K\2\x90", "set{1, 2}"},
      {"FROZENSET", "(K\1\x91", "frozenset{1}"},
      {"POP, DUP",
       "K\1K\2"
       "02\x86",
       "(1, 1)"},
      {"POP of a mark", "K\1(0", "1"},
      {"POP_MARK",
       "K\1(K\2K\3"
       "1",
       "1"},
      {"PUT, GET", "K\1p7\n0g7\n", "1"},
      {"BINPUT, LONG_BINGET",
       "K\1q\7"
       "0j\7\0\0\0"s,
       "1"},
      {"LONG_BINPUT, far away",
       "K\1r\xff\xff\xff\xff"
       "0j\xff\xff\xff\xff",
       "1"},
      {"MEMOIZE",
       "K\1\x94K\2\x94"
       "00h\1h\0\x86"s,
       "(2, 1)"},
      {"FRAME", "\x95" + little<uint64_t>(2) + "N", "None"},
      {"PERSID", "Pabc\n", "@'abc'"},
      {"BINPERSID", "K\1Q", "@1"},
      {"GLOBAL", "ca.b\nC.D\n", "a.b.C.D"},
      {"STACK_GLOBAL", "\x8c\1a\x8c\1b\x93", "a.b"},
      {"REDUCE", "ca\nb\nK\1\x85R", "<a.b(1)>"},
      {"NEWOBJ", "ca\nb\n)\x81", "<new a.b()>"},
      {"NEWOBJ_EX", "ca\nb\n)}K\1K\2s\x92", "<new a.b()**{1: 2}>"},
      {"INST", "(K\1ia\nb\n", "<new a.b(1)>"},
      {"OBJ", "(ca\nb\nK\1o", "<new a.b(1)>"},
      {"BUILD twice", "ca\nb\n)\x81K\1bK\2b", "<new a.b() state 1 state 2>"},
      {"items of an object", "ca\nb\n)RK\1a(K\2eK\3K\4s(K\5\x90", "<a.b() items 1, 2, 5 pairs 3: 4>"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(value_of(Pickle(2).bytes() + row.opcodes + ".") == row.value);
  }
  CHECK(value_of("N.") == "None");  // PROTO is of protocol 2
}

TEST_CASE("shared and cyclic values are named, not copied") {
  CHECK(value_of("]q\0h\0a."s) == "[[[[[[[[[...]]]]]]]]]");
  const PickleGraph graph = read("]q\0]q\1h\0h\0\x86h\1\x86."s);
  CHECK(graph.items(graph.items(graph.root())[0])[0] == graph.items(graph.items(graph.root())[0])[1]);
  // A list in a list, a million deep: nothing recurses, neither while reading nor when the graph goes.
  const PickleGraph deep = read(std::string(1'000'000, ']') + std::string(999'999, 'a') + ".");
  CHECK(deep.kind(deep.root()) == PickleKind::list);
}

TEST_CASE("malformed pickles are refused by name") {
  struct Row {
    const char* damage;
    std::string bytes, id;
  };
  const std::vector<Row> rows = {
      {"nothing", "", "pickle-no-stop"},
      {"no STOP", "N", "pickle-no-stop"},
      {"STOP with nothing made", ".", "pickle-stack-underflow"},
      {"STOP with nothing above the mark", "N(.", "pickle-stack-underflow"},
      {"a byte that is not an opcode", "\xffN.", "pickle-bad-opcode"},
      {"zero byte", "\0N."s, "pickle-bad-opcode"},
      {"a protocol of the future", "\x80\x06N.", "pickle-protocol"},
      {"POP of nothing", "0N.", "pickle-no-mark"},
      {"POP_MARK without a mark", "N1.", "pickle-no-mark"},
      {"DUP of nothing", "2.", "pickle-stack-underflow"},
      {"TUPLE without a mark", "Nt.", "pickle-no-mark"},
      {"TUPLE2 of one", "N\x86.", "pickle-stack-underflow"},
      {"TUPLE2 across a mark", "N(N\x86.", "pickle-stack-underflow"},
      {"APPEND to nothing",
       "N"
       "a.",
       "pickle-stack-underflow"},
      {"APPEND to a tuple", ")Na.", "pickle-wrong-type"},
      {"APPENDS to a dict", "}(Ne.", "pickle-wrong-type"},
      {"APPENDS without a mark", "]e.", "pickle-no-mark"},
      {"SETITEM of a list", "]NNs.", "pickle-wrong-type"},
      {"SETITEMS of three", "}(NNNu.", "pickle-odd-items"},
      {"DICT of one", "(Nd.", "pickle-odd-items"},
      {"ADDITEMS to a list", "](N\x90.", "pickle-wrong-type"},
      {"memo slot not set", "h\5.", "pickle-bad-memo"},
      {"memo slot not set, LONG_BINGET", "j\xff\xff\xff\xff.", "pickle-bad-memo"},
      {"memo index of words", "Np1x\n.", "pickle-bad-number"},
      {"negative memo index", "Np-1\n.", "pickle-bad-number"},
      {"PUT of nothing", "q\0."s, "pickle-stack-underflow"},
      {"MEMOIZE of nothing", "\x94.", "pickle-stack-underflow"},
      {"INT of letters", "Iabc\n.", "pickle-bad-number"},
      {"INT of nothing", "I\n.", "pickle-bad-number"},
      {"LONG with a tail", "L1 2L\n.", "pickle-bad-number"},
      {"FLOAT of letters", "Fabc\n.", "pickle-bad-number"},
      {"a line without an end", "I1", "pickle-truncated"},
      {"BININT cut short", "J\1\2", "pickle-truncated"},
      {"BINUNICODE of four thousand million bytes",
       "X\xff\xff\xff\xff"
       "a",
       "pickle-truncated"},
      {"BINUNICODE8 of all bytes there can be",
       "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
       "a",
       "pickle-truncated"},
      {"BINBYTES8 of all bytes there can be",
       "\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
       "a",
       "pickle-truncated"},
      {"BYTEARRAY8 of all bytes there can be",
       "\x96\xff\xff\xff\xff\xff\xff\xff\xff"
       "a",
       "pickle-truncated"},
      {"BINSTRING of a negative length", "T\xff\xff\xff\xff.", "pickle-bad-number"},
      {"LONG4 of a negative length", "\x8b\xff\xff\xff\xff.", "pickle-bad-number"},
      {"LONG4 longer than the file", "\x8b\xff\xff\xff\x7f.", "pickle-truncated"},
      {"FRAME past the end", "\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "pickle-truncated"},
      {"text that is no UTF-8", "X" + little<uint32_t>(1) + "\xff.", "pickle-bad-text"},
      {"overlong UTF-8", "X" + little<uint32_t>(2) + "\xc0\x80.", "pickle-bad-text"},
      {"text past U+10FFFF", "X" + little<uint32_t>(4) + "\xf4\x90\x80\x80.", "pickle-bad-text"},
      {"STRING without quotes", "Sabc\n.", "pickle-bad-text"},
      {"STRING with a broken escape", "S'\\x4'\n.", "pickle-bad-text"},
      {"UNICODE with a broken escape", "V\\u12\n.", "pickle-bad-text"},
      {"GLOBAL that is no UTF-8", "c\xff\nb\n.", "pickle-bad-text"},
      {"STACK_GLOBAL of numbers", "K\1K\2\x93.", "pickle-wrong-type"},
      {"REDUCE of a number", "K\1)R.", "pickle-wrong-type"},
      {"REDUCE with a list", "ca\nb\n]R.", "pickle-wrong-type"},
      {"NEWOBJ of a string", "\x8c\1a)\x81.", "pickle-wrong-type"},
      {"NEWOBJ_EX with a list", "ca\nb\n)]\x92.", "pickle-wrong-type"},
      {"OBJ of nothing", "(o.", "pickle-stack-underflow"},
      {"OBJ of a number", "(K\1o.", "pickle-wrong-type"},
      {"INST without a mark", "ia\nb\n.", "pickle-no-mark"},
      {"BUILD of a list", "]}b.", "pickle-wrong-type"},
      {"BUILD of a class", "ca\nb\n}b.", "pickle-wrong-type"},
      {"EXT1", "\x82\1.", "pickle-extension"},
      {"EXT2", "\x83\1\0."s, "pickle-extension"},
      {"EXT4", "\x84\1\0\0\0."s, "pickle-extension"},
      {"NEXT_BUFFER", "\x97.", "pickle-out-of-band"},
      {"READONLY_BUFFER of a number", "K\1\x98.", "pickle-wrong-type"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const std::string error = test::error_of([&] { read(row.bytes); });
    CHECK(error.substr(0, error.find(':')) == row.id);
  }
}

TEST_CASE("the message says where, what was found and what was expected") {
  try {
    read(Pickle(2).integer(7).bytes() + "Na.");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.what() ==
          "a.pt!archive/data.pkl@0x8: error[pickle-wrong-type]: APPEND needs a list to append to, found an integer"s);
  }
}

TEST_CASE("limits are kept") {
  Limits few_objects;
  few_objects.max_pickle_objects = 10;
  CHECK(test::contains(test::error_of([&] { read(std::string(20, ']') + ".", few_objects); }),
                       "max_pickle_objects (10)"));
  Limits small_memo;
  small_memo.max_pickle_memo = 1;
  CHECK(test::contains(test::error_of([&] { read("Nq\0q\1."s, small_memo); }), "max_pickle_memo (1)"));
  Limits short_pickle;
  short_pickle.max_pickle_bytes = 3;
  CHECK(test::contains(test::error_of([&] { read("NNNNN.", short_pickle); }), "max_pickle_bytes (3)"));
}

TEST_CASE("a class or function is a name, however a pickle asks for it to be called") {
  struct Row {
    const char* form;
    std::string opcodes, value;
  };
  const std::string command = "X" + little<uint32_t>(4) + "true", call = "cos\nsystem\n" + command + "\x85";
  const std::vector<Row> rows = {
      {"REDUCE", call + "R", "<os.system('true')>"},
      {"INST", "(" + command + "ios\nsystem\n", "<new os.system('true')>"},
      {"OBJ", "(cos\nsystem\n" + command + "o", "<new os.system('true')>"},
      {"NEWOBJ", call + "\x81", "<new os.system('true')>"},
      {"NEWOBJ_EX", call + "}\x92", "<new os.system('true')**{}>"},
      {"STACK_GLOBAL", "\x8c\2os\x8c\6system\x93" + command + "\x85R", "<os.system('true')>"},
      {"a dotted name", "\x8c\2os\x8c\x0epath.os.system\x93" + command + "\x85R", "<os.path.os.system('true')>"},
      {"getattr", "c__builtin__\ngetattr\nX" + little<uint32_t>(6) + "system\x85R" + command + "\x85R",
       "<<__builtin__.getattr('system')>('true')>"},
      {"BUILD of a __setstate__", "ca\nB\n)\x81}\x8c\x0c__setstate__cos\nsystem\nsb" + command + "b",
       "<new a.B() state {'__setstate__': os.system} state 'true'>"},
      {"__reduce__ in a state", "ca\nB\n)\x81}\x8c\x0a__reduce__" + call + "\x86sb",
       "<new a.B() state {'__reduce__': (os.system, ('true'))}>"},
      {"dict with a __getitem__", "ca\nB\n)R" + call + "R" + "Ns", "<a.B() pairs <os.system('true')>: None>"},
  };
  for (const Row& row : rows) {
    INFO(row.form);
    const std::string bytes = Pickle(4).bytes() + row.opcodes + ".";
    CHECK(value_of(bytes) == row.value);
    const PickleGraph graph = read(bytes);
    const PickleMeanings meanings(graph);
    const Meaning meaning = meanings.view(graph.root()).meaning;
    CHECK((meaning == Meaning::record || meaning == Meaning::mapping));
  }
}

TEST_CASE("a truncated pickle throws, whatever its length") {
  const std::string whole =
      Pickle(4).tensor({}).text("key").tuple({1, 2, 3}).bytes() + "\x87\x95" + little<uint64_t>(1) + ".";
  CHECK(read(whole).size() > 0);
  for (size_t length = 0; length < whole.size(); ++length) CHECK_THROWS_AS(read(whole.substr(0, length)), Error);
}

TEST_CASE("what is said to be long must be there before room is made for it") {
  // Each claims gigabytes in a few bytes; a reader that believed it would need them.
  for (const auto& claim : {"X\xff\xff\xff\x7f"s, "B\xff\xff\xff\x7f"s, "\x8e\0\0\0\0\1\0\0\0"s, "T\xff\xff\xff\x7f"s,
                            "Nr\xff\xff\xff\x7f"s})
    CHECK_THROWS_AS(read(claim), Error);
}

TEST_CASE("one value used a million times costs no more than its uses") {
  // Ten thousand objects share the name of their class and their state.
  const auto seconds_for = [](size_t name_bytes, int n_fields) {
    Pickle pickle;
    pickle.text(std::string(name_bytes, 'm')) << "q\1"
                                              << "}q\2(";
    for (int i = 0; i < n_fields; ++i) pickle.integer(i) << "N";
    pickle << "u](";
    for (int i = 0; i < 10'000; ++i) pickle << "h\1h\1\x93)\x81h\2b";
    const std::string bytes = pickle.bytes() + "e.";
    const double begin = test::processor_seconds();
    const PickleGraph graph = read(bytes);
    const PickleMeanings meanings(graph);
    for (const PickleRef ref : graph.items(graph.root())) {
      CHECK(meanings.view(ref).meaning == Meaning::record);
      if (meanings.class_name(ref).size() > 1000) FAIL("a name is not cut");
    }
    return test::processor_seconds() - begin;
  };
  const double small = std::max({seconds_for(1 << 10, 10), seconds_for(1 << 10, 10), 0.01}),
               large = seconds_for(1 << 20, 10'000);
  INFO(small << " s, " << large << " s");
  CHECK(large < 20 * small);  // a thousand times, if the name or the state were copied
}

TEST_CASE("long names are cut between their characters") {
  for (size_t n = 195; n < 205; ++n) {
    const std::string name = std::string(n, 'b') + "\U00020710";
    const std::string bytes = "c" + name + "\n" + name + "\n.";
    const PickleGraph graph = read(bytes);
    CHECK(is_utf8(PickleMeanings(graph).global_name(graph.root())));
  }
  for (size_t n = PickleMeanings::kMaxName - 8; n < PickleMeanings::kMaxName + 2; ++n) {
    const std::string text = std::string(n, 'b') + "\U00020710\U00020710";
    const auto size = static_cast<uint32_t>(text.size());
    for (const char opcode : {'X', 'T'}) {  // a text, and the bytes of one as Python 2 writes it
      std::string bytes(1, opcode);
      for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(size >> shift & 0xff);
      bytes += text + ".";
      const PickleGraph graph = read(bytes);
      CHECK(is_utf8(PickleMeanings(graph).key_text(graph.root())));
    }
  }
}

TEST_CASE("the opcode table has the opcodes of protocols 0 to 5, each once") {
  const auto rows = pickle_opcodes();
  std::set<uint8_t> codes;
  std::set<std::string_view> names;
  std::map<int, int> by_protocol;
  for (const auto& row : rows) {
    codes.insert(row.code);
    names.insert(row.name);
    ++by_protocol[row.protocol];
  }
  CHECK(codes.size() == rows.size());
  CHECK(names.size() == rows.size());
  // As pickletools counts them.
  CHECK(by_protocol == std::map<int, int>{{0, 22}, {1, 19}, {2, 12}, {3, 2}, {4, 10}, {5, 3}});
}

TEST_CASE("the table of known classes names each once") {
  std::set<std::string_view> names;
  for (const KnownRow& row : known_table()) CHECK(names.insert(row.name).second);
}

TEST_CASE("texts in the spellings of pickles") {
  CHECK(is_pickle_text("a\u00e9\u20ac\U0001f600"));
  CHECK(is_pickle_text("\xed\xa0\x80"));  // a surrogate, as Python's surrogatepass writes it
  CHECK(!is_pickle_text("12345678\xff"));
  CHECK(replace_surrogates("a\xed\xb2\x80z") == "a\ufffdz");
  CHECK(encode_latin1("a\u00ff") == "a\xff");
  CHECK(!encode_latin1("\u0100"));
  CHECK(!decode_string_escapes("'abc"));
  CHECK(decode_string_escapes("'\\q'") == "\\q");
  const auto number = [](std::string_view raw) { return long_to_text(std::as_bytes(std::span(raw))); };
  CHECK(number({}) == "0");
  CHECK(number("\xff") == "-1");
  CHECK(number(std::string(9, '\0') + "\1") == "4722366482869645213696");
  CHECK(number(std::string(99, '\0') + "\1").starts_with("0x1000"));
}
