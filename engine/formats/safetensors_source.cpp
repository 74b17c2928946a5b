#include "formats/safetensors_source.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/key_index.h"
#include "base/sorted_order.h"
#include "formats/folder_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/plain_scanner.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLengthBytes = 8;

[[noreturn]] void fail_layout(const std::string& file, const std::string& message) {
  throw Error("safetensors-layout", BytePlace{file, {}, {}}, message,
              "the file is damaged or was not written completely; fetch it again");
}

class HeaderParser {
 public:
  HeaderParser(std::span<const std::byte> bytes, const std::string& file, const Limits& limits)
      : bytes_(bytes), file_(file), limits_(limits) {}

  SafetensorsHeader parse() {
    const std::string_view text = header_text();
    SafetensorsHeader result;
    if (!parse_plain(text, result)) result = parse_any(text);
    check_layout(result.entries);
    return result;
  }

 private:
  // A header as every writer writes it, without a tree of values. False if it is another one, or not right.
  bool parse_plain(std::string_view text, SafetensorsHeader& result) const {
    PlainScanner in(text);
    if (!in.take('{')) return false;
    constexpr size_t kUsualBytes = 64;  // of an entry
    KeyIndex keys;
    keys.reserve(text.size() / kUsualBytes);
    result.entries.reserve(text.size() / kUsualBytes);
    const auto key_of = [&](size_t i) -> std::string_view { return result.entries[i].info.key; };
    bool has_metadata = false;
    Shape shape, offsets;
    SharedShape shared;
    std::string_view dtype_before;
    std::optional<DType> dtype;
    try {
      do {
        std::string_view key, dtype_text, metadata;
        if (!in.take_text(key) || !in.take(':')) return false;
        if (key == "__metadata__") {
          if (std::exchange(has_metadata, true) || !in.take_object(metadata)) return false;
          result.metadata = check_metadata(parse_json(metadata, {file_, "safetensors-header", kLengthBytes}));
          continue;
        }
        if (!in.take('{') || !in.take_name("dtype") || !in.take_text(dtype_text) || !in.take(',') ||
            !in.take_name("shape") || !in.take_sizes(shape) || !in.take(',') || !in.take_name("data_offsets") ||
            !in.take_sizes(offsets) || offsets.size() != 2 || !in.take('}'))
          return false;
        if (dtype_text != dtype_before) dtype = parse_dtype(dtype_before = dtype_text);
        if (!dtype || name(*dtype) != dtype_text || shape.size() > static_cast<size_t>(limits_.max_rank) ||
            key.size() > limits_.max_key_bytes)
          return false;
        if (result.entries.size() >= limits_.max_tensors || !keys.add(key, result.entries.size(), key_of).second)
          return false;
        if (!(shared == shape)) shared = shape;
        result.entries.push_back(entry_of(std::string(key), *dtype, shared, static_cast<uint64_t>(offsets[0]),
                                          static_cast<uint64_t>(offsets[1])));
      } while (in.take(','));
    } catch (const Error&) {
      return false;  // the other one finds it too, and in its turn
    }
    return result.entries.size() + has_metadata <= limits_.max_tensors && in.take('}') && in.is_at_end();
  }

  SafetensorsHeader parse_any(std::string_view text) const {
    SafetensorsHeader result;
    uint64_t n_members = 0;  // all are counted, for the message; those within the limit are kept
    const auto read = [&](const std::string& key, const Json& value) {
      if (++n_members > limits_.max_tensors) return;
      if (key == "__metadata__")
        result.metadata = check_metadata(value);  // null: there is none, as the format's own library takes it
      else
        result.entries.push_back(parse_entry(key, value));
    };
    // Begins with '{': an object, or not JSON.
    parse_json_members(text, {file_, "safetensors-header", kLengthBytes}, read);
    check_limit(n_members, limits_.max_tensors, "max_tensors", place(), "tensors");
    return result;
  }

  BytePlace place() const { return {file_, {}, kLengthBytes}; }
  [[noreturn]] void fail(const std::string& message) const { throw Error("safetensors-header", place(), message); }

  std::string_view header_text() {
    ByteReader in(bytes_, file_, {}, "safetensors-truncated");
    const uint64_t length = in.u64("header length");
    check_limit(length, limits_.max_header_bytes, "max_header_bytes", BytePlace{file_, {}, 0},
                "bytes of header are claimed");
    const std::string_view text = in.text(length, "header");
    if (!text.starts_with('{')) fail("the header does not start with '{'");
    data_begin_ = in.position();
    data_bytes_ = in.remaining();
    return text;
  }

  const Json& check_metadata(const Json& metadata) const {
    if (metadata.is_null()) return metadata;
    if (!metadata.is_object()) fail("'__metadata__' is not an object");
    for (const auto& [key, value] : metadata.items())
      if (!value.is_string()) fail(fmt::format("'__metadata__' holds '{}', which is not a string", key));
    return metadata;
  }

