#include "formats/pickle_known.h"

#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/pickle_text.h"

namespace remap::formats {

const std::vector<KnownRow>& known_table() {
  using enum Role;
  static const std::vector<KnownRow> rows = {
      // Python
      {"collections.OrderedDict", mapping},
      {"collections.Counter", mapping},
      {"collections.defaultdict", mapping_from_second},
      {"collections.deque", sequence},
      {"builtins.dict", mapping},
      {"builtins.list", sequence},
      {"builtins.tuple", sequence},
      {"builtins.set", sequence},
      {"builtins.frozenset", sequence},
      {"builtins.int", first_argument},
      {"builtins.long", first_argument},
      {"builtins.float", first_argument},
      {"builtins.bool", first_argument},
      {"builtins.str", first_argument},
      {"builtins.unicode", first_argument},
      {"builtins.bytes", encoded},
      {"builtins.bytearray", encoded},
      {"_codecs.encode", encoded},
      {"builtins.complex", arguments},
      {"builtins.slice", arguments},
      {"builtins.range", arguments},
      {"builtins.xrange", arguments},
      {"builtins.object", inert},
      {"copyreg._reconstructor", class_first},
      {"copyreg.__newobj__", class_first},
      {"argparse.Namespace", attributes},
      {"types.SimpleNamespace", attributes},
      {"pathlib.Path", path},
      {"pathlib.PosixPath", path},
      {"pathlib.WindowsPath", path},
      {"pathlib.PurePath", path},
      {"pathlib.PurePosixPath", path},
      {"pathlib.PureWindowsPath", path},
      {"datetime.date", inert},
      {"datetime.datetime", inert},
      {"datetime.time", inert},
      {"datetime.timedelta", inert},
      {"datetime.timezone", inert},
      // torch
      {"torch.Size", sequence},
      {"torch.device", device},
      {"torch.torch_version.TorchVersion", first_argument},
      {"torch.serialization._get_layout", first_argument},
      {"torch.jit._pickle.build_intlist", first_argument},
      {"torch.jit._pickle.build_doublelist", first_argument},
      {"torch.jit._pickle.build_boollist", first_argument},
      {"torch.jit._pickle.build_tensorlist", first_argument},
      {"torch.jit._pickle.build_tensor_from_id", inert},
      {"torch.jit._pickle.restore_type_tag", first_argument},
      {"torch._utils._rebuild_tensor", tensor},
      {"torch._utils._rebuild_tensor_v2", tensor},
      {"torch._utils._rebuild_tensor_v3", tensor},
      {"torch._utils._rebuild_parameter", first_argument},
      {"torch._utils._rebuild_parameter_with_state", first_argument},
      {"torch._utils._rebuild_device_tensor_from_cpu_tensor", cast_tensor},
      {"torch._utils._rebuild_device_tensor_from_numpy", cast_tensor},
      {"torch._utils._rebuild_xla_tensor", cast_tensor},
      {"torch._tensor._rebuild_from_type", tensor_from_type},
      {"torch._tensor._rebuild_from_type_v2", tensor_from_type},
      {"torch.tensor._rebuild_from_type", tensor_from_type},
      {"torch._utils._rebuild_qtensor", unreadable_tensor, "a quantized tensor", -1, 2},
      {"torch._utils._rebuild_sparse_tensor", unreadable_tensor, "a sparse tensor"},
      {"torch._utils._rebuild_sparse_csr_tensor", unreadable_tensor, "a sparse tensor"},
      {"torch._utils._rebuild_nested_tensor", unreadable_tensor, "a nested tensor"},
      {"torch.nested._internal.nested_tensor._rebuild_njt", unreadable_tensor, "a nested tensor"},
      {"torch._utils._rebuild_meta_tensor_no_storage", unreadable_tensor,
       "a tensor with no data (on torch's meta device)", 0, 1},
      {"torch._utils._rebuild_wrapper_subclass", unreadable_tensor, "a tensor that wraps others", 1, 2},
      {"torch.nn.parameter.UninitializedParameter", unreadable_tensor, "a parameter that is not initialized"},
      {"torch.nn.parameter.UninitializedBuffer", unreadable_tensor, "a buffer that is not initialized"},
      {"torch.distributed._shard.sharded_tensor.api.ShardedTensor", unreadable_tensor, "a part of a ShardedTensor"},
      // numpy
      {"numpy.core.multiarray._reconstruct", array},
      {"numpy.core.numeric._frombuffer", array},
      {"numpy.ma.core._mareconstruct", unreadable_tensor, "a masked numpy array"},
      {"numpy.core.multiarray.scalar", array_scalar},
      {"numpy.dtype", array_type},
      // omegaconf: containers hold nodes, leaves hold values; both also hold their parent, which makes cycles
      {"omegaconf.dictconfig.DictConfig", state_field, "_content"},
      {"omegaconf.listconfig.ListConfig", state_field, "_content"},
      {"omegaconf.nodes.AnyNode", state_field, "_val"},
      {"omegaconf.nodes.StringNode", state_field, "_val"},
      {"omegaconf.nodes.IntegerNode", state_field, "_val"},
      {"omegaconf.nodes.FloatNode", state_field, "_val"},
      {"omegaconf.nodes.BooleanNode", state_field, "_val"},
      {"omegaconf.nodes.BytesNode", state_field, "_val"},
      {"omegaconf.nodes.PathNode", state_field, "_val"},
      {"omegaconf.nodes.EnumNode", state_field, "_val"},
      {"omegaconf.base.UnionNode", state_field, "_content"},
  };
  return rows;
}

namespace {

// Modules that were renamed: the old name, the one the table has.
std::string canonical_name(const PickleGlobal& global) {
  static const std::vector<std::pair<std::string_view, std::string_view>> kRenamed = {
      {"__builtin__", "builtins"},
      {"copy_reg", "copyreg"},
      {"pathlib._local", "pathlib"},
      {"numpy._core.multiarray", "numpy.core.multiarray"},
      {"numpy._core.numeric", "numpy.core.numeric"}};
  for (const auto& [old_name, new_name] : kRenamed)
    if (global.module == old_name) return fmt::format("{}.{}", new_name, global.name);
  return global.full_name();
}

const KnownRow* find_row(const PickleGlobal& global) {
  // A module of a TorchScript program, whose attributes are its parameters, buffers and further modules.
  static constexpr KnownRow kScriptModule{"__torch__", Role::attributes};
  if (global.module == kScriptModule.name || global.module.starts_with("__torch__.")) return &kScriptModule;
  if (global.module.size() + global.name.size() > 128) return nullptr;
  static const auto kByName = [] {
    std::unordered_map<std::string_view, const KnownRow*> map;
    for (const KnownRow& row : known_table()) map.emplace(row.name, &row);
    return map;
  }();
  const auto it = kByName.find(canonical_name(global));
  return it == kByName.end() ? nullptr : it->second;
}

bool is_plain_value(PickleKind kind) { return kind <= PickleKind::text; }

}  // namespace

PickleMeanings::PickleMeanings(const PickleGraph& graph) : graph_(graph) {
  row_by_global_.reserve(graph.globals().size());
  for (const PickleGlobal& global : graph.globals()) row_by_global_.push_back(find_row(global));
}

// --- names ---

std::string PickleMeanings::global_name(PickleRef callable) const {
  const auto name = [](const PickleGlobal& global) {
    static constexpr size_t kMax = 200;
    const bool fits = global.module.size() <= kMax && global.name.size() <= kMax;
    return fits ? global.full_name()
                : fmt::format("{}...{}", utf8_prefix(global.module, kMax), utf8_prefix(global.name, kMax));
  };
  if (graph_.is(callable, PickleKind::global)) return name(graph_.global(callable));
  if (graph_.is(callable, PickleKind::persistent)) {  // ("module", class, source file, source text): legacy streams
    const PickleRef id = graph_.persistent_id(callable);
    if (graph_.is(id, PickleKind::tuple) && graph_.items(id).size() >= 2 && text(graph_.items(id)[0]) == "module" &&
        graph_.is(graph_.items(id)[1], PickleKind::global))
      return name(graph_.global(graph_.items(id)[1]));
  }
  return "an unnamed class";
}

std::string PickleMeanings::class_name(PickleRef object) const {
  return graph_.is(object, PickleKind::object) ? global_name(class_of(graph_.object(object)))
                                               : std::string(describe(graph_.kind(object)));
}

const KnownRow* PickleMeanings::row_of_callable(PickleRef callable) const {
  return graph_.is(callable, PickleKind::global) ? row_by_global_[graph_[callable].slot] : nullptr;
}

PickleRef PickleMeanings::class_of(const PickleObject& object) const {
  const KnownRow* row = row_of_callable(object.callable);
  if (row == nullptr || row->role != Role::class_first) return object.callable;
  const PickleRef first = graph_.argument(object, 0);
  return first == kNoValue ? object.callable : first;
}

const KnownRow* PickleMeanings::row_of(const PickleObject& object) const {
  const KnownRow* row = row_of_callable(class_of(object));
  return row != nullptr && row->role == Role::class_first ? nullptr : row;
}

// The argument that holds what the object starts from.
PickleRef PickleMeanings::initial(const PickleObject& object, const KnownRow* row) const {
  size_t i = row != nullptr && row->role == Role::mapping_from_second ? 1 : 0;
  if (class_of(object) != object.callable)  // _reconstructor(class, base, state); __newobj__(class, arguments…)
    i += row_of_callable(object.callable)->name == "copyreg._reconstructor" ? 2 : 1;
  return graph_.argument(object, i);
}

// --- plain values ---

std::string_view PickleMeanings::text(PickleRef ref) const {
  return graph_.is(ref, PickleKind::text) || graph_.is(ref, PickleKind::bytes) ? graph_.text(ref) : std::string_view{};
}

std::optional<int64_t> PickleMeanings::integer(PickleRef ref) const {
  if (ref == kNoValue) return std::nullopt;
  const PickleView found = view(ref);
  if (found.meaning != Meaning::scalar || !graph_.is(found.ref, PickleKind::integer)) return std::nullopt;
  return graph_[found.ref].integer;
}

PickleRef PickleMeanings::field(PickleRef dict, std::string_view name) const {
  if (!graph_.is(dict, PickleKind::dict)) return kNoValue;
  static constexpr size_t kSmall = 16;
  const auto& pairs = graph_.items(dict);
  if (pairs.size() <= kSmall) {
    for (size_t i = pairs.size(); i > 1; i -= 2)  // the last of equal keys wins
      if (text(pairs[i - 2]) == name) return pairs[i - 1];
    return kNoValue;
  }
  const auto [it, fresh] = field_indexes_.try_emplace(dict);
  FieldIndex& index = it->second;
  if (fresh)
    for (size_t i = 0; i + 1 < pairs.size(); i += 2)
      if (const auto key = text(pairs[i]); !key.empty() && key.size() <= 64) index[key] = pairs[i + 1];
  const auto found = index.find(name);
  return found == index.end() ? kNoValue : found->second;
}

PickleRef PickleMeanings::state_field(const PickleObject& object, std::string_view name) const {
  for (size_t i = object.states.size(); i-- > 0;) {
    const PickleRef state = object.states[i];
    PickleRef found = field(state, name);
    if (graph_.is(state, PickleKind::tuple) && graph_.items(state).size() == 2)  // (attributes, slots)
      for (const PickleRef part : graph_.items(state))
        if (found == kNoValue) found = field(part, name);
    if (found != kNoValue) return found;
  }
  return kNoValue;
}

// --- meanings ---

bool PickleMeanings::is_module(const PickleObject& object) const {
  return state_field(object, "_parameters") != kNoValue && state_field(object, "_buffers") != kNoValue &&
         state_field(object, "_modules") != kNoValue;
}

// A member of an enumeration is pickled as its class called with its value; class names start with a capital, functions
// do not.
bool PickleMeanings::is_enumeration(const PickleObject& object) const {
  if (object.made_by_new || !object.states.empty() || !object.items.empty() || !object.pairs.empty()) return false;
  if (!graph_.is(object.callable, PickleKind::global) || graph_.items(object.arguments).size() != 1) return false;
  const std::string_view name = graph_.global(object.callable).name;
  const char first = name.substr(name.rfind('.') + 1).empty() ? ' ' : name.substr(name.rfind('.') + 1).front();
  const PickleKind value = graph_.kind(graph_.items(object.arguments)[0]);
  return first >= 'A' && first <= 'Z' && (value == PickleKind::integer || value == PickleKind::text);
}

// Things were set in it or appended to it as to a dict or list, and it was made as an instance.
bool PickleMeanings::extends_container(const PickleObject& object) const {
  if (const KnownRow* row = row_of_callable(object.callable); row != nullptr && row->name == "copyreg._reconstructor")
    return object.items.empty() && graph_.is(initial(object, nullptr), PickleKind::dict);
  return (object.made_by_new || graph_.items(object.arguments).empty()) && object.pairs.empty() != object.items.empty();
}

PickleView PickleMeanings::view(PickleRef ref) const {
  PickleView view;
  // Wrappers may be nested, or wrap themselves.
  for (int hops = 0; hops < 64; ++hops) {
    view.ref = ref;
    view.row = nullptr;
    const PickleKind kind = graph_.kind(ref);
    if (is_plain_value(kind) || kind == PickleKind::global)
      view.meaning = Meaning::scalar;
    else if (kind == PickleKind::dict)
      view.meaning = Meaning::mapping;
    else if (kind == PickleKind::persistent)
      view.meaning = Meaning::record;
    else if (kind != PickleKind::object)
      view.meaning = Meaning::sequence;
    else if (const PickleView next = view_object(ref, view); next.ref != ref) {
      ref = next.ref;
      continue;
    }
    return view;
  }
  view.meaning = Meaning::record;
  view.row = nullptr;
  return view;
}

// Sets `view` for the object `ref`. Returns a view whose `ref` is another value if that value is what the object stands
// for.
PickleView PickleMeanings::view_object(PickleRef ref, PickleView& view) const {
  const PickleObject& object = graph_.object(ref);
  const KnownRow* row = view.row = row_of(object);
  const auto stands_for = [&](PickleRef other) {
    PickleView next = view;
    if (other == kNoValue)
      view.meaning = Meaning::record;
    else
      next.ref = other;
    return next;
  };
  const auto guess = [&](Meaning meaning, std::string_view text) {
    view.meaning = meaning;
    view.guessed = ref;
    view.guess = text;
    return view;
  };
  if (row == nullptr) {
    if (is_module(object))
      view.meaning = Meaning::module;
    else if (is_enumeration(object))
      return guess(Meaning::scalar, "taken for a member of an enumeration"), stands_for(graph_.argument(object, 0));
    else if (extends_container(object))
      return object.items.empty() ? guess(Meaning::mapping, "taken for the dict it extends")
                                  : guess(Meaning::sequence, "taken for the list it extends");
    else
      view.meaning = Meaning::record;
    return view;
  }
  switch (row->role) {
    case Role::mapping:
    case Role::mapping_from_second:
    case Role::attributes: view.meaning = Meaning::mapping; break;
    case Role::sequence:
    case Role::arguments: view.meaning = Meaning::sequence; break;
    case Role::first_argument: return stands_for(initial(object, row));
    case Role::state_field: return stands_for(state_field(object, row->detail));
    case Role::encoded:
    case Role::path:
    case Role::device:
    case Role::array_scalar:
    case Role::array_type: view.meaning = Meaning::scalar; break;
    case Role::tensor:
    case Role::tensor_from_type:
    case Role::cast_tensor:
    case Role::unreadable_tensor:
    case Role::array: view.meaning = Meaning::tensor; break;
    case Role::class_first:
    case Role::inert: view.meaning = Meaning::record; break;
  }
  return view;
}

// --- contents ---

// The entries of a dict, or of a list of pairs.
void PickleMeanings::append_entries(PickleRef ref, std::vector<PickleEntry>& out) const {
  if (ref == kNoValue) return;
  if (graph_.is(ref, PickleKind::dict)) {
    const auto& pairs = graph_.items(ref);
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) out.push_back({pairs[i], pairs[i + 1]});
  } else if (graph_.is(ref, PickleKind::list) || graph_.is(ref, PickleKind::tuple)) {
    for (const PickleRef item : graph_.items(ref)) {
      const bool pair =
          (graph_.is(item, PickleKind::list) || graph_.is(item, PickleKind::tuple)) && graph_.items(item).size() == 2;
      if (pair) out.push_back({graph_.items(item)[0], graph_.items(item)[1]});
    }
  }
}

