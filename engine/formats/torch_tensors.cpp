#include "formats/torch_tensors.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/float_bits.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"
#include "formats/torch_sharded.h"
#include "tensor/box.h"
#include "tensor/byte_order.h"
#include "tensor/sign.h"

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

bool is_permutation(Shape axes, size_t rank) {
  std::sort(axes.begin(), axes.end());
  bool is = axes.size() == rank;
  for (size_t i = 0; is && i < rank; ++i) is = axes[i] == static_cast<int64_t>(i);
  return is;
}

}  // namespace

TileView stored_view(const TorchContents& contents, const TensorSpec& spec) {
  const TorchStorage& storage = contents.storages[spec.storage];
  if (!storage.file_offset)
    return {.data = storage.memory + spec.offset_bytes, .strides = spec.strides, .fd = -1, .offset_bytes = 0};
  const uint64_t offset = *storage.file_offset + spec.offset_bytes;
  return {contents.file.data() + offset, spec.strides, contents.file.fd(), offset, &contents.file.path()};
}

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
    fail("limit-exceeded",
         fmt::format("a tensor has {} dimensions, more than max_rank ({})", items.size(), limits_.max_rank));
  Shape shape;
  for (const PickleRef item : items) shape.push_back(read_count(item, what));
  return shape;
}

// Counts the elements; refuses what cannot be counted.
int64_t TensorDecoder::check_shape(const TensorSpec& spec) const {
  return element_count(spec.shape,
                       to_string(BytePlace{contents_.origin.file, contents_.origin.member, offset_}) + ": a tensor");
}

// Index of the furthest element in the storage; the tensor has elements.
uint64_t TensorDecoder::last_element(const Shape& shape, const std::vector<int64_t>& strides, uint64_t offset) const {
  uint64_t last = offset;
  for (size_t d = 0; d < shape.size(); ++d) {
    const auto reach = checked_mul<uint64_t>(static_cast<uint64_t>(shape[d]) - 1, static_cast<uint64_t>(strides[d]));
    const auto sum = reach ? checked_add(last, *reach) : std::nullopt;
    if (!sum)
      fail("torch-bad-tensor", fmt::format("a tensor of shape {} and strides {} reaches further than can be counted",
                                           to_string(shape), to_string(strides)));
    last = *sum;
  }
  return last;
}

TensorDecoder::Part TensorDecoder::find_part(const StorageId& id) const {
  const auto it = contents_.storage_by_key.find(id.key);
  if (it == contents_.storage_by_key.end())
    fail("torch-bad-storage", fmt::format("storage '{}' is not in the file", id.key));
  const uint64_t element_bytes = static_cast<uint64_t>(id.type->element_bytes),
                 size_bytes = contents_.storages[it->second].size_bytes;
  const auto claimed = checked_mul(id.elements, element_bytes);
  if (!claimed || *claimed > size_bytes)
    fail("torch-bad-storage",
         fmt::format("storage '{}' should have {} elements of {} bytes, the file has {} bytes of it", id.key,
                     id.elements, element_bytes, size_bytes));
  return {it->second, id.first_element * element_bytes,
          id.part_elements * element_bytes};  // parts are inside the whole
}

// "conj" and "neg" mark views whose sign torch changes when it reads them: their bytes are not their values. That the
// name is there is enough, whatever its value: torch does not look at it.
bool TensorDecoder::is_set(PickleRef metadata, std::string_view name) const {
  return meanings_.field(metadata, name) != kNoValue;
}

// --- what can be said of a tensor that is not read: nothing here fails ---

std::optional<Shape> TensorDecoder::known_shape(PickleRef ref) const {
  if (ref == kNoValue) return std::nullopt;
  const PickleView view = meanings_.view(ref);
  if (view.meaning != Meaning::sequence) return std::nullopt;
  const auto items = meanings_.items(view);
  if (items.size() > static_cast<size_t>(limits_.max_rank)) return std::nullopt;
  Shape shape;
  for (const PickleRef item : items) {
    const auto dim = meanings_.integer(item);
    if (!dim || *dim < 0) return std::nullopt;
    shape.push_back(*dim);
  }
  try {
    element_count(shape);
  } catch (const Error&) {
    return std::nullopt;
  }
  return shape;
}

std::string TensorDecoder::known_dtype(PickleRef ref) const {
  const PickleGraph& graph = meanings_.graph();
  if (!graph.is(ref, PickleKind::global) || graph.global(ref).module != "torch") return {};
  return one_word(graph.global(ref).name);
}

