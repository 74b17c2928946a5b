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
//   161: 52 REDUCE                                    an object {callable, arguments (...)}; nothing is called
//   164: 73 SETITEM                                   dict['w'] = object
//   165: 2e STOP
#include "formats/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "formats/pickle_text.h"

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

// Slots are vectors indexed by the number the pickle chose. Picklers count from 0, so numbers far above the count of
// slots in use are kept in a map: a claimed index of four thousand million must not cost that many slots.
class PickleMemo {
 public:
  PickleRef get(uint64_t index) const {
    if (index < dense_.size() && dense_[index] != kNoValue) return dense_[index];
    const auto it = sparse_.find(index);
    return it == sparse_.end() ? kNoValue : it->second;
  }
  void put(uint64_t index, PickleRef ref) {
    if (get(index) == kNoValue) ++count_;
    if (index < 2 * count_ + 256) {
      if (index >= dense_.size()) dense_.resize(index + 1, kNoValue);
      dense_[index] = ref;
    } else {
      sparse_[index] = ref;
    }
  }
  uint64_t count() const { return count_; }

 private:
  std::vector<PickleRef> dense_;
  std::unordered_map<uint64_t, PickleRef> sparse_;
  uint64_t count_ = 0;
};

class PickleMachine {
 public:
  struct Opcode {
    uint8_t code;
    std::string_view name;
    int protocol;
    void (PickleMachine::*run)();
  };
  static const std::array<Opcode, 68> kOpcodes;

  PickleMachine(std::span<const std::byte> bytes, const PickleOrigin& origin, const Limits& limits)
      : bytes_(bytes),
        origin_(origin),
        limits_(limits),
        in_(bytes, origin.file, origin.member, "pickle-truncated", origin.base) {
    none_ = add({});
    false_ = add_integer(PickleKind::boolean, 0);
    true_ = add_integer(PickleKind::boolean, 1);
    empty_tuple_ = add_list(PickleKind::tuple, {});
  }

  PickleGraph run() {
    static const auto kByCode = [] {
      std::array<const Opcode*, 256> table{};
      for (const Opcode& row : kOpcodes) table[row.code] = &row;
      return table;
    }();
    while (!stopped_) {
      opcode_at_ = in_.position();
      if (opcode_at_ >= limits_.max_pickle_bytes)
        fail("limit-exceeded",
             fmt::format("the pickle is longer than max_pickle_bytes ({})", limits_.max_pickle_bytes));
      if (in_.remaining() == 0) fail("pickle-no-stop", "the pickle ends without a STOP opcode");
      const uint8_t code = in_.u8("opcode");
      opcode_ = kByCode[code];
      if (opcode_ == nullptr) fail("pickle-bad-opcode", fmt::format("0x{:02x} is not a pickle opcode", code));
      (this->*opcode_->run)();
    }
    graph_.size_bytes_ = in_.position();
    return std::move(graph_);
  }

 private:
  // --- failing ---
  [[noreturn]] void fail(const char* id, const std::string& message, const std::string& hint = {}) const {
    throw Error(id, BytePlace{origin_.file, origin_.member, origin_.base + opcode_at_}, message, hint);
  }
  [[noreturn]] void fail_type(std::string_view expected, PickleRef found) const {
    fail("pickle-wrong-type",
         fmt::format("{} needs {}, found {}", opcode_->name, expected, describe(graph_.kind(found))));
  }

