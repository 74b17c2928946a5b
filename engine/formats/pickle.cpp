// A real pickle (torch 2.13, protocol 2: torch.save({"w": torch.zeros(2, 3)}); BINPUTs, which give each value a memo
// slot, are left out after the first), and what becomes of each line here:
//
//     0: 80 PROTO      2
//     2: 7d EMPTY_DICT                                a dict value, pushed
//     3: 71 BINPUT     0                              memo[0] names it
//     5: 58 BINUNICODE 'w'                            a text that views these bytes
//    13: 63 GLOBAL     'torch._utils _rebuild_tensor_v2'    two words; nothing is imported
//    48: 28 MARK                                      its arguments begin
//    49: 28     MARK
//    50: 58         BINUNICODE 'storage'
//    64: 63         GLOBAL     'torch FloatStorage'
//    86: 58         BINUNICODE '0'
//    94: 58         BINUNICODE 'cpu'
//   104: 4b         BININT1    6
//   106: 74         TUPLE      (MARK at 49)           ('storage', FloatStorage, '0', 'cpu', 6)
//   109: 51     BINPERSID                             a persistent value of that id: elements in archive/data/0
//   110: 4b     BININT1    0                          storage offset
//   112: 4b     BININT1    2
//   114: 4b     BININT1    3
//   116: 86     TUPLE2                                shape
//   119: 4b     BININT1    3
//   121: 4b     BININT1    1
//   123: 86     TUPLE2                                strides
//   126: 89     NEWFALSE                              requires_grad
//   127: 63     GLOBAL     'collections OrderedDict'
//   154: 29     EMPTY_TUPLE
//   155: 52     REDUCE                                backward hooks: an object {callable OrderedDict, arguments ()}
//   158: 74     TUPLE      (MARK at 48)
//   161: 52 REDUCE                                    an object {callable, arguments (...)}; never called
//   164: 73 SETITEM                                   dict['w'] = object
//   165: 2e STOP
#include "formats/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "formats/pickle_builder.h"

namespace remap::formats {

std::string_view describe(PickleKind kind) {
  switch (kind) {
    case PickleKind::none: return "None";
    case PickleKind::boolean: return "a bool";
    case PickleKind::integer:
    case PickleKind::big_integer: return "an integer";
    case PickleKind::real: return "a float";
    case PickleKind::bytes: return "bytes";
    case PickleKind::text: return "a string";
    case PickleKind::tuple: return "a tuple";
    case PickleKind::list: return "a list";
    case PickleKind::dict: return "a dict";
    case PickleKind::set: return "a set";
    case PickleKind::frozenset: return "a frozenset";
    case PickleKind::global: return "a class or function";
    case PickleKind::persistent: return "a persistent value";
    case PickleKind::object: return "an object";
  }
  return "a value";
}

std::string PickleGlobal::full_name() const { return fmt::format("{}.{}", module, name); }

PickleRef PickleGraph::argument(const PickleObject& object, size_t i) const {
  if (!is(object.arguments, PickleKind::tuple)) return kNoValue;
  const auto& arguments = items(object.arguments);
  return i < arguments.size() ? arguments[i] : kNoValue;
}

void PickleGraph::drop_values() {
  values_ = {};
  lists_ = {};
  globals_ = {};
  objects_ = {};
  root_ = kNoValue;
}

class PickleMachine : PickleBuilder {
 public:
  struct Opcode {
    uint8_t code;
    std::string_view name;
    int protocol;
    void (PickleMachine::*run)();
  };
  static const std::array<Opcode, 68> kOpcodes;

  using PickleBuilder::PickleBuilder;

  PickleGraph run() {
    static const auto kByCode = [] {
      std::array<const Opcode*, 256> table{};
      for (const Opcode& row : kOpcodes) table[row.code] = &row;
      return table;
    }();
    while (!root_) {
      opcode_at_ = in_.position();
      if (opcode_at_ >= limits_.max_pickle_bytes)
        fail("limit-exceeded",
             fmt::format("the pickle is longer than max_pickle_bytes ({})", limits_.max_pickle_bytes));
      if (in_.remaining() == 0) fail("pickle-no-stop", "the pickle ends without a STOP opcode");
      const uint8_t code = in_.u8("opcode");
      const Opcode* row = kByCode[code];
      if (row == nullptr) fail("pickle-bad-opcode", fmt::format("0x{:02x} is not a pickle opcode", code));
      opcode_ = row->name;
      (this->*row->run)();
    }
    return finished(*root_);
  }

