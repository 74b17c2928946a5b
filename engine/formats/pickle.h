// Reads one pickle (protocols 0 to 5) into a graph of inert values.
//
// Nothing is imported, called or looked up: a class or function that the pickle names is a `global` value, and what
// Python would do with it (call it, set its state, append to it) is recorded in an `object` value. So `os.system` is a
// word here. Values live in one arena and name each other by index: shared and cyclic values cost nothing, and
// destruction is flat. The graph views the bytes it was read from; they must outlive it. Throws: Error, ids "pickle-*"
// and "limit-exceeded", with the offset of the opcode that could not be obeyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"

namespace remap::formats {

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  big_integer,
  real,
  bytes,
  text,  // plain
  tuple,
  list,
  dict,
  set,
  frozenset,   // `items()`; a dict's are key, value, key, value …
  global,      // a class or function, by module and name
  persistent,  // something outside the pickle (a storage), by its id
  object       // what a class or function was asked to make
};
std::string_view describe(PickleKind kind);  // "an integer": for messages

using PickleRef = uint32_t;  // index of a value in its graph
inline constexpr PickleRef kNoValue = 0xffffffff;

struct PickleValue {
  struct Text {
    const char* data;
    size_t size;
  };
  PickleKind kind = PickleKind::none;
  uint32_t slot = 0;  // containers, globals, objects: where the rest is kept; persistent: the id's PickleRef
  union {
    int64_t integer = 0;  // integer, boolean
    double real;
    Text text;  // text (UTF-8; may hold encoded surrogates), bytes, big_integer (decimal; 0x… when over 64 bytes)
  };
};

struct PickleGlobal {
  std::string_view module, name;
  bool operator==(const PickleGlobal&) const = default;
  std::string full_name() const;  // "module.name"
};

struct PickleObject {
  PickleRef callable = kNoValue;   // a global, a persistent value, or an object
  PickleRef arguments = kNoValue;  // a tuple
  PickleRef keywords = kNoValue;   // NEWOBJ_EX only: a dict
  bool made_by_new = false;        // NEWOBJ, NEWOBJ_EX, INST, OBJ: `callable` is a class; else it was called (REDUCE)
  uint64_t offset = 0;             // of the opcode that made it, in the file or member
  std::vector<PickleRef> states;   // BUILD, in order; mostly none or one
  std::vector<PickleRef> items;    // APPEND(S), ADDITEMS
  std::vector<PickleRef> pairs;    // SETITEM(S): key, value, key, value …
};

class PickleGraph {
 public:
  PickleRef root() const { return root_; }
  size_t size() const { return values_.size(); }
  uint64_t size_bytes() const { return size_bytes_; }  // of the pickle, STOP included

  const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }
  PickleKind kind(PickleRef ref) const { return values_[ref].kind; }
  bool is(PickleRef ref, PickleKind kind) const { return ref != kNoValue && values_[ref].kind == kind; }
  std::string_view text(PickleRef ref) const { return {values_[ref].text.data, values_[ref].text.size}; }
  const std::vector<PickleRef>& items(PickleRef ref) const { return lists_[values_[ref].slot]; }  // of a container
  const PickleGlobal& global(PickleRef ref) const { return globals_[values_[ref].slot]; }
  const PickleObject& object(PickleRef ref) const { return objects_[values_[ref].slot]; }
  PickleRef persistent_id(PickleRef ref) const { return values_[ref].slot; }
  // The i-th argument of an object, kNoValue if it has fewer.
  PickleRef argument(const PickleObject& object, size_t i) const;
  const std::vector<PickleGlobal>& globals() const { return globals_; }
  // Frees the values; texts that were decoded stay, for those who hold views of them.
  void drop_values();

 private:
  friend class PickleBuilder;
  PickleRef root_ = kNoValue;
  uint64_t size_bytes_ = 0;
  std::vector<PickleValue> values_;
  std::vector<std::vector<PickleRef>> lists_;
  std::vector<PickleGlobal> globals_;
  std::vector<PickleObject> objects_;
  std::deque<std::string> texts_;  // texts that had to be decoded; everything else views the input
};

// Where a pickle comes from, for messages: `base` is the offset of its first byte in the file or member.
struct PickleOrigin {
  std::string file, member;
  uint64_t base = 0;
};

// Reads the pickle that starts at the first byte; bytes after its STOP are not looked at (see PickleGraph::size_bytes).
PickleGraph read_pickle(std::span<const std::byte> bytes, const PickleOrigin& origin, const Limits& limits);

// One row an opcode; a test holds them against the ones Python documents.
struct PickleOpcodeInfo {
  uint8_t code;
  std::string_view name;
  int protocol;  // the first to have it
};
std::vector<PickleOpcodeInfo> pickle_opcodes();

}  // namespace remap::formats
