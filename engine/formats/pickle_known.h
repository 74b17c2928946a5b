// What the values of a pickle stand for: a table of the classes and functions whose meaning is known (one row each),
// and the few shapes that are recognised by their parts (a module, an enumeration member, a subclass of dict or list).
// Everything else is a record: kept, never interpreted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pickle.h"

namespace remap::formats {

// What an object of a known class means.
enum class Role : uint8_t {
  mapping,              // a dict: what its first argument holds, then what was set
  mapping_from_second,  // the same, from its second argument
  sequence,             // a list: what its first argument holds, then what was appended
  arguments,            // a list of its arguments
  attributes,           // a mapping of its state
  first_argument,       // the same as its first argument
  state_field,          // the same as the value of its state under `detail`
  encoded,              // bytes from text and an encoding
  path,                 // text: arguments joined with '/'
  device,               // text: arguments joined with ':'
  class_first,          // what its first argument would be, had it been made directly (copyreg's helpers)
  tensor,               // _rebuild_tensor and its later versions
  tensor_from_type,     // a tensor subclass: function, type, arguments
  cast_tensor,          // a tensor or array, and the dtype that torch casts it to
  unreadable_tensor,    // `detail` says why
  array,                // numpy array
  array_scalar,
  array_type,  // numpy dtype
  inert        // known to matter to nobody: a record without a remark
};

struct KnownRow {
  std::string_view name;  // of the class or function; older module names are brought to the one here
  Role role;
  std::string_view detail = {};
  int dtype_at = -1, shape_at = -1;  // unreadable_tensor: which arguments say these; -1: none does
};
const std::vector<KnownRow>& known_table();

enum class Meaning : uint8_t { scalar, sequence, mapping, tensor, module, record };

struct PickleView {
  Meaning meaning = Meaning::record;
  PickleRef ref = kNoValue;       // the value that carries the meaning, wrappers taken off
  const KnownRow* row = nullptr;  // of an object of a known class
  // Guesses, which deserve a remark: a class taken for an enumeration, or for the dict or list that it extends.
  PickleRef guessed = kNoValue;
  std::string_view guess = {};
};

struct PickleEntry {
  PickleRef key, value;
};
struct NamedEntry {
  std::string key;
  PickleRef value;
};

// Reads meanings out of a graph, which must outlive it.
class PickleMeanings {
 public:
  explicit PickleMeanings(const PickleGraph& graph);

  PickleView view(PickleRef ref) const;
  std::vector<PickleEntry> entries(const PickleView& mapping) const;  // as written: a key may occur twice
  // Keys as text. Of keys that Python calls equal the last wins; others may have the same text (1 and "1").
  std::vector<NamedEntry> named_entries(const PickleView& mapping) const;
  std::vector<PickleRef> items(const PickleView& sequence) const;
  PickleRef initial(const PickleObject& object, const KnownRow* row) const;  // what a mapping or sequence starts from

  // The parts of a module, None left out. What its state dict would have; what it would not: buffers that are not
  // persistent, and all other state; and of that, what has a public name.
  struct Module {
    std::vector<NamedEntry> tensors, modules, unsaved, attributes;
    size_t cost = 0;  // entries looked at, those left out included
  };
  Module module(PickleRef object) const;

  PickleRef class_of(const PickleObject& object) const;  // its class or function, copyreg's helpers seen through
  std::string class_name(PickleRef object) const;        // of an object: "argparse.Namespace"
  std::string global_name(PickleRef callable) const;  // of a global, or of a persistent value that stands for a class
  // What a dict key is called in a path. Names and keys are cut at kMaxName: a pickle can use one long text a million
  // times.
  std::string key_text(PickleRef key) const;
  static constexpr size_t kMaxName = 4200;
  std::optional<int64_t> integer(PickleRef ref) const;  // of an integer, however it is wrapped
  std::string_view text(PickleRef ref) const;           // of a text or bytes value, "" for others
  PickleRef state_field(const PickleObject& object, std::string_view name) const;  // kNoValue if absent
  PickleRef field(PickleRef dict, std::string_view name) const;  // of a dict with text keys; kNoValue if absent

  const KnownRow* row_of_callable(PickleRef callable) const;  // nullptr: not known

  const PickleGraph& graph() const { return graph_; }

 private:
  const KnownRow* row_of(const PickleObject& object) const;
  bool is_module(const PickleObject& object) const;
  bool is_enumeration(const PickleObject& object) const;
  bool extends_container(const PickleObject& object) const;
  PickleView view_object(PickleRef ref, PickleView& view) const;
  void append_entries(PickleRef ref, std::vector<PickleEntry>& out) const;
  std::string key_text(PickleRef key, int levels) const;
  std::string plain_identity(PickleRef key) const;
  size_t identity_number(PickleRef key) const;
  std::string identity(PickleRef key) const;  // the same of keys that Python calls equal, and of no others

  const PickleGraph& graph_;
  std::vector<const KnownRow*> row_by_global_;
  // Fields of large dicts by name: one dict may be the state of a million objects.
  using FieldIndex = std::unordered_map<std::string_view, PickleRef>;
  mutable std::unordered_map<PickleRef, FieldIndex> field_indexes_;
  // Of keys that are long or made of others, which many dicts may share.
  mutable std::unordered_map<PickleRef, size_t> identity_numbers_;
  mutable std::unordered_map<std::string, size_t> identities_;
};

}  // namespace remap::formats