 private:
  // In the order of the table.
  void op_mark() { marks_.push_back(stack_.size()); }
  void op_stop() { root_ = pop(); }
  void op_pop() {  // on an empty stack it drops the mark, as Python does
    if (stack_.size() > floor())
      stack_.pop_back();
    else
      pop_to_mark();
  }
  void op_pop_mark() { pop_to_mark(); }
  void op_dup() { push(top()); }
  void op_float() {
    const auto text = line("a number");
    std::string_view number = text.starts_with('+') ? text.substr(1) : text;
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc::invalid_argument || end != number.data() + number.size())
      fail("pickle-bad-number", fmt::format("FLOAT has '{}' where a number was expected", printable(text)));
    push(add_real(value));
  }
  void op_int() {
    const auto text = line("a number");
    if (text == "00" || text == "01")
      push(text == "01" ? true_ : false_);  // how protocol 0 spells bools
    else
      push_decimal(text);
  }
  void op_binint() { push(add_integer(PickleKind::integer, in_.integer<int32_t>("BININT's value"))); }
  void op_binint1() { push(add_integer(PickleKind::integer, in_.u8("BININT1's value"))); }
  void op_long() { push_decimal(line("a number")); }
  void op_binint2() { push(add_integer(PickleKind::integer, in_.u16("BININT2's value"))); }
  void op_none() { push(none_); }
  void op_persid() {
    push_text(line("a persistent id"));
    op_binpersid();
  }
  void op_binpersid() { push(add(of_kind(PickleKind::persistent, pop()))); }
  void op_reduce() {
    const PickleRef arguments = pop(), callable = pop();
    push(add_object(callable, arguments, kNoValue, false));
  }
  void op_string() {
    auto text = decode_string_escapes(line("a string"));
    if (!text) fail("pickle-bad-text", "the string of STRING is not quoted, or has a broken escape");
    const PickleKind kind = is_pickle_text(*text) ? PickleKind::text : PickleKind::bytes;
    push(add_owned(kind, std::move(*text)));
  }
  void op_binstring() { push_old_string(counted_signed("BINSTRING's bytes")); }
  void op_short_binstring() { push_old_string(counted<uint8_t>("SHORT_BINSTRING's bytes")); }
  void op_unicode() {
    auto text = decode_unicode_escapes(line("a string"));
    if (!text) fail("pickle-bad-text", "the string of UNICODE has a broken \\u escape");
    push(add_owned(PickleKind::text, std::move(*text)));
  }
  void op_binunicode() { push_text(counted<uint32_t>("BINUNICODE's text")); }
  void op_append() {
    const PickleRef value = pop();
    items_of(top(), PickleKind::list).push_back(value);
  }
  void op_build() {
    const PickleRef state = pop();
    states_of(top()).push_back(state);
  }
  void op_global() {
    const auto module = line("a module name");
    const auto name = line("a class name");
    push(add_written_global(module, name));
  }
  void op_dict() {
    auto items = pop_to_mark();
    check_pairs(items);
    push(add_list(PickleKind::dict, std::move(items)));
  }
  void op_empty_dict() { push(add_list(PickleKind::dict, {})); }
  void op_appends() {
    const auto items = pop_to_mark();
    append(items_of(top(), PickleKind::list), items);
  }
  void op_get() { memo_get(memo_index_of_line()); }
  void op_binget() { memo_get(in_.u8("a memo index")); }
  void op_inst() {
    const auto module = line("a module name");
    const auto name = line("a class name");
    const PickleRef arguments = add_list(PickleKind::tuple, pop_to_mark());
    push(add_object(add_written_global(module, name), arguments, kNoValue, true));
  }
  void op_long_binget() { memo_get(in_.u32("a memo index")); }
  void op_list() { push(add_list(PickleKind::list, pop_to_mark())); }
  void op_empty_list() { push(add_list(PickleKind::list, {})); }
  void op_obj() {
    auto items = pop_to_mark();
    if (items.empty()) fail("pickle-stack-underflow", "OBJ needs a class after the mark, there is none");
    const PickleRef made_of = items.front();
    items.erase(items.begin());
    push(add_object(made_of, add_list(PickleKind::tuple, std::move(items)), kNoValue, true));
  }
  void op_put() { memo_put(memo_index_of_line()); }
  void op_binput() { memo_put(in_.u8("a memo index")); }
  void op_long_binput() { memo_put(in_.u32("a memo index")); }
  void op_setitem() {
    const PickleRef value = pop(), key = pop();
    auto& pairs = pairs_of(top());
    pairs.push_back(key);
    pairs.push_back(value);
  }
  void op_tuple() { push_tuple(pop_to_mark()); }
  void op_empty_tuple() { push(empty_tuple_); }
  void op_setitems() {
    const auto items = pop_to_mark();
    check_pairs(items);
    append(pairs_of(top()), items);
  }
  void op_binfloat() {
    uint64_t raw = in_.u64("BINFLOAT's value");  // the one big-endian thing in a pickle
    raw = __builtin_bswap64(raw);
    push(add_real(std::bit_cast<double>(raw)));
  }
  void op_proto() {
    const uint8_t version = in_.u8("a protocol number");
    if (version > 5) fail("pickle-protocol", fmt::format("the pickle has protocol {}; 0 to 5 are known", version));
  }
  void op_newobj() {
    const PickleRef arguments = pop(), made_of = pop();
    push(add_object(made_of, arguments, kNoValue, true));
  }
  void op_ext1() { refuse_extension(in_.u8("an extension code")); }
  void op_ext2() { refuse_extension(in_.u16("an extension code")); }
  void op_ext4() { refuse_extension(in_.integer<int32_t>("an extension code")); }
  [[noreturn]] void refuse_extension(int64_t code) {
    fail("pickle-extension",
         fmt::format("{} names extension {}: what it stands for is known only to the program that wrote the file",
                     opcode_, code));
  }
  void op_tuple1() {
    const PickleRef a = pop();
    push_tuple({a});
  }
  void op_tuple2() {
    const PickleRef b = pop(), a = pop();
    push_tuple({a, b});
  }
  void op_tuple3() {
    const PickleRef c = pop(), b = pop(), a = pop();
    push_tuple({a, b, c});
  }
  void op_newtrue() { push(true_); }
  void op_newfalse() { push(false_); }
  void op_long1() { push_long(counted<uint8_t>("LONG1's bytes")); }
  void op_long4() { push_long(counted_signed("LONG4's bytes")); }
  void op_binbytes() { push(add_view(PickleKind::bytes, counted<uint32_t>("BINBYTES's bytes"))); }
  void op_short_binbytes() { push(add_view(PickleKind::bytes, counted<uint8_t>("SHORT_BINBYTES's bytes"))); }
  void op_short_binunicode() { push_text(counted<uint8_t>("SHORT_BINUNICODE's text")); }
  void op_binunicode8() { push_text(counted<uint64_t>("BINUNICODE8's text")); }
  void op_binbytes8() { push(add_view(PickleKind::bytes, counted<uint64_t>("BINBYTES8's bytes"))); }
  void op_empty_set() { push(add_list(PickleKind::set, {})); }
  void op_additems() {
    const auto items = pop_to_mark();
    append(items_of(top(), PickleKind::set), items);
  }
  void op_frozenset() { push(add_list(PickleKind::frozenset, pop_to_mark())); }
  void op_newobj_ex() {
    const PickleRef keywords = pop(), arguments = pop(), made_of = pop();
    if (!graph_.is(keywords, PickleKind::dict)) fail_type("its keyword arguments as a dict", keywords);
    push(add_object(made_of, arguments, keywords, true));
  }
  void op_stack_global() {
    const PickleRef name = pop(), module = pop();
    if (!graph_.is(module, PickleKind::text)) fail_type("a module name", module);
    if (!graph_.is(name, PickleKind::text)) fail_type("a class name", name);
    push(add_global(graph_.text(module), graph_.text(name)));
  }
  void op_memoize() { memo_put(memo_.count()); }
  void op_frame() {  // frames only help a reader that reads ahead
    const uint64_t length = in_.u64("a frame length");
    if (length > in_.remaining())
      fail("pickle-truncated", fmt::format("FRAME announces {} bytes, {} are left", length, in_.remaining()));
  }
  void op_bytearray8() { op_binbytes8(); }
  void op_next_buffer() {
    fail("pickle-out-of-band", "NEXT_BUFFER takes bytes from outside the pickle, which no checkpoint has");
  }
  void op_readonly_buffer() {
    if (!graph_.is(top(), PickleKind::bytes)) fail_type("bytes", top());
  }