std::vector<PickleEntry> PickleMeanings::entries(const PickleView& mapping) const {
  std::vector<PickleEntry> out;
  if (!graph_.is(mapping.ref, PickleKind::object)) {
    append_entries(mapping.ref, out);
    return out;
  }
  const PickleObject& object = graph_.object(mapping.ref);
  if (mapping.row != nullptr && mapping.row->role == Role::attributes) {
    for (const PickleRef state : object.states) {
      if (graph_.is(state, PickleKind::dict))
        append_entries(state, out);
      else if (graph_.is(state, PickleKind::tuple) && graph_.items(state).size() == 2)  // (attributes, slots)
        for (const PickleRef part : graph_.items(state))
          if (graph_.is(part, PickleKind::dict)) append_entries(part, out);
    }
  } else {
    append_entries(initial(object, mapping.row), out);
  }
  for (size_t i = 0; i + 1 < object.pairs.size(); i += 2) out.push_back({object.pairs[i], object.pairs[i + 1]});
  return out;
}

std::vector<PickleRef> PickleMeanings::items(const PickleView& sequence) const {
  if (!graph_.is(sequence.ref, PickleKind::object)) return graph_.items(sequence.ref);
  const PickleObject& object = graph_.object(sequence.ref);
  if (sequence.row != nullptr && sequence.row->role == Role::arguments) return graph_.items(object.arguments);
  std::vector<PickleRef> out;
  const PickleRef first = initial(object, sequence.row);
  const bool container = first != kNoValue && graph_.kind(first) >= PickleKind::tuple &&
                         graph_.kind(first) <= PickleKind::frozenset && !graph_.is(first, PickleKind::dict);
  if (container) out = graph_.items(first);
  out.insert(out.end(), object.items.begin(), object.items.end());
  return out;
}