  // --- making values ---
  static PickleValue of_kind(PickleKind kind, uint32_t slot = 0) {
    PickleValue value;
    value.kind = kind;
    value.slot = slot;
    return value;
  }
  PickleRef add(const PickleValue& value) {
    if (graph_.values_.size() >= std::min<uint64_t>(limits_.max_pickle_objects, kNoValue - 1))
      fail("limit-exceeded",
           fmt::format("the pickle makes more than max_pickle_objects ({}) values", limits_.max_pickle_objects));
    graph_.values_.push_back(value);
    return static_cast<PickleRef>(graph_.values_.size() - 1);
  }
  PickleRef add_integer(PickleKind kind, int64_t number) {
    PickleValue value = of_kind(kind);
    value.integer = number;
    return add(value);
  }
  PickleRef add_real(double number) {
    PickleValue value = of_kind(PickleKind::real);
    value.real = number;
    return add(value);
  }
  PickleRef add_view(PickleKind kind, std::string_view text) {  // `text` views the input or graph_.texts_
    PickleValue value = of_kind(kind);
    value.text = {text.data(), text.size()};
    return add(value);
  }
  PickleRef add_owned(PickleKind kind, std::string text) {
    graph_.texts_.push_back(std::move(text));
    return add_view(kind, graph_.texts_.back());
  }
  PickleRef add_list(PickleKind kind, std::vector<PickleRef> items) {
    graph_.lists_.push_back(std::move(items));
    return add(of_kind(kind, static_cast<uint32_t>(graph_.lists_.size() - 1)));
  }
  PickleRef add_object(PickleRef callable, PickleRef arguments, PickleRef keywords, bool made_by_new) {
    const PickleKind kind = graph_.kind(callable);
    if (kind != PickleKind::global && kind != PickleKind::persistent && kind != PickleKind::object)
      fail_type("a class or function", callable);
    if (!graph_.is(arguments, PickleKind::tuple)) fail_type("its arguments as a tuple", arguments);
    graph_.objects_.push_back({callable, arguments, keywords, made_by_new, origin_.base + opcode_at_, {}, {}, {}});
    return add(of_kind(PickleKind::object, static_cast<uint32_t>(graph_.objects_.size() - 1)));
  }
  // From two lines of the stream.
  PickleRef add_written_global(std::string_view module, std::string_view name) {
    if (!is_pickle_text(module) || !is_pickle_text(name))
      fail("pickle-bad-text", fmt::format("{} names a class that is not UTF-8", opcode_->name));
    return add_global(module, name);
  }
  PickleRef add_global(std::string_view module, std::string_view name) {
    graph_.globals_.push_back({module, name});
    return add(of_kind(PickleKind::global, static_cast<uint32_t>(graph_.globals_.size() - 1)));
  }