  std::optional<PickleRef> root_;
};

#define ROW(code, name, protocol, run) \
  PickleMachine::Opcode { code, name, protocol, &PickleMachine::run }
constexpr std::array<PickleMachine::Opcode, 68> PickleMachine::kOpcodes = {{
    ROW('(', "MARK", 0, op_mark),
    ROW('.', "STOP", 0, op_stop),
    ROW('0', "POP", 0, op_pop),
    ROW('1', "POP_MARK", 1, op_pop_mark),
    ROW('2', "DUP", 0, op_dup),
    ROW('F', "FLOAT", 0, op_float),
    ROW('I', "INT", 0, op_int),
    ROW('J', "BININT", 1, op_binint),
    ROW('K', "BININT1", 1, op_binint1),
    ROW('L', "LONG", 0, op_long),
    ROW('M', "BININT2", 1, op_binint2),
    ROW('N', "NONE", 0, op_none),
    ROW('P', "PERSID", 0, op_persid),
    ROW('Q', "BINPERSID", 1, op_binpersid),
    ROW('R', "REDUCE", 0, op_reduce),
    ROW('S', "STRING", 0, op_string),
    ROW('T', "BINSTRING", 1, op_binstring),
    ROW('U', "SHORT_BINSTRING", 1, op_short_binstring),
    ROW('V', "UNICODE", 0, op_unicode),
    ROW('X', "BINUNICODE", 1, op_binunicode),
    ROW('a', "APPEND", 0, op_append),
    ROW('b', "BUILD", 0, op_build),
    ROW('c', "GLOBAL", 0, op_global),
    ROW('d', "DICT", 0, op_dict),
    ROW('}', "EMPTY_DICT", 1, op_empty_dict),
    ROW('e', "APPENDS", 1, op_appends),
    ROW('g', "GET", 0, op_get),
    ROW('h', "BINGET", 1, op_binget),
    ROW('i', "INST", 0, op_inst),
    ROW('j', "LONG_BINGET", 1, op_long_binget),
    ROW('l', "LIST", 0, op_list),
    ROW(']', "EMPTY_LIST", 1, op_empty_list),
    ROW('o', "OBJ", 1, op_obj),
    ROW('p', "PUT", 0, op_put),
    ROW('q', "BINPUT", 1, op_binput),
    ROW('r', "LONG_BINPUT", 1, op_long_binput),
    ROW('s', "SETITEM", 0, op_setitem),
    ROW('t', "TUPLE", 0, op_tuple),
    ROW(')', "EMPTY_TUPLE", 1, op_empty_tuple),
    ROW('u', "SETITEMS", 1, op_setitems),
    ROW('G', "BINFLOAT", 1, op_binfloat),
    ROW(0x80, "PROTO", 2, op_proto),
    ROW(0x81, "NEWOBJ", 2, op_newobj),
    ROW(0x82, "EXT1", 2, op_ext1),
    ROW(0x83, "EXT2", 2, op_ext2),
    ROW(0x84, "EXT4", 2, op_ext4),
    ROW(0x85, "TUPLE1", 2, op_tuple1),
    ROW(0x86, "TUPLE2", 2, op_tuple2),
    ROW(0x87, "TUPLE3", 2, op_tuple3),
    ROW(0x88, "NEWTRUE", 2, op_newtrue),
    ROW(0x89, "NEWFALSE", 2, op_newfalse),
    ROW(0x8a, "LONG1", 2, op_long1),
    ROW(0x8b, "LONG4", 2, op_long4),
    ROW('B', "BINBYTES", 3, op_binbytes),
    ROW('C', "SHORT_BINBYTES", 3, op_short_binbytes),
    ROW(0x8c, "SHORT_BINUNICODE", 4, op_short_binunicode),
    ROW(0x8d, "BINUNICODE8", 4, op_binunicode8),
    ROW(0x8e, "BINBYTES8", 4, op_binbytes8),
    ROW(0x8f, "EMPTY_SET", 4, op_empty_set),
    ROW(0x90, "ADDITEMS", 4, op_additems),
    ROW(0x91, "FROZENSET", 4, op_frozenset),
    ROW(0x92, "NEWOBJ_EX", 4, op_newobj_ex),
    ROW(0x93, "STACK_GLOBAL", 4, op_stack_global),
    ROW(0x94, "MEMOIZE", 4, op_memoize),
    ROW(0x95, "FRAME", 4, op_frame),
    ROW(0x96, "BYTEARRAY8", 5, op_bytearray8),
    ROW(0x97, "NEXT_BUFFER", 5, op_next_buffer),
    ROW(0x98, "READONLY_BUFFER", 5, op_readonly_buffer),
}};
#undef ROW

PickleGraph read_pickle(std::span<const std::byte> bytes, const PickleOrigin& origin, const Limits& limits) {
  return PickleMachine(bytes, origin, limits).run();
}

std::vector<PickleOpcodeInfo> pickle_opcodes() {
  std::vector<PickleOpcodeInfo> rows;
  for (const auto& row : PickleMachine::kOpcodes) rows.push_back({row.code, row.name, row.protocol});
  return rows;
}

}  // namespace remap::formats