PickleMeanings::Module PickleMeanings::module(PickleRef ref) const {
  const PickleObject& object = graph_.object(ref);
  Module module;
  const auto named = [&](const PickleView& mapping) {
    auto out = mapping.meaning == Meaning::mapping ? named_entries(mapping) : std::vector<NamedEntry>{};
    module.cost += out.size();
    return out;
  };
  const auto part = [&](std::string_view name) {
    const PickleRef found = state_field(object, name);
    return found == kNoValue ? std::vector<NamedEntry>{} : named(view(found));
  };
  std::unordered_set<std::string> not_saved;
  if (const PickleRef set = state_field(object, "_non_persistent_buffers_set"); set != kNoValue)
    if (const PickleView names = view(set); names.meaning == Meaning::sequence)
      for (const PickleRef name : items(names)) not_saved.insert(key_text(name));
  module.cost += not_saved.size();
  const auto add = [&](std::vector<NamedEntry>& to, NamedEntry& entry) {
    if (!graph_.is(entry.value, PickleKind::none)) to.push_back(std::move(entry));
  };
  for (NamedEntry& entry : part("_parameters")) add(module.tensors, entry);
  for (NamedEntry& entry : part("_buffers"))
    add(not_saved.contains(entry.key) ? module.unsaved : module.tensors, entry);
  for (NamedEntry& entry : part("_modules")) add(module.modules, entry);
  for (const PickleRef state : object.states)
    for (NamedEntry& entry : named(view(state))) {
      if (entry.key == "_parameters" || entry.key == "_buffers" || entry.key == "_modules") continue;
      if (!entry.key.starts_with('_')) module.attributes.push_back(entry);
      add(module.unsaved, entry);
    }
  return module;
}

}  // namespace remap::formats