  // --- the stack; marks_ holds the stack heights at the open MARKs, below which nothing can be taken ---
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void push(PickleRef ref) { stack_.push_back(ref); }
  PickleRef top() const {
    if (stack_.size() <= floor())
      fail("pickle-stack-underflow", fmt::format("{} needs a value, the stack is empty{}", opcode_->name,
                                                 marks_.empty() ? "" : " above the mark"));
    return stack_.back();
  }
  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail("pickle-no-mark", fmt::format("{} needs a MARK, none is open", opcode_->name));
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  // --- arguments in the stream ---
  std::string_view line(std::string_view what) {
    const char* begin = reinterpret_cast<const char*>(bytes_.data()) + in_.position();
    const void* end = in_.remaining() == 0 ? nullptr : std::memchr(begin, '\n', in_.remaining());
    if (end == nullptr)
      fail("pickle-truncated", fmt::format("unable to read {} of {}: its line has no end", what, opcode_->name));
    const auto text = in_.text(static_cast<uint64_t>(static_cast<const char*>(end) - begin) + 1, what);
    return text.substr(0, text.size() - 1);
  }
  template <std::unsigned_integral T>
  std::string_view counted(std::string_view what) {
    const uint64_t length = in_.integer<T>("a length");
    return in_.text(length, what);
  }
  // Lengths that are signed in the format.
  std::string_view counted_signed(std::string_view what) {
    const auto length = in_.integer<int32_t>("a length");
    if (length < 0) fail("pickle-bad-number", fmt::format("{} has the length {}", opcode_->name, length));
    return in_.text(static_cast<uint64_t>(length), what);
  }
  void push_text(std::string_view text) {
    if (!is_pickle_text(text)) fail("pickle-bad-text", fmt::format("the string of {} is not UTF-8", opcode_->name));
    push(add_view(PickleKind::text, text));
  }
  // Python 2's str is text or bytes; UTF-8 decides.
  void push_old_string(std::string_view text) {
    push(add_view(is_pickle_text(text) ? PickleKind::text : PickleKind::bytes, text));
  }
  void push_decimal(std::string_view digits) {
    std::string_view number = digits.ends_with('L') ? digits.substr(0, digits.size() - 1) : digits;
    if (number.starts_with('+')) number.remove_prefix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    const std::string_view magnitude = number.starts_with('-') ? number.substr(1) : number;
    if (magnitude.empty() || magnitude.find_first_not_of("0123456789") != std::string_view::npos)
      fail("pickle-bad-number",
           fmt::format("{} has '{}' where decimal digits were expected", opcode_->name, printable(digits)));
    push(error == std::errc::result_out_of_range ? add_view(PickleKind::big_integer, number)
                                                 : add_integer(PickleKind::integer, value));
  }
  void push_long(std::string_view raw) {
    if (raw.size() > 8) {
      push(add_owned(PickleKind::big_integer,
                     long_to_text({reinterpret_cast<const std::byte*>(raw.data()), raw.size()})));
      return;
    }
    uint64_t value = 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(raw[i]);
    if (!raw.empty() && raw.size() < 8 && (raw.back() & 0x80) != 0) value |= ~uint64_t{0} << (8 * raw.size());
    push(add_integer(PickleKind::integer, static_cast<int64_t>(value)));
  }
  static std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 40)) out += c >= ' ' && c <= '~' ? c : '?';
    return text.size() > 40 ? out + "..." : out;
  }
  uint64_t memo_index_of_line() {
    const auto text = line("a memo index");
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc{} || end != text.data() + text.size())
      fail("pickle-bad-number", fmt::format("{} has '{}' for a memo index", opcode_->name, printable(text)));
    return index;
  }
  void memo_get(uint64_t index) {
    const PickleRef ref = memo_.get(index);
    if (ref == kNoValue)
      fail("pickle-bad-memo", fmt::format("{} names memo slot {}, which is not set", opcode_->name, index));
    push(ref);
  }
  void memo_put(uint64_t index) {
    if (memo_.count() >= limits_.max_pickle_memo)
      fail("limit-exceeded",
           fmt::format("the pickle uses more than max_pickle_memo ({}) memo slots", limits_.max_pickle_memo));
    memo_.put(index, top());
  }

  // --- filling containers ---
  // Where APPEND(S) and ADDITEMS put things.
  std::vector<PickleRef>& items_of(PickleRef target, PickleKind kind) {
    if (graph_.is(target, kind)) return graph_.lists_[graph_.values_[target].slot];
    if (graph_.is(target, PickleKind::object)) return graph_.objects_[graph_.values_[target].slot].items;
    fail_type(kind == PickleKind::list ? "a list to append to" : "a set to add to", target);
  }
  std::vector<PickleRef>& pairs_of(PickleRef target) {
    if (graph_.is(target, PickleKind::dict)) return graph_.lists_[graph_.values_[target].slot];
    if (graph_.is(target, PickleKind::object)) return graph_.objects_[graph_.values_[target].slot].pairs;
    fail_type("a dict to set items of", target);
  }
  static void append(std::vector<PickleRef>& to, const std::vector<PickleRef>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }
  void check_pairs(const std::vector<PickleRef>& items) const {
    if (items.size() % 2 != 0)
      fail("pickle-odd-items", fmt::format("{} has {} values: the last key has none", opcode_->name, items.size()));
  }

  // --- the opcodes, in the order of the table ---
  void op_mark() { marks_.push_back(stack_.size()); }
  void op_stop() {
    graph_.root_ = pop();
    stopped_ = true;
  }
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
    const PickleRef state = pop(), target = top();
    if (!graph_.is(target, PickleKind::object)) fail_type("an object to set the state of", target);
    graph_.objects_[graph_.values_[target].slot].states.push_back(state);
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
                     opcode_->name, code));
  }
  void push_tuple(std::vector<PickleRef> items) {
    push(items.empty() ? empty_tuple_ : add_list(PickleKind::tuple, std::move(items)));
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

  std::span<const std::byte> bytes_;
  const PickleOrigin& origin_;
  const Limits& limits_;
  ByteReader in_;
  PickleGraph graph_;
  PickleMemo memo_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;
  PickleRef none_, false_, true_, empty_tuple_;
  const Opcode* opcode_ = nullptr;  // the one being obeyed, and where it is
  uint64_t opcode_at_ = 0;
  bool stopped_ = false;
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