// The dtype of one of the tensors that a tensor is made of.
std::string TensorDecoder::dtype_of_parts(const std::vector<PickleRef>& parts, size_t i) const {
  const PickleGraph& graph = meanings_.graph();
  const PickleView part = i < parts.size() ? meanings_.view(parts[i]) : PickleView{};
  if (part.meaning != Meaning::tensor || part.row->role != Role::tensor) return {};
  const auto& arguments = graph.items(graph.object(part.ref).arguments);
  if (part.row->name.ends_with("_v3")) return arguments.size() > 6 ? known_dtype(arguments[6]) : "";
  if (arguments.empty() || !graph.is(arguments[0], PickleKind::persistent)) return {};
  const auto& id = graph.persistent_id(arguments[0]);
  if (!graph.is(id, PickleKind::tuple) || graph.items(id).size() < 2 ||
      !graph.is(graph.items(id)[1], PickleKind::global))
    return {};
  const StorageType* type = find_storage_type(graph.global(graph.items(id)[1]));
  return type != nullptr && type->dtype ? std::string(long_name(*type->dtype)) : "";
}

UnreadableTensor TensorDecoder::unreadable(const KnownRow& row, const std::vector<PickleRef>& arguments,
                                           std::string why) const {
  const auto argument = [&](int i) {
    return i >= 0 && static_cast<size_t>(i) < arguments.size() ? arguments[static_cast<size_t>(i)] : kNoValue;
  };
  UnreadableTensor out{std::move(why), known_dtype(argument(row.dtype_at)), known_shape(argument(row.shape_at))};
  const PickleGraph& graph = meanings_.graph();
  if (row.name.ends_with("_rebuild_qtensor")) {
    const auto id = graph.is(argument(0), PickleKind::persistent)
                        ? read_storage_id(graph, argument(0), contents_.origin)
                        : std::nullopt;
    if (id) out.dtype = id->type->quantized;
    const PickleRef parameters = argument(4);
    if (graph.is(parameters, PickleKind::tuple) && !graph.items(parameters).empty() &&
        known_dtype(graph.items(parameters)[0]).starts_with("per_channel"))
      out.why += " (per channel)";
  } else if (row.name.find("_rebuild_sparse") != row.name.npos) {
    return sparse(arguments);
  } else if (row.name.ends_with("_rebuild_nested_tensor")) {
    out.dtype = dtype_of_parts(arguments, 0);
  }
  return out;
}

// (layout, (indices, values, size[, coalesced])), or (layout, (compressed indices, plain indices, values, size)).
UnreadableTensor TensorDecoder::sparse(const std::vector<PickleRef>& arguments) const {
  UnreadableTensor out{"a sparse tensor"};
  if (arguments.size() < 2) return out;
  const PickleGraph& graph = meanings_.graph();
  const PickleRef layout = meanings_.view(arguments[0]).ref;
  const std::string_view name =
      graph.is(layout, PickleKind::global) ? graph.global(layout).name : meanings_.text(layout);
  const size_t at = name.rfind("sparse_");
  if (at == name.npos || !graph.is(arguments[1], PickleKind::tuple)) return out;
  const std::string_view kind = name.substr(at + 7);
  std::string upper;
  for (const char c : one_word(kind)) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  out.why += fmt::format(" ({})", upper);
  const auto& parts = graph.items(arguments[1]);
  const size_t values = kind == "coo" ? 1 : 2;
  out.dtype = dtype_of_parts(parts, values);
  if (parts.size() > values + 1) out.shape = known_shape(parts[values + 1]);
  return out;
}

DecodedTensor TensorDecoder::decode(const PickleView& tensor, int depth) {
  const PickleGraph& graph = meanings_.graph();
  if (graph.is(tensor.ref, PickleKind::persistent)) {
    const auto id = read_storage_id(graph, tensor.ref, contents_.origin);
    UnreadableTensor out{"a storage that stands alone, without a tensor"};
    if (!id) return out;
    if (id->type->dtype)
      out.dtype = long_name(*id->type->dtype);
    else
      out.dtype = id->type->quantized;
    if (id->part_elements <= INT64_MAX / 16) out.shape = Shape{static_cast<int64_t>(id->part_elements)};
    return out;
  }
  const PickleObject& object = graph.object(tensor.ref);
  offset_ = object.offset;
  switch (tensor.row->role) {
    case Role::tensor: return decode_torch(*tensor.row, graph.items(object.arguments));
    case Role::tensor_from_type: return decode_from_type(object, depth);
    case Role::cast_tensor: return decode_cast(graph.items(object.arguments), depth);
    case Role::array: return decode_array(object, *tensor.row);
    case Role::array_scalar: return decode_scalar(object);
    default: return unreadable(*tensor.row, graph.items(object.arguments), std::string(tensor.row->detail));
  }
}