  SafetensorsEntry parse_entry(const std::string& key, const Json& value) const {
    check_limit(key.size(), limits_.max_key_bytes, "max_key_bytes", place(), "bytes of a tensor's name");
    if (!value.is_object())
      fail(fmt::format("tensor '{}': an object with dtype, shape and data_offsets was expected", key));
    const DType dtype = dtype_of(key, value);
    const Shape shape = shape_of(key, value);
    const auto [begin, end] = offsets_of(key, value);
    return entry_of(key, dtype, shape, begin, end);
  }

  SafetensorsEntry entry_of(std::string key, DType dtype, const SharedShape& shape, uint64_t begin,
                            uint64_t end) const {
    if (begin > end) fail(fmt::format("tensor '{}': data_offsets [{},{}] run backwards", key, begin, end));
    if (end > data_bytes_)
      throw Error("safetensors-truncated", BytePlace{file_, {}, data_begin_},
                  fmt::format("tensor '{}' ends at byte {} of the data, which has {} bytes", key, end, data_bytes_),
                  "the file is damaged or was not written completely; fetch it again");
    SafetensorsEntry entry;
    entry.info = {std::move(key), dtype, shape};
    const auto expected = static_cast<uint64_t>(data_bytes(entry.info));
    if (!is_whole_bytes(dtype, shape))
      fail(fmt::format("tensor '{}': {} {} is not a whole number of bytes", entry.info.key, name(dtype),
                       to_string(shape)));
    if (end - begin != expected)
      fail(fmt::format("tensor '{}': {} {} needs {} bytes, its data_offsets [{},{}] span {}", entry.info.key,
                       name(dtype), to_string(shape), expected, begin, end, end - begin));
    entry.begin = data_begin_ + begin;
    return entry;
  }

  const Json& field(const std::string& key, const Json& value, const char* name) const {
    const auto it = value.find(name);
    if (it == value.end()) fail(fmt::format("tensor '{}' has no '{}'", key, name));
    return *it;
  }

  DType dtype_of(const std::string& key, const Json& value) const {
    const Json& text = field(key, value, "dtype");
    if (!text.is_string()) fail(fmt::format("tensor '{}': dtype is not a string", key));
    const auto dtype = parse_dtype(text.get_ref<const std::string&>());
    // Only the format's own spelling counts here: "float32" is not one of its dtypes.
    if (!dtype || name(*dtype) != text.get_ref<const std::string&>())
      fail(fmt::format("tensor '{}': the dtype '{}' is not known", key, text.get_ref<const std::string&>()));
    return *dtype;
  }

