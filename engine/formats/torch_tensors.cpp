#include "formats/torch_tensors.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/checked.h"
#include "formats/pickle_scalars.h"

namespace remap::formats {
namespace {

// A view may name each byte many times (expand). Beyond this many bytes it is taken for an attempt to fill the disk.
constexpr int64_t kMaxExpandedBytes = int64_t{64} << 20;

std::vector<int64_t> contiguous_strides(const Shape& shape, bool column_major) {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t step = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t d = column_major ? i : shape.size() - 1 - i;
    strides[d] = step;
    step *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

}  // namespace

void TensorDecoder::fail(const char* id, const std::string& message) const {
  throw Error(id, BytePlace{contents_.origin.file, contents_.origin.member, offset_}, message);
}

int64_t TensorDecoder::read_count(PickleRef ref, std::string_view what) const {
  const auto value = meanings_.integer(ref);
  if (!value) fail("torch-bad-tensor", fmt::format("a tensor's {} is not an integer", what));
  if (*value < 0) fail("torch-bad-tensor", fmt::format("a tensor's {} is {}", what, *value));
  return *value;
}

Shape TensorDecoder::read_shape(PickleRef ref, std::string_view what) const {
  if (ref == kNoValue) fail("torch-bad-tensor", fmt::format("a tensor has no {}", what));
  const PickleView view = meanings_.view(ref);
  if (view.meaning != Meaning::sequence)
    fail("torch-bad-tensor", fmt::format("a tensor's {} is {}", what, describe(meanings_.graph().kind(ref))));
  const auto items = meanings_.items(view);
  if (items.size() > static_cast<size_t>(limits_.max_rank))
    fail("limit-exceeded", fmt::format("a tensor has {} dimensions, more than max_rank ({})", items.size(), limits_.max_rank));
  Shape shape;
  for (const PickleRef item : items) shape.push_back(read_count(item, what));
  return shape;
}

// Counts the elements; refuses what cannot be counted.
int64_t TensorDecoder::check_shape(const TensorSpec& spec) const {
  return element_count(spec.shape, to_string(BytePlace{contents_.origin.file, contents_.origin.member, offset_}) + ": a tensor");
}

// Index of the furthest element in the storage; the tensor has elements.
uint64_t TensorDecoder::last_element(const TensorSpec& spec, uint64_t offset) const {
  uint64_t last = offset;
  for (size_t d = 0; d < spec.shape.size(); ++d) {
    const auto reach = checked_mul<uint64_t>(static_cast<uint64_t>(spec.shape[d]) - 1, static_cast<uint64_t>(spec.strides[d]));
    const auto sum = reach ? checked_add(last, *reach) : std::nullopt;
    if (!sum)
      fail("torch-bad-tensor", fmt::format("a tensor of shape {} and strides {} reaches further than can be counted", to_string(spec.shape),
                                           to_string(spec.strides)));
    last = *sum;
  }
  return last;
}

TensorDecoder::Part TensorDecoder::find_part(const StorageId& id) const {
  const auto it = contents_.storage_by_key.find(id.key);
  if (it == contents_.storage_by_key.end()) fail("torch-bad-storage", fmt::format("storage '{}' is not in the file", id.key));
  const uint64_t element_bytes = static_cast<uint64_t>(id.type->element_bytes), size_bytes = contents_.storages[it->second].size_bytes;
  const auto claimed = checked_mul(id.elements, element_bytes);
  if (!claimed || *claimed > size_bytes)
    fail("torch-bad-storage", fmt::format("storage '{}' should have {} elements of {} bytes, the file has {} bytes of it", id.key,
                                          id.elements, element_bytes, size_bytes));
  return {it->second, id.first_element * element_bytes, id.part_elements * element_bytes};  // parts are inside the whole
}

// Views whose sign or conjugate torch applies when it reads them: their bytes are not their values.
bool TensorDecoder::is_lazy(PickleRef metadata) const {
  const auto set = [&](std::string_view name) {
    const PickleRef value = meanings_.field(metadata, name);
    return meanings_.graph().is(value, PickleKind::boolean) && meanings_.graph()[value].integer != 0;
  };
  return set("conj") || set("neg");
}

DecodedTensor TensorDecoder::decode(const PickleView& tensor) {
  const PickleGraph& graph = meanings_.graph();
  const PickleObject& object = graph.object(tensor.ref);
  offset_ = object.offset;
  switch (tensor.row->role) {
    case Role::tensor: return decode_torch(*tensor.row, graph.items(object.arguments));
    case Role::tensor_from_type: return decode_from_type(object);
    case Role::array: return decode_array(object, *tensor.row);
    default: return UnreadableTensor{std::string(tensor.row->detail)};
  }
}

// (function, type, arguments, state): a subclass, which may be nested.
DecodedTensor TensorDecoder::decode_from_type(const PickleObject& object) {
  const PickleGraph& graph = meanings_.graph();
  const std::vector<PickleRef>* arguments = &graph.items(object.arguments);
  for (int depth = 0; depth < 8; ++depth) {
    if (arguments->size() < 3 || !graph.is((*arguments)[2], PickleKind::tuple))
      fail("torch-bad-tensor", "a tensor of a subclass lacks its function, type or arguments");
    const KnownRow* row = meanings_.row_of_callable((*arguments)[0]);
    arguments = &graph.items((*arguments)[2]);
    if (row == nullptr) break;
    if (row->role == Role::tensor) return decode_torch(*row, *arguments);
    if (row->role == Role::first_argument && !arguments->empty())  // a parameter of a subclass
      if (const PickleView inner = meanings_.view(arguments->front()); inner.meaning == Meaning::tensor && inner.row->role == Role::tensor)
        return decode(inner);
    if (row->role != Role::tensor_from_type) break;
  }
  return UnreadableTensor{"a tensor of a subclass"};
}

// (storage, offset, shape, strides[, requires_grad, hooks[, metadata]]); v3 has the dtype after the hooks.
DecodedTensor TensorDecoder::decode_torch(const KnownRow& row, const std::vector<PickleRef>& arguments) {
  const PickleGraph& graph = meanings_.graph();
  const bool v3 = row.name.ends_with("_v3");
  if (arguments.size() < (v3 ? 7 : 4)) fail("torch-bad-tensor", fmt::format("{} has {} arguments", row.name, arguments.size()));
  if (const size_t metadata = v3 ? 7 : 6; arguments.size() > metadata && is_lazy(arguments[metadata]))
    return UnreadableTensor{"a conjugate or negative view"};
  const auto id = graph.is(arguments[0], PickleKind::persistent) ? read_storage_id(graph, arguments[0], contents_.origin) : std::nullopt;
  if (!id) fail("torch-bad-tensor", fmt::format("a tensor's storage is {}", describe(graph.kind(arguments[0]))));
  if (id->type->quantized) return UnreadableTensor{"a quantized tensor"};
  TensorSpec spec;
  if (v3) {
    const bool named = graph.is(arguments[6], PickleKind::global) && graph.global(arguments[6]).module == "torch";
    if (!named) fail("torch-bad-tensor", fmt::format("a tensor's dtype is {}", describe(graph.kind(arguments[6]))));
    const auto dtype = parse_dtype(graph.global(arguments[6]).name);
    if (!dtype) return UnreadableTensor{fmt::format("a tensor of torch.{}", graph.global(arguments[6]).name.substr(0, 40))};
    spec.dtype = *dtype;
  } else if (id->type->dtype) {
    spec.dtype = *id->type->dtype;
  } else {
    fail("torch-bad-tensor", fmt::format("a tensor over {} does not say its dtype", id->type->name));
  }
  const uint64_t offset = static_cast<uint64_t>(read_count(arguments[1], "storage offset"));
  spec.shape = read_shape(arguments[2], "shape");
  spec.strides = read_shape(arguments[3], "strides");
  if (spec.shape.size() != spec.strides.size())
    fail("torch-bad-tensor", fmt::format("a tensor has the shape {} and the strides {}", to_string(spec.shape), to_string(spec.strides)));
  const int64_t elements = check_shape(spec);
  const Part part = find_part(*id);
  spec.storage = part.storage;
  spec.offset_bytes = part.offset_bytes;
  if (elements == 0) return spec;
  const uint64_t element_bytes = static_cast<uint64_t>(size_bytes(spec.dtype)), available = part.size_bytes / element_bytes,
                 last = last_element(spec, offset);
  if (last >= available)
    fail("torch-bad-tensor", fmt::format("a tensor of shape {}, strides {} and offset {} needs {} elements; its storage '{}' has {}",
                                         to_string(spec.shape), to_string(spec.strides), offset, last + 1, id->key, available));
  if (static_cast<uint64_t>(elements) > available && elements > kMaxExpandedBytes / size_bytes(spec.dtype))
    fail("limit-exceeded", fmt::format("a tensor of shape {} is an expanded view of {} elements; such views may have {} bytes",
                                       to_string(spec.shape), available, kMaxExpandedBytes));
  spec.offset_bytes += offset * element_bytes;
  return spec;
}

std::optional<std::string_view> TensorDecoder::array_bytes(PickleRef ref) {
  const auto [it, fresh] = array_bytes_.try_emplace(ref);
  if (!fresh) return it->second;
  std::string owned;
  it->second = read_bytes(meanings_, ref, owned);
  if (it->second && it->second->data() == owned.data()) it->second = contents_.decoded.emplace_back(std::move(owned));
  return it->second;
}

// _reconstruct(type, (0,), b'b') with the state ([version,] shape, dtype, column-major, bytes), or _frombuffer(bytes, dtype, shape, order).
DecodedTensor TensorDecoder::decode_array(const PickleObject& object, const KnownRow& row) {
  const PickleGraph& graph = meanings_.graph();
  std::vector<PickleRef> parts;  // shape, dtype, order, bytes
  if (row.name.ends_with("_frombuffer")) {
    const auto& a = graph.items(object.arguments);
    if (a.size() == 4) parts = {a[2], a[1], a[3], a[0]};
  } else if (!object.states.empty() && graph.is(object.states.back(), PickleKind::tuple)) {
    const auto& state = graph.items(object.states.back());
    if (state.size() >= 4) parts.assign(state.end() - 4, state.end());
  }
  if (parts.size() != 4) return UnreadableTensor{"a numpy array without its state"};
  const auto type = read_array_type(meanings_, parts[1]);
  if (!type || !type->dtype)
    return UnreadableTensor{fmt::format("a numpy array of {}", type ? "'" + type->name.substr(0, 40) + "'" : "an unknown type")};
  if (type->big_endian && size_bytes(*type->dtype) > 1) return UnreadableTensor{"a big-endian numpy array"};
  const auto bytes = array_bytes(parts[3]);
  if (!bytes) return UnreadableTensor{"a numpy array whose bytes are not in the pickle"};
  TensorSpec spec;
  spec.dtype = *type->dtype;
  spec.shape = read_shape(parts[0], "shape");
  spec.array = true;
  const bool column_major = (graph.is(parts[2], PickleKind::boolean) && graph[parts[2]].integer != 0) || meanings_.text(parts[2]) == "F";
  const int64_t elements = check_shape(spec);
  if (bytes->size() != static_cast<uint64_t>(elements) * static_cast<uint64_t>(size_bytes(spec.dtype)))
    fail("torch-bad-tensor",
         fmt::format("a numpy array of shape {} and type {} has {} bytes", to_string(spec.shape), long_name(spec.dtype), bytes->size()));
  if (elements > 0) spec.strides = contiguous_strides(spec.shape, column_major);
  else spec.strides.assign(spec.shape.size(), 1);
  const auto* data = reinterpret_cast<const std::byte*>(bytes->data());
  spec.storage = static_cast<uint32_t>(contents_.storages.size());
  contents_.storages.push_back({.size_bytes = bytes->size(), .file_offset = {}, .packed = nullptr, .memory = data});
  return spec;
}

}  // namespace remap::formats
