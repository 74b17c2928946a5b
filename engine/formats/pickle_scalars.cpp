#include "formats/pickle_scalars.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/float_bits.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

double half_to_double(uint16_t bits) { return std::bit_cast<float>(f32_of_f16(bits)); }

template <typename T>
T element(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

Json bytes_json(std::string_view bytes) {
  static constexpr size_t kShown = 256;
  Json out = Json::object();
  out["$bytes"] = bytes.size();
  if (bytes.size() <= kShown) {
    std::string hex;
    for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
    out["hex"] = hex;
  }
  return out;
}

std::string joined_arguments(const PickleMeanings& meanings, const PickleObject& object, char separator) {
  std::string out;
  for (const PickleRef argument : meanings.graph().items(object.arguments)) {
    if (out.size() > PickleMeanings::kMaxName) break;
    const PickleKind kind = meanings.graph().kind(argument);
    if (kind != PickleKind::text && kind != PickleKind::integer) continue;
    if (!out.empty() && out.back() != separator) out += separator;
    out += meanings.key_text(argument);
  }
  return json_text(out);
}

Json global_json(const PickleMeanings& meanings, PickleRef ref) {
  const PickleGlobal& global = meanings.graph().global(ref);
  if (global.module == "torch")
    if (const auto dtype = parse_dtype(global.name)) return std::string(long_name(*dtype));
  return Json::object({{"$global", json_text(meanings.global_name(ref))}});
}

Json big_integer_json(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc{} && end == digits.data() + digits.size()) return value;
  return std::string(digits);
}

Json array_scalar_json(const PickleMeanings& meanings, const PickleObject& object) {
  const PickleGraph& graph = meanings.graph();
  const auto type =
      graph.argument(object, 0) == kNoValue ? std::nullopt : read_array_type(meanings, graph.argument(object, 0));
  std::string owned;
  const auto bytes =
      graph.argument(object, 1) == kNoValue ? std::nullopt : read_bytes(meanings, graph.argument(object, 1), owned);
  if (!type || !type->dtype || type->big_endian || !bytes ||
      bytes->size() != static_cast<size_t>(size_bytes(*type->dtype)))
    return Json::object({{"$object", "numpy.scalar"}});
  return element_json(*type->dtype, reinterpret_cast<const std::byte*>(bytes->data()));
}

Json object_json(const PickleMeanings& meanings, const PickleView& view) {
  const PickleObject& object = meanings.graph().object(view.ref);
  switch (view.row->role) {
    case Role::path: return joined_arguments(meanings, object, '/');
    case Role::device: return joined_arguments(meanings, object, ':');
    case Role::array_scalar: return array_scalar_json(meanings, object);
    case Role::array_type: {
      const auto type = read_array_type(meanings, view.ref);
      return type && type->dtype ? Json(std::string(long_name(*type->dtype)))
                                 : Json::object({{"$object", "numpy.dtype"}});
    }
    default: break;
  }
  std::string owned;
  if (const auto bytes = read_bytes(meanings, view.ref, owned)) return bytes_json(*bytes);
  return Json::object({{"$object", json_text(meanings.class_name(view.ref))}});
}

}  // namespace

std::optional<DType> array_dtype(std::string_view code) {
  static constexpr std::array<std::pair<std::string_view, DType>, 16> kCodes = {{{"b1", DType::boolean},
                                                                                 {"?", DType::boolean},
                                                                                 {"i1", DType::i8},
                                                                                 {"u1", DType::u8},
                                                                                 {"i2", DType::i16},
                                                                                 {"u2", DType::u16},
                                                                                 {"i4", DType::i32},
                                                                                 {"u4", DType::u32},
                                                                                 {"i8", DType::i64},
                                                                                 {"u8", DType::u64},
                                                                                 {"f2", DType::f16},
                                                                                 {"f4", DType::f32},
                                                                                 {"f8", DType::f64},
                                                                                 {"c8", DType::c64},
                                                                                 {"c16", DType::c128},
                                                                                 {"b", DType::i8}}};
  for (const auto& [name, dtype] : kCodes)
    if (code == name) return dtype;
  return std::nullopt;
}

std::string json_text(std::string_view text) {
  return has_surrogates(text) ? replace_surrogates(text) : std::string(text);
}