  Shape shape_of(const std::string& key, const Json& value) const {
    const Json& dims = field(key, value, "shape");
    if (!dims.is_array()) fail(fmt::format("tensor '{}': shape is not an array", key));
    check_limit(dims.size(), static_cast<uint64_t>(limits_.max_rank), "max_rank", place(), "dimensions of a tensor");
    Shape shape;
    for (const Json& dim : dims) {
      if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX)
        fail(fmt::format("tensor '{}': {} is not a dimension", key, dim.dump()));
      shape.push_back(dim.get<int64_t>());
    }
    return shape;
  }

  std::pair<uint64_t, uint64_t> offsets_of(const std::string& key, const Json& value) const {
    const Json& offsets = field(key, value, "data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      fail(fmt::format("tensor '{}': data_offsets is not [begin, end]", key));
    return {offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
  }

  // Sorts by offset and proves that every byte behind the header belongs to exactly one tensor.
  void check_layout(std::vector<SafetensorsEntry>& entries) const {
    reorder(entries, sorted_order(entries.size(), [&](size_t a, size_t b) {
              return std::pair(entries[a].begin, data_bytes(entries[a].info)) <
                     std::pair(entries[b].begin, data_bytes(entries[b].info));
            }));
    uint64_t expected = data_begin_;
    for (const auto& entry : entries) {
      if (entry.begin != expected)
        fail_layout(file_, fmt::format("tensor '{}' starts at byte {}, {} byte {} where the one before it ends",
                                       entry.info.key, entry.begin,
                                       entry.begin > expected ? "leaving a hole from" : "overlapping from", expected));
      expected += static_cast<uint64_t>(data_bytes(entry.info));
    }
    if (expected != bytes_.size())
      fail_layout(file_, fmt::format("{} bytes follow the last tensor, which ends at byte {}", bytes_.size() - expected,
                                     expected));
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  const Limits& limits_;
  uint64_t data_begin_ = 0, data_bytes_ = 0;
};

// torch.distributed.checkpoint writes safetensors files in which a tensor may be a part of one: where it begins stands
// in the file's metadata, how large the whole is nowhere. Files of which that can be seen are not taken for a
// checkpoint.
void refuse_parts(const SafetensorsHeader& header, const std::string& file) {
  constexpr const char* kMark = "DCP_SHARDING_INFO";
  if (!header.metadata.is_object() || !header.metadata.contains(kMark)) return;
  const auto refuse = [&](const std::string& why) {
    throw Error("source-unknown-format", BytePlace{file, {}, {}},
                fmt::format("the file is a part of a torch.distributed.checkpoint in Hugging Face's form: {}", why),
                "save it again with HuggingFaceStorageWriter's enable_consolidation=True, and give the folder of the "
                "whole files");
  };
  const Json info =
      parse_json(header.metadata[kMark].get_ref<const std::string&>(), {file, "safetensors-header", kLengthBytes});
  for (const auto& [key, part] : info.items())
    if (part.is_object() && part.contains("saved_offsets") && part["saved_offsets"].is_array())
      for (const Json& offset : part["saved_offsets"])
        if (offset != 0)
          refuse(fmt::format("'{}' begins at {} of the whole tensor", key, part["saved_offsets"].dump()));
  const fs::path path(file);
  const std::string name = path.filename().string();
  if (!name.starts_with("shard-")) return;  // written by one process, which had all of each tensor
  for (const auto& other : list_files(path.parent_path().empty() ? "." : path.parent_path().string()))
    if (other != name && without_numbers(other) == without_numbers(name))
      refuse(fmt::format("'{}' may hold the rest of its tensors", other));
}

class SafetensorsSource final : public Source {
 public:
  explicit SafetensorsSource(std::string path) : path_(std::move(path)) {}

  // Adds a file; the manifest is made by finish().
  void add_file(MappedFile file, SafetensorsHeader header) {
    if (!header.metadata.is_null()) metadata_["__metadata__"] = std::move(header.metadata);
    entries_.reserve(entries_.size() + header.entries.size());
    for (auto& entry : header.entries) {
      homes_.push_back({entry.begin, files_.size()});
      entries_.push_back(std::move(entry.info));
    }
    files_.push_back(std::move(file));
  }
  // `config` is the file that describes the model, where it is to be read.
  void finish(const fs::path& config, const Limits& limits) {
    const auto order =
        sorted_order(entries_.size(), [&](size_t a, size_t b) { return entries_[a].key < entries_[b].key; });
    reorder(homes_, order);
    reorder(entries_, order);
    manifest_ = Manifest(std::move(entries_), path_);
    std::error_code ignored;
    if (!config.empty() && fs::is_regular_file(config, ignored))
      metadata_["config"] = parse_python_json(read_text(config.string(), limits.max_index_bytes), {config.string()});
  }

  std::string_view format() const override { return "safetensors"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t index) const override {
    return whole_tensor_tile(stored_form(manifest_[index]).shape);
  }
  bool in_place(size_t) const override { return true; }
  TileView load(size_t index, size_t, TileBuffer&) const override {
    const Home& home = homes_[index];
    const MappedFile& file = files_[home.file];
    return {file.data() + home.begin, row_major_strides(stored_form(manifest_[index]).shape), file.fd(), home.begin,
            &file.path()};
  }
  void check_bytes() const override {
    for (const MappedFile& file : files_) file.require_readable();
  }

 private:
  std::string read_text(const std::string& file, uint64_t max_bytes) {
    std::vector<FileRead> read;
    std::string text = read_text_file(file, max_bytes, &read);
    add_files_read(read);
    return text;
  }
  struct Home {
    uint64_t begin = 0;  // offset in the file, bytes
    size_t file = 0;
  };
  std::string path_;
  std::vector<MappedFile> files_;
  std::vector<Home> homes_;          // in the manifest's order
  std::vector<TensorInfo> entries_;  // until finish()
  Manifest manifest_;
  Json metadata_ = Json::object();
};

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& file, const Limits& limits) {
  return HeaderParser(bytes, file, limits).parse();
}

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  // A header of less than 2^40 bytes that opens with '{'. No text has zero bytes in its first eight.
  return bytes.size() > kLengthBytes && bytes[5] == std::byte{0} && bytes[6] == std::byte{0} &&
         bytes[7] == std::byte{0} && bytes[8] == std::byte{'{'};
}

std::unique_ptr<Source> open_safetensors(const std::string& path, MappedFile file, const OpenOptions& options) {
  auto source = std::make_unique<SafetensorsSource>(path);
  const fs::path config = fs::path(file.path()).parent_path() / "config.json";
  SafetensorsHeader header = parse_safetensors(file.bytes(), file.path(), options.limits);
  refuse_parts(header, file.path());
  source->add_file(std::move(file), std::move(header));
  source->finish(config, options.limits);
  return source;
}

std::unique_ptr<Source> open_safetensors_shard(MappedFile file, const OpenOptions& options) {
  auto source = std::make_unique<SafetensorsSource>(file.path());
  SafetensorsHeader header = parse_safetensors(file.bytes(), file.path(), options.limits);
  refuse_parts(header, file.path());
  source->add_file(std::move(file), std::move(header));
  source->finish({}, options.limits);
  return source;
}

}  // namespace remap::formats
