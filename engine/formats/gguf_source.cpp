// magic "GGUF" | version u32 | tensors u64 | pairs u64
// a pair:   key string | type u32 | value        string: length u64, bytes; list: type u32, length u64, values
// a tensor: name string | rank u32 | dims u64 each | type u32 | offset u64, from where the data begins
// data, from the next multiple of general.alignment (32) on
#include "formats/gguf_source.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/torch_listing.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

constexpr std::string_view kGgufMagic = "GGUF";
constexpr uint64_t kMostShown = 64;  // entries of a list that stay in the metadata
constexpr int kMostNested = 4;       // lists in lists

struct ElementType {
  uint32_t code;
  std::string_view name;
  std::optional<DType> dtype = {};  // none: a quantized type
};
constexpr ElementType kElementTypes[] = {
    {0, "F32", DType::f32},
    {1, "F16", DType::f16},
    {2, "Q4_0"},
    {3, "Q4_1"},
    {6, "Q5_0"},
    {7, "Q5_1"},
    {8, "Q8_0"},
    {9, "Q8_1"},
    {10, "Q2_K"},
    {11, "Q3_K"},
    {12, "Q4_K"},
    {13, "Q5_K"},
    {14, "Q6_K"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {20, "IQ4_NL"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {24, "I8", DType::i8},
    {25, "I16", DType::i16},
    {26, "I32", DType::i32},
    {27, "I64", DType::i64},
    {28, "F64", DType::f64},
    {29, "IQ1_M"},
    {30, "BF16", DType::bf16},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {39, "MXFP4"},
};

enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, list, u64, i64, f64 };

class GgufReader {
 public:
  GgufReader(TorchContents& contents, const Limits& limits)
      : contents_(contents), limits_(limits), in_(contents.file.bytes(), contents.file.path(), {}, "gguf-bad-file") {}

  TorchListing read() {
    in_.take(kGgufMagic.size(), "magic number");
    const uint32_t version = in_.u32("version");
    if (version != 2 && version != 3)
      in_.fail(fmt::format("version {} of GGUF; 2 and 3 are read", version),
               "let llama.cpp's gguf-py write it again, or take the checkpoint it was made of");
    const uint64_t n_tensors = in_.u64("number of tensors"), n_pairs = in_.u64("number of metadata pairs");
    check_limit(n_tensors, limits_.max_tensors, "max_tensors", in_.place(), "tensors");
    check_limit(n_pairs, limits_.max_metadata_nodes, "max_metadata_nodes", in_.place(), "metadata pairs");
    for (uint64_t i = 0; i < n_pairs; ++i) read_pair();
    for (uint64_t i = 0; i < n_tensors; ++i) read_tensor();
    const uint64_t begin = (in_.position() + alignment_ - 1) / alignment_ * alignment_;
    for (const Place& place : places_) set_place(place, begin);
    std::sort(listing_.tensors.begin(), listing_.tensors.end(),
              [](const ListedTensor& a, const ListedTensor& b) { return a.key < b.key; });
    contents_.storages.push_back({.size_bytes = contents_.file.size(), .file_offset = 0});
    return std::move(listing_);
  }

 private:
  struct Place {
    size_t tensor;
    uint64_t offset, size_bytes;
    BytePlace said_at;
  };

  std::string text(std::string_view what) {
    const uint64_t length = in_.u64(what);
    check_limit(length, limits_.max_index_bytes, "max_index_bytes", in_.place(), "bytes of a string");
    const std::string_view found = in_.text(length, what);
    if (!is_utf8(found)) in_.fail(fmt::format("{} is not UTF-8", what));
    return std::string(found);
  }

  void read_pair() {
    std::string key = text("a metadata key");
    check_limit(key.size(), limits_.max_key_bytes, "max_key_bytes", in_.place(), "bytes of a metadata key");
    Json value = read_value(in_.u32("a value's type"), 0);
    if (key == "general.alignment") {
      const uint64_t alignment = value.is_number_unsigned() ? value.get<uint64_t>() : 0;
      if (alignment == 0 || alignment % 8 != 0 || alignment > (1u << 20))
        in_.fail(fmt::format("general.alignment is {}; a multiple of 8 was expected", value.dump()));
      alignment_ = alignment;
    }
    listing_.metadata[key] = std::move(value);
  }

  Json read_value(uint32_t type, int depth) {
    if (++n_values_ > limits_.max_metadata_nodes)
      throw Error("limit-exceeded", in_.place(),
                  fmt::format("more than {} metadata values (max_metadata_nodes)", limits_.max_metadata_nodes));
    switch (type) {
      case u8: return in_.u8("a value");
      case i8: return in_.integer<int8_t>("a value");
      case u16: return in_.u16("a value");
      case i16: return in_.integer<int16_t>("a value");
      case u32: return in_.u32("a value");
      case i32: return in_.integer<int32_t>("a value");
      case f32: return std::bit_cast<float>(in_.u32("a value"));
      case boolean: return in_.u8("a value") != 0;
      case string: return text("a value");
      case list: return read_list(depth);
      case u64: return in_.u64("a value");
      case i64: return in_.integer<int64_t>("a value");
      case f64: return std::bit_cast<double>(in_.u64("a value"));
      default: in_.fail(fmt::format("{} is not a type of metadata values", type));
    }
  }

  Json read_list(int depth) {
    const uint32_t type = in_.u32("a list's type");
    const uint64_t length = in_.u64("a list's length");
    if (depth >= kMostNested) in_.fail(fmt::format("lists are nested deeper than {} levels", kMostNested));
    if (length > in_.remaining())
      in_.fail(fmt::format("a list of {} entries, {} bytes are left", length, in_.remaining()));
    Json values = Json::array();
    for (uint64_t i = 0; i < length; ++i) {
      Json value = read_value(type, depth + 1);
      if (i < kMostShown) values.push_back(std::move(value));
    }
    return length <= kMostShown ? values : Json::object({{"$length", length}});
  }

  void read_tensor() {
    std::string key = text("a tensor's name");
    check_limit(key.size(), limits_.max_key_bytes, "max_key_bytes", in_.place(), "bytes of a tensor's name");
    const uint32_t rank = in_.u32("a tensor's rank");
    check_limit(rank, static_cast<uint64_t>(limits_.max_rank), "max_rank", in_.place(), "dimensions of a tensor");
    Shape shape(rank);
    for (auto dim = shape.rbegin(); dim != shape.rend(); ++dim) {
      const uint64_t size = in_.u64("a tensor's dimension");
      if (size > INT64_MAX) in_.fail(fmt::format("'{}' has a dimension of {}", key, size));
      *dim = static_cast<int64_t>(size);
    }
    const BytePlace said_at = in_.place();
    const uint32_t code = in_.u32("a tensor's type");
    const uint64_t offset = in_.u64("a tensor's offset");
    element_count(shape, to_string(said_at) + ": '" + key + "'");
    const auto type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                   [&](const ElementType& row) { return row.code == code; });
    if (type == std::end(kElementTypes) || !type->dtype) {
      const std::string name = type == std::end(kElementTypes) ? fmt::format("type{}", code) : std::string(type->name);
      listing_.tensors.push_back({std::move(key), UnreadableTensor{"a quantized tensor of GGUF", name, shape}});
      return;
    }
    TensorSpec spec;
    spec.dtype = *type->dtype;
    spec.strides = row_major_strides(shape);
    const int64_t size = data_bytes(spec.dtype, shape, to_string(said_at) + ": '" + key + "'");
    spec.shape = std::move(shape);
    if (offset % alignment_ != 0) in_.fail(fmt::format("the offset of '{}' is not a multiple of {}", key, alignment_));
    places_.push_back({listing_.tensors.size(), offset, static_cast<uint64_t>(size), said_at});
    listing_.tensors.push_back({std::move(key), std::move(spec)});
  }

  void set_place(const Place& place, uint64_t begin) {
    ListedTensor& tensor = listing_.tensors[place.tensor];
    const uint64_t size = contents_.file.size();
    const auto offset = checked_add(begin, place.offset);
    if (!offset || !range_inside(*offset, place.size_bytes, size))
      throw Error("gguf-bad-file", place.said_at,
                  fmt::format("'{}' has {} bytes from byte {} of the data on; the file has {} bytes", tensor.key,
                              place.size_bytes, place.offset, size),
                  "copy or download the file again");
    std::get<TensorSpec>(tensor.tensor).offset_bytes = *offset;
  }

  TorchContents& contents_;
  const Limits& limits_;
  ByteReader in_;
  TorchListing listing_;
  std::vector<Place> places_;
  uint64_t alignment_ = 32, n_values_ = 0;
};

}  // namespace

bool looks_like_gguf(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kGgufMagic.size()));
  return head == kGgufMagic;
}

std::unique_ptr<Source> open_gguf(MappedFile file, const OpenOptions& options) {
  TorchContents contents;
  contents.file = std::move(file);
  TorchListing listing = GgufReader(contents, options.limits).read();
  return source_of("gguf", std::move(contents), std::move(listing));
}

}  // namespace remap::formats