std::optional<ArrayType> read_array_type(const PickleMeanings& meanings, PickleRef ref) {
  const PickleView view = meanings.view(ref);
  const PickleGraph& graph = meanings.graph();
  if (view.row == nullptr || view.row->role != Role::array_type) return std::nullopt;
  const PickleObject& object = graph.object(view.ref);
  const PickleRef first = graph.argument(object, 0);
  if (first == kNoValue) return std::nullopt;
  if (graph.is(first, PickleKind::global))
    return ArrayType{std::string(graph.global(first).name), {}};  // ml_dtypes.bfloat16
  std::string_view code = meanings.text(first);
  char order = '|';
  if (!code.empty() && std::string_view("<>=|").find(code.front()) != std::string_view::npos) {
    order = code.front();
    code.remove_prefix(1);
  }
  // dtype's state: (version, byte order, …)
  if (!object.states.empty() && graph.is(object.states.back(), PickleKind::tuple) &&
      graph.items(object.states.back()).size() >= 2)
    if (const auto text = meanings.text(graph.items(object.states.back())[1]); text.size() == 1) order = text.front();
  return ArrayType{std::string(code), array_dtype(code), order == '>'};
}

std::optional<std::string_view> read_bytes(const PickleMeanings& meanings, PickleRef ref, std::string& owned) {
  const PickleGraph& graph = meanings.graph();
  for (int hops = 0; hops < 8; ++hops) {
    if (graph.is(ref, PickleKind::bytes) || graph.is(ref, PickleKind::text)) return graph.text(ref);
    const PickleView view = meanings.view(ref);
    if (view.row == nullptr || view.row->role != Role::encoded) return std::nullopt;
    const PickleObject& object = graph.object(view.ref);
    const PickleRef content = graph.argument(object, 0);
    if (content == kNoValue) return std::string_view{};  // bytes()
    if (!graph.is(content, PickleKind::text)) {
      ref = content;
      continue;
    }
    const std::string_view encoding =
        graph.argument(object, 1) == kNoValue ? "" : meanings.text(graph.argument(object, 1));
    if (encoding == "utf-8" || encoding == "utf8" || encoding == "ascii") return graph.text(content);
    if (encoding != "latin1" && encoding != "latin-1" && encoding != "iso-8859-1") return std::nullopt;
    auto bytes = encode_latin1(graph.text(content));
    if (!bytes) return std::nullopt;
    owned = std::move(*bytes);
    return owned;
  }
  return std::nullopt;
}

Json element_json(DType dtype, const std::byte* data) {
  switch (dtype) {
    case DType::boolean: return element<uint8_t>(data) != 0;
    case DType::u8: return element<uint8_t>(data);
    case DType::i8: return element<int8_t>(data);
    case DType::u16: return element<uint16_t>(data);
    case DType::i16: return element<int16_t>(data);
    case DType::u32: return element<uint32_t>(data);
    case DType::i32: return element<int32_t>(data);
    case DType::u64: return element<uint64_t>(data);
    case DType::i64: return element<int64_t>(data);
    case DType::f16: return half_to_double(element<uint16_t>(data));
    case DType::bf16:
      return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(element<uint16_t>(data)) << 16));
    case DType::f32: return static_cast<double>(element<float>(data));
    case DType::f64: return element<double>(data);
    case DType::c64: return Json::array({element_json(DType::f32, data), element_json(DType::f32, data + 4)});
    case DType::c128: return Json::array({element_json(DType::f64, data), element_json(DType::f64, data + 8)});
    default: break;  // numpy has none of the others
  }
  return nullptr;
}

Json scalar_json(const PickleMeanings& meanings, const PickleView& scalar) {
  const PickleGraph& graph = meanings.graph();
  const PickleValue& value = graph[scalar.ref];
  switch (value.kind) {
    case PickleKind::none: return nullptr;
    case PickleKind::boolean: return value.integer != 0;
    case PickleKind::integer: return value.integer;
    case PickleKind::big_integer: return big_integer_json(graph.text(scalar.ref));
    case PickleKind::real: return value.real;
    case PickleKind::text: return json_text(graph.text(scalar.ref));
    case PickleKind::bytes: return bytes_json(graph.text(scalar.ref));
    case PickleKind::global: return global_json(meanings, scalar.ref);
    case PickleKind::object: return object_json(meanings, scalar);
    default: return nullptr;
  }
}

}  // namespace remap::formats
