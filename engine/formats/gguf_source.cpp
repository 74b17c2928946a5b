// magic "GGUF" | version u32 | tensors u64 | pairs u64
// a pair:   key string | type u32 | value        string: length u64, bytes; list: type u32, length u64, values
// a tensor: name string | rank u32 | dims u64 each | type u32 | offset u64, from where the data begins
// data, from the next multiple of general.alignment (32) on
#include "formats/gguf_source.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/json_members.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/torch_listing.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

constexpr std::string_view kGgufMagic = "GGUF";
constexpr uint64_t kMostShown = 64;  // entries of a list that stay in the metadata
constexpr int kGgufMostNested = 4;   // lists in lists
constexpr uint64_t kGgufMostAligned = 1u << 20;

struct ElementType {
  uint32_t code;
  std::string_view name;
  std::optional<DType> dtype = {};              // none: a quantized type
  int64_t block_elements = 0, block_bytes = 0;  // of a quantized type; 0: not known, and in no file
};
constexpr ElementType kElementTypes[] = {
    {0, "F32", DType::f32},         {1, "F16", DType::f16},
    {2, "Q4_0", {}, 32, 18},        {3, "Q4_1", {}, 32, 20},
    {6, "Q5_0", {}, 32, 22},        {7, "Q5_1", {}, 32, 24},
    {8, "Q8_0", {}, 32, 34},        {9, "Q8_1"},
    {10, "Q2_K", {}, 256, 84},      {11, "Q3_K", {}, 256, 110},
    {12, "Q4_K", {}, 256, 144},     {13, "Q5_K", {}, 256, 176},
    {14, "Q6_K", {}, 256, 210},     {15, "Q8_K", {}, 256, 292},
    {16, "IQ2_XXS", {}, 256, 66},   {17, "IQ2_XS", {}, 256, 74},
    {18, "IQ3_XXS", {}, 256, 98},   {19, "IQ1_S", {}, 256, 50},
    {20, "IQ4_NL", {}, 32, 18},     {21, "IQ3_S", {}, 256, 110},
    {22, "IQ2_S", {}, 256, 82},     {23, "IQ4_XS", {}, 256, 136},
    {24, "I8", DType::i8},          {25, "I16", DType::i16},
    {26, "I32", DType::i32},        {27, "I64", DType::i64},
    {28, "F64", DType::f64},        {29, "IQ1_M", {}, 256, 56},
    {30, "BF16", DType::bf16},      {31, "Q4_0_4_4", {}, 32, 18},  // 31 to 33 and 36 to 38: of 2024, no longer written
    {32, "Q4_0_4_8", {}, 32, 18},   {33, "Q4_0_8_8", {}, 32, 18},
    {34, "TQ1_0", {}, 256, 54},     {35, "TQ2_0", {}, 256, 66},
    {36, "IQ4_NL_4_4", {}, 32, 18}, {37, "IQ4_NL_4_8", {}, 32, 18},
    {38, "IQ4_NL_8_8", {}, 32, 18}, {39, "MXFP4", {}, 32, 17},
    {40, "NVFP4", {}, 64, 36},      {41, "Q1_0", {}, 128, 18},
};

constexpr const char* kGgufDamaged = "copy or download the file again";

enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, list, u64, i64, f64 };

class GgufReader {
 public:
  GgufReader(TorchContents& contents, const Limits& limits)
      : contents_(contents), limits_(limits), in_(contents.file.bytes(), contents.file.path(), {}, "gguf-bad-file") {}

  TorchListing read() {
    in_.take(kGgufMagic.size(), "magic number");
    const uint32_t version = in_.u32("version");
    if (version != 0 && (version & 0xffff) == 0)
      in_.fail("the file is big-endian; little-endian GGUF is read",
               "make it little-endian: gguf-convert-endian FILE little");
    if (version != 2 && version != 3)
      in_.fail(fmt::format("version {} of GGUF; 2 and 3 are read", version),
               "let llama.cpp's gguf-py write it again, or take the checkpoint it was made of");
    const uint64_t n_tensors = in_.u64("number of tensors"), n_pairs = in_.u64("number of metadata pairs");
    check_limit(n_tensors, limits_.max_tensors, "max_tensors", in_.place(), "tensors");
    check_limit(n_pairs, limits_.max_metadata_nodes, "max_metadata_nodes", in_.place(), "metadata pairs");
    for (uint64_t i = 0; i < n_pairs; ++i) read_pair();
    for (uint64_t i = 0; i < n_tensors; ++i) read_tensor();
    const uint64_t begin = padded(in_.position());
    for (const Place& place : places_) set_place(place, begin);
    check_layout();
    std::sort(listing_.tensors.begin(), listing_.tensors.end(),
              [](const ListedTensor& a, const ListedTensor& b) { return a.key < b.key; });
    contents_.storages.push_back({.size_bytes = contents_.file.size(), .file_offset = 0});
    return std::move(listing_);
  }

  // That other files have the rest of the model; "" if the file does not say so.
  std::string part() const {
    if (n_parts_ <= 1) return {};
    return fmt::format(
        "by its 'split.count' and 'split.no', the file is part {} of {} of a model; the others were left aside",
        static_cast<uint64_t>(part_) + 1, n_parts_);
  }