// (function, type, arguments, state): a subclass, which may be nested.
DecodedTensor TensorDecoder::decode_from_type(const PickleObject& object, int depth) {
  const PickleGraph& graph = meanings_.graph();
  const std::vector<PickleRef>* arguments = &graph.items(object.arguments);
  std::string type = "a subclass";
  for (int level = 0; level < 8; ++level) {
    if (arguments->size() < 3 || !graph.is((*arguments)[2], PickleKind::tuple))
      fail("torch-bad-tensor", "a tensor of a subclass lacks its function, type or arguments");
    const KnownRow* row = meanings_.row_of_callable((*arguments)[0]);
    if (graph.is((*arguments)[1], PickleKind::global)) type = one_word(meanings_.global_name((*arguments)[1]));
    const PickleRef made_of = (*arguments)[2], state = arguments->size() > 3 ? (*arguments)[3] : kNoValue;
    arguments = &graph.items(made_of);
    if (row == nullptr) break;
    if (row->role == Role::tensor) return decode_torch(*row, *arguments);
    if (row->role == Role::cast_tensor) return decode_cast(*arguments, depth);
    if (row->role == Role::first_argument && !arguments->empty())  // a parameter of a subclass
      if (const PickleView inner = meanings_.view(arguments->front());
          inner.meaning == Meaning::tensor && inner.row->role != Role::tensor_from_type)
        return decode(inner, depth + 1);
    if (row->role == Role::unreadable_tensor) {
      const bool wrapper = row->name.ends_with("_rebuild_wrapper_subclass");
      UnreadableTensor out = unreadable(
          *row, *arguments, wrapper ? fmt::format("a {}, which wraps other tensors", type) : std::string(row->detail));
      if (wrapper) out.part = read_sharded(*this, meanings_, contents_, type, made_of, state);
      return out;
    }
    if (row->role != Role::tensor_from_type) break;
  }
  return UnreadableTensor{fmt::format("a {}, a kind of tensor that is not known", type)};
}

// (data, dtype, device, requires_grad), of a device without storages: what torch makes of data.to(dtype).
DecodedTensor TensorDecoder::decode_cast(const std::vector<PickleRef>& arguments, int depth) {
  static constexpr int kDeepest = 8;
  const PickleView data = arguments.empty() ? PickleView{} : meanings_.view(arguments[0]);
  if (data.meaning != Meaning::tensor || depth >= kDeepest)
    return UnreadableTensor{"a tensor of another device, in a form that is not known"};
  auto known = cast_from_.find(data.ref);
  if (known == cast_from_.end()) known = cast_from_.emplace(data.ref, decode(data, depth + 1)).first;
  const DecodedTensor from = known->second;
  const auto* spec = std::get_if<TensorSpec>(&from);
  if (spec == nullptr) return from;
  const std::string name = arguments.size() > 1 ? known_dtype(arguments[1]) : "";
  const auto dtype = parse_dtype(name);
  if (dtype == spec->dtype) return from;
  if (dtype != DType::bf16 || spec->dtype != DType::f32 || !spec->array)
    return UnreadableTensor{fmt::format("kept as {}, which torch casts to {} when it reads it", long_name(spec->dtype),
                                        name.empty() ? "a type that is not known" : name),
                            name, spec->shape};
  const auto cast = cast_.find(data.ref);
  return cast != cast_.end() ? cast->second : cast_.emplace(data.ref, rounded(*spec)).first->second;
}

// An array of F32 as BF16, which numpy does not have: XLA's tensors were saved so.
DecodedTensor TensorDecoder::rounded(const TensorSpec& spec) {
  const TorchStorage& from = contents_.storages[spec.storage];
  std::string bytes(from.size_bytes / 2, '\0');
  for (size_t i = 0; i < from.size_bytes / 4; ++i) {
    uint32_t number = 0;
    std::memcpy(&number, from.memory + 4 * i, sizeof number);
    const uint16_t half = bf16_of_f32(number);
    std::memcpy(bytes.data() + 2 * i, &half, sizeof half);
  }
  TensorSpec out = spec;
  out.dtype = DType::bf16;
  keep_bytes(out, kNoValue, contents_.decoded.emplace_back(std::move(bytes)), false);
  return out;
}

