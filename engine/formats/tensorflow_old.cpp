#include "formats/tensorflow_old.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "formats/limit.h"
#include "formats/tensorflow_entries.h"
#include "tensor/box.h"
#include "tensor/tiling.h"

namespace remap::formats {
namespace {

// Which field of TensorProto holds the values of a type, and how: as they lie in memory, or as varints.
struct ValueField {
  uint64_t number = 0;
  bool varints = false;
};
std::optional<ValueField> value_field(DType dtype) {
  switch (dtype) {
    case DType::f32: return ValueField{5};
    case DType::f64: return ValueField{6};
    case DType::i32:
    case DType::i16:
    case DType::u16:
    case DType::i8:
    case DType::u8: return ValueField{7, true};
    case DType::c64: return ValueField{9};
    case DType::i64: return ValueField{10, true};
    case DType::boolean: return ValueField{11, true};
    case DType::c128: return ValueField{12};
    case DType::f16:
    case DType::bf16: return ValueField{13, true};
    default: return std::nullopt;
  }
}

// Whether the low bytes of the number are all of it: int32 and narrower types are sign-extended to 64 bits.
bool fits(DType dtype, uint64_t value) {
  const auto number = static_cast<int64_t>(value);
  const int width = bits(dtype);
  if (dtype == DType::i64) return true;
  if (dtype == DType::boolean) return value <= 1;
  const bool is_signed = dtype == DType::i32 || dtype == DType::i16 || dtype == DType::i8;
  if (is_signed) return number >= -(int64_t{1} << (width - 1)) && number < (int64_t{1} << (width - 1));
  return value < uint64_t{1} << width;
}

class OldSource final : public Source {
 public:
  OldSource(std::string path, const SortedTable& table, const OpenOptions& options)
      : path_(std::move(path)), table_(table), limits_(options.limits) {
    bool listed = false;
    if (table_.n_blocks() > 0)
      table_.walk(0, [&](std::string_view key, std::string_view value, const BytePlace& place) {
        if (key.empty()) read_list(value, place);
        listed = key.empty();
        return false;
      });
    if (!listed)
      throw Error(kTensorflowEntry, BytePlace{table_.file().path(), {}, {}},
                  "the table does not begin with a list of tensors (an entry of the empty key)",
                  "if this is the index of a TensorFlow checkpoint, give it its ending '.index' again");
    std::sort(tensors_.begin(), tensors_.end(),
              [](const Tensor& a, const Tensor& b) { return a.info.key < b.info.key; });
    std::vector<TensorInfo> infos;
    for (const Tensor& tensor : tensors_) infos.push_back(tensor.info);
    manifest_ = Manifest(std::move(infos), path_);
  }

  std::string_view format() const override { return "tensorflow"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t index) const override {
    std::vector<Box> boxes;
    for (const Slice& slice : tensors_[index].slices) boxes.push_back(slice.box);
    return boxes;
  }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    require_read(manifest_[index], path_);
    const Slice& slice = tensors_[index].slices[tile];
    table_.file().read([&] {
      read_slice(manifest_[index], slice, buffer);
      return true;
    });
    return {buffer.data(), row_major_strides(slice.box.extent)};
  }
  void check_bytes() const override { table_.file().require_readable(); }
  std::vector<std::string> remarks() const override { return remarks_; }

 private:
  struct Slice {
    Box box;
    std::string key;  // in the table
  };
  struct Tensor {
    TensorInfo info;
    std::vector<Slice> slices;  // in row-major order of their origins
  };

  void read_list(std::string_view value, const BytePlace& place) {
    ProtoReader entry(value, "the list of tensors", kTensorflowEntry, place);
    for (ProtoField field; entry.next(field);) {
      if (field.number != 1) continue;
      ProtoReader list = entry.inside(field, "the list of tensors");
      for (ProtoField part; list.next(part);) {
        if (part.number == 1) add(list.inside(part, "a tensor"), place);
        if (part.number == 2) check_bundle_versions(list.inside(part, "the versions"), place);
      }
    }
  }