 private:
  struct Place {
    std::string key;
    size_t tensor;  // in listing_.tensors
    uint64_t offset;
    std::optional<uint64_t> size_bytes;  // none: of a type of unknown size
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
      if (alignment == 0 || alignment % 8 != 0 || alignment > kGgufMostAligned)
        in_.fail(fmt::format("general.alignment is {}; a multiple of 8 up to {} was expected", value.dump(),
                             kGgufMostAligned));
      alignment_ = alignment;
    }
    if (key == "split.count" && value.is_number_integer()) n_parts_ = value.get<int64_t>();
    if (key == "split.no" && value.is_number_integer()) part_ = value.get<int64_t>();
    if (!keys_.insert(key).second) in_.fail(fmt::format("the metadata key '{}' is there twice", key), kGgufDamaged);
    append_member(listing_.metadata, std::move(key), std::move(value));
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
    if (depth >= kGgufMostNested) in_.fail(fmt::format("lists are nested deeper than {} levels", kGgufMostNested));
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
    if (offset % alignment_ != 0) in_.fail(fmt::format("the offset of '{}' is not a multiple of {}", key, alignment_));
    Place place{key, listing_.tensors.size(), offset, std::nullopt, said_at};
    if (type == std::end(kElementTypes)) {
      listing_.tensors.push_back(
          {std::move(key), UnreadableTensor{fmt::format("of GGUF's type {}, which is not known", code),
                                            fmt::format("type{}", code), std::move(shape)}});
    } else if (!type->dtype) {
      place.size_bytes = quantized_bytes(*type, shape, key);
      listing_.tensors.push_back(
          {std::move(key), UnreadableTensor{"a quantized tensor of GGUF", std::string(type->name), std::move(shape)}});
    } else {
      TensorSpec spec;
      spec.dtype = *type->dtype;
      spec.strides = row_major_strides(shape);
      place.size_bytes = static_cast<uint64_t>(data_bytes(spec.dtype, shape, to_string(said_at) + ": '" + key + "'"));
      spec.shape = std::move(shape);
      listing_.tensors.push_back({std::move(key), std::move(spec)});
    }
    places_.push_back(std::move(place));
  }

  std::optional<uint64_t> quantized_bytes(const ElementType& type, const Shape& shape, const std::string& key) const {
    if (type.block_bytes == 0) return std::nullopt;
    const int64_t row = shape.empty() ? 1 : shape.back();
    if (row % type.block_elements != 0)
      in_.fail(fmt::format("'{}' has rows of {} numbers; {} has them in blocks of {}", key, row, type.name,
                           type.block_elements),
               kGgufDamaged);
    return static_cast<uint64_t>(element_count(shape) / type.block_elements * type.block_bytes);
  }

  uint64_t padded(uint64_t bytes) const { return (bytes + alignment_ - 1) / alignment_ * alignment_; }

  [[noreturn]] static void fail_place(const Place& place, const std::string& message) {
    throw Error("gguf-bad-file", place.said_at, fmt::format("'{}' {}", place.key, message), kGgufDamaged);
  }

  void set_place(const Place& place, uint64_t begin) {
    const uint64_t size = contents_.file.size(), length = place.size_bytes.value_or(0);
    const auto offset = checked_add(begin, place.offset);
    if (!offset || !range_inside(*offset, length, size))
      fail_place(place, fmt::format("has {} bytes from byte {} of the data on; the file has {} bytes", length,
                                    place.offset, size));
    if (auto* spec = std::get_if<TensorSpec>(&listing_.tensors[place.tensor].tensor)) spec->offset_bytes = *offset;
  }

  // Every tensor begins where the one before it ends, up to the padding: as llama.cpp demands, and so that a small file
  // cannot stand for a large model. All ends lie in the file.
  void check_layout() {
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
      return std::tuple(a.offset, a.size_bytes.value_or(0), a.tensor) <
             std::tuple(b.offset, b.size_bytes.value_or(0), b.tensor);
    });
    const Place* before = nullptr;
    uint64_t end = 0;  // of `before`; of one of unknown size, the least that it can be
    for (const Place& place : places_) {
      if (place.offset < padded(end))
        fail_place(place, fmt::format("begins at byte {} of the data, and '{}' before it ends at byte {}", place.offset,
                                      before->key, end));
      if (place.offset > padded(end) && (before == nullptr || before->size_bytes))
        fail_place(
            place,
            fmt::format("begins at byte {} of the data; byte {} was expected, where {}", place.offset, padded(end),
                        before == nullptr ? "the data begins" : fmt::format("'{}' before it ends", before->key)));
      end = place.offset + place.size_bytes.value_or(1);
      before = &place;
    }
  }

  TorchContents& contents_;
  const Limits& limits_;
  ByteReader in_;
  TorchListing listing_;
  std::vector<Place> places_;
  std::unordered_set<std::string> keys_;  // of the metadata
  uint64_t alignment_ = 32, n_values_ = 0;
  int64_t n_parts_ = 1, part_ = 0;
};

}  // namespace

bool looks_like_gguf(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kGgufMagic.size()));
  return head == kGgufMagic;
}

std::unique_ptr<Source> open_gguf(MappedFile file, const OpenOptions& options) {
  TorchContents contents;
  contents.file = std::move(file);
  GgufReader reader(contents, options.limits);
  TorchListing listing = reader.read();
  auto source = source_of("gguf", std::move(contents), std::move(listing));
  if (std::string part = reader.part(); !part.empty())
    source->add_notice({Severity::note,
                        "source-left-aside",
                        BytePlace{source->path(), {}, {}},
                        std::move(part),
                        {},
                        "for all of them give their folder"});
  return source;
}

}  // namespace remap::formats