// (storage, offset, shape, strides[, requires_grad, hooks[, metadata]]); v3 has the dtype after the hooks.
DecodedTensor TensorDecoder::decode_torch(const KnownRow& row, const std::vector<PickleRef>& arguments) {
  const PickleGraph& graph = meanings_.graph();
  const bool v3 = row.name.ends_with("_v3");
  if (arguments.size() < (v3 ? 7 : 4))
    fail("torch-bad-tensor", fmt::format("{} has {} arguments", row.name, arguments.size()));
  const auto id = graph.is(arguments[0], PickleKind::persistent)
                      ? read_storage_id(graph, arguments[0], contents_.origin)
                      : std::nullopt;
  if (!id) fail("torch-bad-tensor", fmt::format("a tensor's storage is {}", describe(graph.kind(arguments[0]))));
  if (!id->type->quantized.empty())
    return UnreadableTensor{"a quantized tensor", std::string(id->type->quantized), known_shape(arguments[2])};
  TensorSpec spec;
  if (v3) {
    const bool named = graph.is(arguments[6], PickleKind::global) && graph.global(arguments[6]).module == "torch";
    if (!named) fail("torch-bad-tensor", fmt::format("a tensor's dtype is {}", describe(graph.kind(arguments[6]))));
    const auto dtype = parse_dtype(graph.global(arguments[6]).name);
    if (!dtype) {
      const std::string type = one_word(graph.global(arguments[6]).name);
      return UnreadableTensor{fmt::format("of the type torch.{}, for which safetensors has no name", type), type,
                              known_shape(arguments[2])};
    }
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
    fail("torch-bad-tensor",
         fmt::format("a tensor has the shape {} and the strides {}", to_string(spec.shape), to_string(spec.strides)));
  // What torch counts in pairs is stored so; here each of the two is an element, along the last dimension.
  const bool pairs = spec.dtype == DType::f4;
  if (pairs && spec.shape.empty())
    return UnreadableTensor{"two numbers in one byte, without a dimension that could hold two", "float4_e2m1fn_x2",
                            Shape{}};
  const int64_t elements = check_shape(spec);
  if (pairs) {
    const auto doubled = checked_mul<int64_t>(spec.shape.back(), 2);
    if (!doubled) fail("torch-bad-tensor", fmt::format("a tensor of float4 has the shape {}", to_string(spec.shape)));
    spec.shape.back() = *doubled;
    check_shape(spec);
  }
  if (const size_t metadata = v3 ? 7 : 6; arguments.size() > metadata) {
    const bool complex = spec.dtype == DType::c64 || spec.dtype == DType::c128;
    spec.conjugate = complex && is_set(arguments[metadata], "conj");
    spec.negative = is_set(arguments[metadata], "neg");
    if (spec.negative && !can_negate(spec.dtype))
      return UnreadableTensor{"a negative view of a type that has no negative numbers",
                              std::string(long_name(spec.dtype)), spec.shape};
  }
  const Part part = find_part(*id);
  spec.storage = part.storage;
  spec.offset_bytes = part.offset_bytes;
  if (elements == 0) {
    spec.strides = row_major_strides(stored_form(spec.dtype, spec.shape).shape);
    return spec;
  }
  const Shape units = stored_form(spec.dtype, spec.shape).shape;
  const uint64_t element_bytes = static_cast<uint64_t>(size_bytes(spec.dtype)),
                 available = part.size_bytes / element_bytes, last = last_element(units, spec.strides, offset);
  if (last >= available)
    fail("torch-bad-tensor",
         fmt::format("a tensor of shape {}, strides {} and offset {} needs {} elements; its storage '{}' has {}",
                     to_string(spec.shape), to_string(spec.strides), offset, last + 1, id->key, available));
  if (static_cast<uint64_t>(elements) > available && elements > kMaxExpandedBytes / size_bytes(spec.dtype))
    fail("limit-exceeded",
         fmt::format("a tensor of shape {} is an expanded view of {} elements; such views may have {} bytes",
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

std::string_view TensorDecoder::swapped(PickleRef ref, std::string_view bytes, int width) {
  const auto [it, fresh] = swapped_.try_emplace({ref, width});
  if (!fresh) return it->second;
  std::string turned(bytes);
  for (size_t at = 0; at + static_cast<size_t>(width) <= turned.size(); at += static_cast<size_t>(width))
    std::reverse(turned.begin() + static_cast<std::ptrdiff_t>(at),
                 turned.begin() + static_cast<std::ptrdiff_t>(at) + width);
  return it->second = contents_.decoded.emplace_back(std::move(turned));
}

// _reconstruct(type, (0,), b'b') with the state ([version,] shape, dtype, column-major, bytes), or _frombuffer(bytes,
// dtype, shape, order[, axes]): order 'K' and axes are those of a transposed array, `shape` that of what it views.
DecodedTensor TensorDecoder::decode_array(const PickleObject& object, const KnownRow& row) {
  const PickleGraph& graph = meanings_.graph();
  std::vector<PickleRef> parts;  // shape, dtype, order, bytes
  if (row.name.ends_with("_frombuffer")) {
    const auto& a = graph.items(object.arguments);
    if (a.size() == 4 || a.size() == 5) parts = {a[2], a[1], a[3], a[0]};
  } else if (!object.states.empty() && graph.is(object.states.back(), PickleKind::tuple)) {
    const auto& state = graph.items(object.states.back());
    if (state.size() >= 4) parts.assign(state.end() - 4, state.end());
  }
  if (parts.size() != 4) return UnreadableTensor{"a numpy array without its state"};
  std::optional<Shape> axes;
  if (meanings_.text(parts[2]) == "K") {
    const auto& a = graph.items(object.arguments);
    axes = known_shape(a.size() == 5 && row.name.ends_with("_frombuffer") ? a[4] : kNoValue);
    const auto shape = known_shape(parts[0]);
    if (!axes || !shape || !is_permutation(*axes, shape->size()))
      return UnreadableTensor{"a numpy array whose axes are in an order that is not known"};
  }
  const auto transposed = [&](const Shape& list) {
    Shape out;
    for (size_t i = 0; axes && i < list.size(); ++i) out.push_back(list[static_cast<size_t>((*axes)[i])]);
    return axes ? out : list;
  };
  const auto kind = [&](std::string why, const std::string& dtype) {
    auto shape = known_shape(parts[0]);
    if (shape) shape = transposed(*shape);
    return UnreadableTensor{std::move(why), one_word(dtype), std::move(shape)};
  };
  const auto type = read_array_type(meanings_, parts[1]);
  if (!type || !type->dtype)
    return kind(fmt::format("a numpy array of {}", type ? "'" + one_word(type->name) + "'" : "an unknown type"),
                type ? type->name : "");
  auto bytes = array_bytes(parts[3]);
  if (!bytes) return kind("a numpy array whose bytes are not in the pickle", std::string(long_name(*type->dtype)));
  TensorSpec spec;
  spec.dtype = *type->dtype;
  spec.shape = read_shape(parts[0], "shape");
  spec.array = true;
  const bool column_major =
      (graph.is(parts[2], PickleKind::boolean) && graph[parts[2]].integer != 0) || meanings_.text(parts[2]) == "F";
  const int64_t elements = check_shape(spec);
  if (bytes->size() != static_cast<uint64_t>(elements) * static_cast<uint64_t>(size_bytes(spec.dtype)))
    fail("torch-bad-tensor", fmt::format("a numpy array of shape {} and type {} has {} bytes", to_string(spec.shape),
                                         long_name(spec.dtype), bytes->size()));
  if (elements > 0)
    spec.strides = contiguous_strides(spec.shape, column_major);
  else
    spec.strides.assign(spec.shape.size(), 1);
  spec.shape = transposed(spec.shape);
  spec.strides = transposed(spec.strides);
  keep_bytes(spec, parts[3], *bytes, type->big_endian);
  return spec;
}

// scalar(dtype, bytes): an array without dimensions.
DecodedTensor TensorDecoder::decode_scalar(const PickleObject& object) {
  const PickleGraph& graph = meanings_.graph();
  const PickleRef type_ref = graph.argument(object, 0), bytes_ref = graph.argument(object, 1);
  const auto type = type_ref == kNoValue ? std::nullopt : read_array_type(meanings_, type_ref);
  const auto bytes = bytes_ref == kNoValue ? std::nullopt : array_bytes(bytes_ref);
  if (!type || !type->dtype || !bytes || bytes->size() != static_cast<size_t>(size_bytes(*type->dtype)))
    return UnreadableTensor{"a numpy scalar of an unknown type or size", type ? one_word(type->name) : "", Shape{}};
  TensorSpec spec;
  spec.dtype = *type->dtype;
  spec.array = true;
  keep_bytes(spec, bytes_ref, *bytes, type->big_endian);
  return spec;
}

// A storage of the array's own.
void TensorDecoder::keep_bytes(TensorSpec& spec, PickleRef ref, std::string_view bytes, bool big_endian) {
  const int width = number_bytes(spec.dtype);
  if (big_endian && width > 1) bytes = swapped(ref, bytes, width);
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  spec.storage = static_cast<uint32_t>(contents_.storages.size());
  contents_.storages.push_back({.size_bytes = bytes.size(), .file_offset = {}, .packed = nullptr, .memory = data});
}

}  // namespace remap::formats