  void add(ProtoReader reader, const BytePlace& place) {
    check_limit(tensors_.size() + 1, limits_.max_tensors, "max_tensors", place, "tensors");
    std::string name;
    Shape shape;
    int64_t number = 0;
    std::vector<TensorSlice> slices;
    for (ProtoField field; reader.next(field);) {
      if (field.number == 1) name = tensor_name(field.bytes, place, limits_);
      if (field.number == 2) shape = parse_tensor_shape(reader.inside(field, "a shape"), limits_);
      if (field.number == 3) number = field.integer();
      if (field.number == 4) slices.push_back(parse_tensor_slice(reader.inside(field, "a slice"), limits_));
    }
    const TensorflowType* type = find_tensorflow_type(number);
    if (type == nullptr) reader.fail(fmt::format("'{}': {} is not a known type", name, number));
    element_count(shape, fmt::format("the tensor '{}' of {}", name, place.file));
    if (number == kTensorflowString) {
      remarks_.push_back(fmt::format("{}: strings {}, which are not read", name, to_string(shape)));
      return;
    }
    if (!type->dtype || !value_field(*type->dtype)) {
      const std::string why(type->why.empty() ? "a type that this form of the format does not have" : type->why);
      tensors_.push_back({unread_tensor(name, why, std::string(type->name), shape), {}});
      return;
    }
    Tensor tensor{{name, *type->dtype, shape}, {}};
    check_limit(slices.size(), limits_.max_chunks, "max_chunks", place, "slices of one tensor");
    std::vector<Box> boxes;
    for (const TensorSlice& slice : slices) {
      Box box = slice_box(slice, shape, name, place);
      boxes.push_back(box);
      check_limit(static_cast<uint64_t>(element_count(box.extent) * size_bytes(*type->dtype)), limits_.max_chunk_bytes,
                  "max_chunk_bytes", place, fmt::format("bytes of a slice of '{}'", name));
      if (element_count(box.extent) > 0) tensor.slices.push_back({std::move(box), slice_key(name, slice)});
    }
    if (const std::string fault = tiling_fault(boxes, shape); !fault.empty())
      reader.fail(fmt::format("the slices of '{}' {} do not make it up: {}", name, to_string(shape), fault));
    std::sort(tensor.slices.begin(), tensor.slices.end(),
              [](const Slice& a, const Slice& b) { return a.box.origin < b.box.origin; });
    tensors_.push_back(std::move(tensor));
  }

  void read_slice(const TensorInfo& info, const Slice& slice, TileBuffer& buffer) const {
    const size_t block = table_.block_of(slice.key);
    bool found = false;
    if (block < table_.n_blocks())
      table_.walk(block, [&](std::string_view key, std::string_view value, const BytePlace& place) {
        if (key != slice.key) return key < slice.key;
        found = true;
        read_values(info, slice, value, place, buffer);
        return false;
      });
    if (!found)
      throw Error(kTensorflowEntry, BytePlace{table_.file().path(), {}, {}},
                  fmt::format("'{}' has no entry for its slice of {} at {}", info.key, to_string(slice.box.extent),
                              to_string(slice.box.origin)),
                  "the file is damaged or was not copied completely; fetch it again");
  }

  void read_values(const TensorInfo& info, const Slice& slice, std::string_view value, const BytePlace& place,
                   TileBuffer& buffer) const {
    const std::string what = fmt::format("the values of '{}'", info.key);
    const auto expected = static_cast<size_t>(element_count(slice.box.extent) * size_bytes(info.dtype));
    const ValueField in = *value_field(info.dtype);
    buffer.clear();
    ProtoReader entry(value, what, kTensorflowEntry, place);
    for (ProtoField data; entry.next(data);) {
      if (data.number != 2) continue;
      ProtoReader saved = entry.inside(data, what);
      for (ProtoField part; saved.next(part);) {
        if (part.number != 3) continue;
        ProtoReader tensor = saved.inside(part, what);
        for (ProtoField field; tensor.next(field);) {
          if (field.number != in.number) continue;
          if (in.varints)
            append_varints(info.dtype, field, tensor, expected, buffer);
          else
            append_bytes(field, tensor, expected, buffer);
        }
      }
    }
    if (buffer.size() != expected)
      entry.fail(fmt::format("{} bytes of values, where {} {} takes {}", buffer.size(), long_name(info.dtype),
                             to_string(slice.box.extent), expected));
  }

  static void append_bytes(const ProtoField& field, const ProtoReader& reader, size_t expected, TileBuffer& buffer) {
    const auto append = [&](const void* from, size_t n_bytes) {
      if (n_bytes > expected - buffer.size()) reader.fail("there are more values than the shape has elements");
      const auto* bytes = static_cast<const std::byte*>(from);
      buffer.insert(buffer.end(), bytes, bytes + n_bytes);
    };
    if (field.wire == 2)
      append(field.bytes.data(), field.bytes.size());
    else if (field.wire == 1 || field.wire == 5)
      append(&field.value, field.wire == 1 ? 8 : 4);
    else
      reader.require(field, 2);
  }

  static void append_varints(DType dtype, const ProtoField& field, const ProtoReader& reader, size_t expected,
                             TileBuffer& buffer) {
    const auto n_bytes = static_cast<size_t>(size_bytes(dtype));
    const auto append = [&](uint64_t value) {
      if (n_bytes > expected - buffer.size()) reader.fail("there are more values than the shape has elements");
      if (!fits(dtype, value))
        reader.fail(fmt::format("the value {} does not fit {}", static_cast<int64_t>(value), long_name(dtype)));
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      buffer.insert(buffer.end(), bytes, bytes + n_bytes);
    };
    if (field.wire == 0) return append(field.value);
    reader.require(field, 2);
    for (std::string_view packed = field.bytes; !packed.empty();) {
      const auto value = take_varint(packed);
      if (!value) reader.fail("a value is damaged");
      append(*value);
    }
  }

  std::string path_;
  SortedTable table_;
  Limits limits_;
  std::vector<Tensor> tensors_;  // in the manifest's order
  Manifest manifest_;
  Json metadata_ = Json::object();
  std::vector<std::string> remarks_;
};

}  // namespace

std::unique_ptr<Source> open_tensorflow_old(const std::string& path, const SortedTable& table,
                                            const OpenOptions& options) {
  return std::make_unique<OldSource>(path, table, options);
}

}  // namespace remap::formats
