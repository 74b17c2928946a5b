// What the opcodes of a pickle stand on: values and where they are kept, the stack, the memo, arguments in the stream.
// Private to pickle.cpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "formats/pickle.h"
#include "formats/pickle_text.h"

namespace remap::formats {

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

class PickleBuilder {
 public:
  PickleBuilder(std::span<const std::byte> bytes, const PickleOrigin& origin, const Limits& limits)
      : bytes_(bytes),
        origin_(origin),
        limits_(limits),
        in_(bytes, origin.file, origin.member, "pickle-truncated", origin.base) {
    none_ = add({});
    false_ = add_integer(PickleKind::boolean, 0);
    true_ = add_integer(PickleKind::boolean, 1);
    empty_tuple_ = add_list(PickleKind::tuple, {});
  }

 protected:
  // --- failing ---
  [[noreturn]] void fail(const char* id, const std::string& message, const std::string& hint = {}) const {
    throw Error(id, BytePlace{origin_.file, origin_.member, origin_.base + opcode_at_}, message, hint);
  }
  [[noreturn]] void fail_type(std::string_view expected, PickleRef found) const {
    fail("pickle-wrong-type", fmt::format("{} needs {}, found {}", opcode_, expected, describe(graph_.kind(found))));
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
      fail("pickle-bad-text", fmt::format("{} names a class that is not UTF-8", opcode_));
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
      fail("pickle-stack-underflow",
           fmt::format("{} needs a value, the stack is empty{}", opcode_, marks_.empty() ? "" : " above the mark"));
    return stack_.back();
  }
  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail("pickle-no-mark", fmt::format("{} needs a MARK, none is open", opcode_));
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
      fail("pickle-truncated", fmt::format("unable to read {} of {}: its line has no end", what, opcode_));
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
    if (length < 0) fail("pickle-bad-number", fmt::format("{} has the length {}", opcode_, length));
    return in_.text(static_cast<uint64_t>(length), what);
  }
  void push_text(std::string_view text) {
    if (!is_pickle_text(text)) fail("pickle-bad-text", fmt::format("the string of {} is not UTF-8", opcode_));
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
           fmt::format("{} has '{}' where decimal digits were expected", opcode_, printable(digits)));
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
      fail("pickle-bad-number", fmt::format("{} has '{}' for a memo index", opcode_, printable(text)));
    return index;
  }
  void memo_get(uint64_t index) {
    const PickleRef ref = memo_.get(index);
    if (ref == kNoValue)
      fail("pickle-bad-memo", fmt::format("{} names memo slot {}, which is not set", opcode_, index));
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
  std::vector<PickleRef>& states_of(PickleRef target) {
    if (!graph_.is(target, PickleKind::object)) fail_type("an object to set the state of", target);
    return graph_.objects_[graph_.values_[target].slot].states;
  }
  static void append(std::vector<PickleRef>& to, const std::vector<PickleRef>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }
  void check_pairs(const std::vector<PickleRef>& items) const {
    if (items.size() % 2 != 0)
      fail("pickle-odd-items", fmt::format("{} has {} values: the last key has none", opcode_, items.size()));
  }

  void push_tuple(std::vector<PickleRef> items) {
    push(items.empty() ? empty_tuple_ : add_list(PickleKind::tuple, std::move(items)));
  }
  PickleGraph finished(PickleRef root) {
    graph_.root_ = root;
    graph_.size_bytes_ = in_.position();
    return std::move(graph_);
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
  std::string_view opcode_;  // the name of the one being obeyed, and where it is
  uint64_t opcode_at_ = 0;
};

}  // namespace remap::formats
