#include "formats/msgpack_tree.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <msgpack.hpp>

#include "formats/json_text.h"

namespace remap::formats {
namespace {

using Kind = MsgpackNode::Kind;

constexpr size_t kMaxMsgpackDepth = 64;

// Receives msgpack-cxx's events and builds the tree. A callback that returns false ends the parse; `problem()` then
// says why.
class TreeBuilder : public msgpack::null_visitor {
 public:
  TreeBuilder(std::string_view bytes, uint64_t base, const Limits& limits)
      : bytes_(bytes), base_(base), limits_(limits), after_(base) {}

  const std::string& problem() const { return problem_; }
  bool is_limit() const { return is_limit_; }  // of Limits: the file need not be damaged
  uint64_t problem_offset() const { return problem_offset_; }
  MsgpackNode take() { return std::move(root_); }

  bool visit_nil() { return scalar(Kind::nil) != nullptr; }
  bool visit_boolean(bool value) { return number(Kind::boolean, value ? 1 : 0, 0); }
  bool visit_positive_integer(uint64_t value) {
    if (!number(Kind::integer, static_cast<int64_t>(value), 0)) return false;
    last_->is_unsigned = value > static_cast<uint64_t>(INT64_MAX);
    return true;
  }
  bool visit_negative_integer(int64_t value) { return number(Kind::integer, value, 0); }
  bool visit_float32(float value) { return number(Kind::real, 0, static_cast<double>(value)); }
  bool visit_float64(double value) { return number(Kind::real, 0, value); }
  bool visit_str(const char* data, uint32_t size) { return payload(Kind::text, data, size); }
  bool visit_bin(const char* data, uint32_t size) { return payload(Kind::binary, data, size); }
  bool visit_ext(const char* data, uint32_t size) {
    // `size` counts the type byte and wraps to 0 for a payload of 2^32-1 bytes.
    if (size == 0) return refuse("an extension of 4 GiB");
    if (!payload(Kind::extension, data + 1, size - 1)) return false;
    last_->extension_type = static_cast<int8_t>(*data);
    return true;
  }
  bool start_array(uint32_t) { return open(Kind::array); }
  bool start_map(uint32_t) { return open(Kind::map); }
  bool end_array() { return close(); }
  bool end_map() { return unique_keys(*open_.back()) && close(); }
  bool start_map_key() {
    key_next_ = true;
    return true;
  }
  bool end_map_key() {
    key_next_ = false;
    return true;
  }
  void parse_error(size_t, size_t offset) { stop("a byte that starts no msgpack value", offset); }
  void insufficient_bytes(size_t, size_t offset) { stop("the bytes end inside a value", offset); }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    problem_offset_ = after_;
    return false;
  }
  bool refuse_limit(std::string problem) {
    is_limit_ = true;
    return refuse(std::move(problem));
  }
  void stop(std::string problem, size_t offset) {
    problem_ = std::move(problem);
    problem_offset_ = base_ + offset;
  }
  MsgpackNode* scalar(Kind kind) {
    if (key_next_) {
      refuse(fmt::format("{} as a map's key; a string was expected", kind_name(kind)));
      return nullptr;
    }
    if (++n_nodes_ > limits_.max_metadata_nodes) {
      refuse_limit(fmt::format("more than {} values (max_metadata_nodes)", limits_.max_metadata_nodes));
      return nullptr;
    }
    MsgpackNode* node = &root_;
    if (!open_.empty()) node = &open_.back()->items.emplace_back();
    node->kind = kind;
    node->offset = after_;
    last_ = node;
    return node;
  }
  bool number(Kind kind, int64_t integer, double real) {
    MsgpackNode* node = scalar(kind);
    if (node == nullptr) return false;
    node->integer = integer;
    node->real = real;
    return true;
  }
  bool payload(Kind kind, const char* data, uint32_t size) {
    const std::string_view view = size == 0 ? std::string_view() : std::string_view(data, size);
    if (key_next_ && kind != Kind::extension) return add_key(view);
    MsgpackNode* node = scalar(kind);
    if (node == nullptr) return false;
    node->data = view;
    advance(view);
    node->data_offset = after_ - view.size();
    return true;
  }
  // Older writers stored names as raw bytes, which arrive as binary.
  bool add_key(std::string_view key) {
    if (key.empty()) return refuse("a map's key is empty");
    if (key.size() > limits_.max_key_bytes)
      return refuse_limit(fmt::format("{} bytes of a map's key; at most {} are read (max_key_bytes)", key.size(),
                                      limits_.max_key_bytes));
    if (!is_utf8(key)) return refuse("a map's key is not UTF-8");
    open_.back()->keys.push_back(key);
    advance(key);
    return true;
  }
  // msgpack-cxx does not say where it is. What it passes by pointer does; a map's value starts where its key ends.
  void advance(std::string_view view) {
    if (!view.empty()) after_ = base_ + static_cast<uint64_t>(view.data() + view.size() - bytes_.data());
  }
  bool open(Kind kind) {
    if (open_.size() >= kMaxMsgpackDepth) return refuse(fmt::format("nested deeper than {} levels", kMaxMsgpackDepth));
    MsgpackNode* node = scalar(kind);
    if (node == nullptr) return false;
    open_.push_back(node);  // stays put: its parent grows only after it is closed
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool unique_keys(const MsgpackNode& map) {
    std::vector<std::string_view> keys = map.keys;
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    return twice == keys.end() || refuse(fmt::format("the key '{}' occurs twice in one map", *twice));
  }

  std::string_view bytes_;
  uint64_t base_;
  const Limits& limits_;
  uint64_t after_;  // offset behind the last payload
  uint64_t n_nodes_ = 0;
  bool key_next_ = false, is_limit_ = false;
  std::string problem_;
  uint64_t problem_offset_ = 0;
  MsgpackNode root_;
  MsgpackNode* last_ = nullptr;
  std::vector<MsgpackNode*> open_;
};

}  // namespace

const MsgpackNode* MsgpackNode::find(std::string_view key) const {
  const auto it = std::find(keys.begin(), keys.end(), key);
  return it == keys.end() ? nullptr : &items[static_cast<size_t>(it - keys.begin())];
}

std::string_view kind_name(Kind kind) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "nil", "a boolean", "an integer", "a number", "a text", "binary", "an extension value", "an array", "a map"};
  return kNames[static_cast<size_t>(kind)];
}

MsgpackNode parse_msgpack(std::string_view bytes, const std::string& file, uint64_t base, const Limits& limits) {
  TreeBuilder builder(bytes, base, limits);
  const auto fail = [&](const std::string& message, uint64_t at) {
    throw Error("t5x-msgpack", BytePlace{file, {}, at}, message, "the file is damaged or is no T5X checkpoint");
  };
  size_t end = 0;
  bool complete = false;
  try {
    complete = msgpack::parse(bytes.data(), bytes.size(), end, builder);
  } catch (const msgpack::unpack_error& error) {
    fail(fmt::format("unable to read msgpack: {}", error.what()), builder.problem_offset());
  }
  if (builder.is_limit())
    throw Error("limit-exceeded", BytePlace{file, {}, builder.problem_offset()}, builder.problem());
  if (!builder.problem().empty())
    fail(fmt::format("unable to read msgpack: {}", builder.problem()), builder.problem_offset());
  if (!complete) fail("unable to read msgpack", base);
  if (end != bytes.size()) fail(fmt::format("{} bytes follow the msgpack value", bytes.size() - end), base + end);
  return builder.take();
}

}  // namespace remap::formats
