// The text of a zarr array of version 3, "zarr.json": types, grid and the chain of codecs.
#include <algorithm>

#include <fmt/format.h>

#include "formats/json_text.h"
#include "formats/zarr_elements.h"

namespace remap::formats {
namespace {

constexpr std::string_view kKnownFields[] = {
    "zarr_format", "node_type", "shape",      "data_type",       "chunk_grid",          "chunk_key_encoding",
    "fill_value",  "codecs",    "attributes", "dimension_names", "storage_transformers"};
constexpr int kMaxLevels = 8;  // shards in shards
constexpr const char* kCopyPlainly = "to version 2, or with the codecs bytes and zstd only";

const Json& none() {
  static const Json empty = Json::object();
  return empty;
}

class ZarrJsonParser {
 public:
  ZarrJsonParser(const Json& root, const std::string& file, const Limits& limits) : in_(root, file, limits) {}

  ZarrArray parse() {
    if (!in_.root().is_object()) in_.fail("not a JSON object");
    if (in_.field("zarr_format") != 3)
      in_.unsupported(
          fmt::format("zarr_format is {}; version 3 is read of a zarr.json", shown(in_.field("zarr_format"))),
          kCopyPlainly);
    if (in_.field("node_type") != "array")
      in_.fail(fmt::format("node_type is {}; \"array\" was expected", shown(in_.field("node_type"))));
    check_extensions();
    ZarrArray array;
    array.text_name = "zarr.json";
    array.shape = in_.sizes(in_.field("shape"), "shape");
    read_type(array);
    read_grid(array);
    read_keys(array);
    in_.read_fill(array);
    read_codecs(array, in_.field("codecs"), 0);
    in_.check_sizes(array);
    return array;
  }

 private:
  // What a later version adds must be understood, unless it says that it need not be.
  void check_extensions() const {
    for (const auto& [name, value] : in_.root().items()) {
      const bool known = std::find(std::begin(kKnownFields), std::end(kKnownFields), name) != std::end(kKnownFields);
      if (known || (value.is_object() && value.value("must_understand", Json(true)) == false)) continue;
      in_.unsupported(fmt::format("the field '{}' is not known", name), kCopyPlainly);
    }
    const auto transformers = in_.root().find("storage_transformers");
    if (transformers != in_.root().end() && !(transformers->is_array() && transformers->empty()))
      in_.unsupported(fmt::format("storage_transformers {} are not read", shown(*transformers)), kCopyPlainly);
  }

  // "name", or {"name": …, "configuration": {…}}.
  std::string name_of(const Json& extension, const char* what) const {
    if (extension.is_string()) return extension.get<std::string>();
    if (!extension.is_object() || !extension.contains("name") || !extension["name"].is_string())
      in_.fail(fmt::format("{} is {}; an object with a 'name' was expected", what, shown(extension)));
    return extension["name"].get<std::string>();
  }
  const Json& configuration_of(const Json& extension) const {
    if (!extension.is_object() || !extension.contains("configuration")) return none();
    const Json& configuration = extension["configuration"];
    if (!configuration.is_object()) in_.fail(fmt::format("a configuration is {}, not an object", shown(configuration)));
    return configuration;
  }

  void read_type(ZarrArray& array) const {
    const Json& type = in_.field("data_type");
    const auto dtype = type.is_string() ? parse_dtype(type.get_ref<const std::string&>()) : std::nullopt;
    if (!dtype || long_name(*dtype) != type.get_ref<const std::string&>() || is_sub_byte(*dtype))
      in_.unsupported(fmt::format("the data_type {} is not read", shown(type)), "as numbers of a type that numpy has");
    array.dtype = *dtype;
  }

  void read_grid(ZarrArray& array) const {
    const Json& grid = in_.field("chunk_grid");
    if (const std::string name = name_of(grid, "chunk_grid"); name != "regular")
      in_.unsupported(fmt::format("the chunk_grid '{}' is not read", name), "in a regular grid");
    array.levels.push_back({chunk_shape(configuration_of(grid), array.shape.size())});
    for (size_t d = 0; d < array.shape.size(); ++d)
      if (array.shape[d] == 0 && array.levels.front().extent[d] == 0) array.levels.front().extent[d] = 1;
  }
  Shape chunk_shape(const Json& configuration, size_t rank) const {
    const auto shape = configuration.find("chunk_shape");
    if (shape == configuration.end()) in_.fail("'chunk_shape' is missing");
    Shape extent = in_.sizes(*shape, "chunk_shape");
    if (extent.size() != rank)
      in_.fail(fmt::format("chunk_shape {} and the array of {} dimensions do not fit", to_string(extent), rank));
    return extent;
  }

  void read_keys(ZarrArray& array) const {
    const Json& encoding = in_.field("chunk_key_encoding");
    const std::string name = name_of(encoding, "chunk_key_encoding");
    if (name != "default" && name != "v2")
      in_.unsupported(fmt::format("the chunk_key_encoding '{}' is not read", name), kCopyPlainly);
    array.chunk_prefix = name == "default" ? "c" : "";
    const Json separator = configuration_of(encoding).value("separator", Json(name == "default" ? "/" : "."));
    if (separator != "." && separator != "/")
      in_.fail(fmt::format("the separator is {}; \".\" or \"/\" was expected", shown(separator)));
    array.separator = separator.get_ref<const std::string&>()[0];
  }

  // array -> array: transposes. array -> bytes: bytes or sharding_indexed, once. bytes -> bytes: the others.
  void read_codecs(ZarrArray& array, const Json& codecs, int depth) const {
    if (!codecs.is_array()) in_.fail(fmt::format("'codecs' is {}; a list was expected", shown(codecs)));
    if (depth >= kMaxLevels) in_.unsupported(fmt::format("shards within shards, {} levels deep", depth), kCopyPlainly);
    const size_t level = array.levels.size() - 1;
    bool to_bytes = false;
    for (const Json& codec : codecs) {
      const std::string name = name_of(codec, "a codec");
      const Json& configuration = configuration_of(codec);
      if (name == "transpose") {
        if (to_bytes) in_.fail("the codec 'transpose' follows one that makes bytes");
        add_transpose(array.levels[level], configuration);
      } else if (name == "bytes" || name == "sharding_indexed") {
        if (to_bytes) in_.fail(fmt::format("the codec '{}' follows one that makes bytes", name));
        to_bytes = true;
        if (name == "bytes")
          array.big_endian = is_big(configuration, size_bytes(array.dtype) > 1);
        else
          add_shard(array, configuration, depth);
      } else {
        if (!to_bytes) in_.fail(fmt::format("the codec '{}' stands before one that makes bytes", name));
        add_bytes_codec(array.levels[level], name);
      }
    }
    if (!to_bytes) in_.fail("the codecs hold none that makes bytes ('bytes', 'sharding_indexed')");
  }

  bool is_big(const Json& configuration, bool needed) const {
    const auto endian = configuration.find("endian");
    if (endian == configuration.end()) {
      if (needed) in_.fail("the codec 'bytes' has no 'endian'");
      return false;
    }
    if (*endian != "little" && *endian != "big")
      in_.fail(fmt::format("endian is {}; \"little\" or \"big\" was expected", shown(*endian)));
    return *endian == "big";
  }

  void add_transpose(ZarrChunks& chunks, const Json& configuration) const {
    const size_t rank = chunks.extent.size();
    const auto order = configuration.find("order");
    if (order == configuration.end()) in_.fail("the codec 'transpose' has no 'order'");
    std::vector<size_t> axes;
    if (*order == "C" || *order == "F") {
      for (size_t d = 0; d < rank; ++d) axes.push_back(*order == "C" ? d : rank - 1 - d);
    } else {
      for (const int64_t axis : in_.sizes(*order, "order")) axes.push_back(static_cast<size_t>(axis));
      std::vector<size_t> sorted = axes;
      std::sort(sorted.begin(), sorted.end());
      for (size_t d = 0; d < std::max(rank, sorted.size()); ++d)
        if (sorted.size() != rank || sorted[d] != d)
          in_.fail(fmt::format("the order {} is not one of {} axes", shown(*order), rank));
    }
    if (!chunks.axes.empty())  // one transpose after another
      for (size_t& axis : axes) axis = chunks.axes[axis];
    chunks.axes = std::move(axes);
  }

  void add_bytes_codec(ZarrChunks& chunks, std::string name) const {
    if (chunks.is_shard && name != "crc32c")
      in_.unsupported(fmt::format("a shard that is packed as a whole ('{}') is not read", name), kCopyPlainly);
    if (chunks.is_shard) in_.unsupported("a checksum of a whole shard is not read", kCopyPlainly);
    if (name == "crc32c") {
      ++(chunks.codec == nullptr ? chunks.sums_inside : chunks.sums_outside);
      return;
    }
    constexpr std::string_view kForeign = "numcodecs.";
    if (name.starts_with(kForeign)) name = name.substr(kForeign.size());
    const ChunkCodec* codec = find_chunk_codec(name);
    if (codec == nullptr) in_.unsupported(fmt::format("the codec '{}' is not read", name), kCopyPlainly);
    if (chunks.codec != nullptr)
      in_.unsupported(fmt::format("bytes packed twice ('{}', '{}') are not read", chunks.codec->name, name),
                      kCopyPlainly);
    chunks.codec = codec;
  }

  void add_shard(ZarrArray& array, const Json& configuration, int depth) const {
    ZarrChunks& shard = array.levels.back();
    shard.is_shard = true;
    const Json location = configuration.value("index_location", Json("end"));
    if (location != "start" && location != "end")
      in_.fail(fmt::format("index_location is {}; \"start\" or \"end\" was expected", shown(location)));
    shard.index_at_end = location == "end";
    const auto index_codecs = configuration.find("index_codecs");
    if (index_codecs == configuration.end() || !index_codecs->is_array() || index_codecs->empty())
      in_.fail("the codec 'sharding_indexed' has no list 'index_codecs'");
    for (size_t i = 0; i < index_codecs->size(); ++i) {
      const std::string name = name_of((*index_codecs)[i], "a codec of an index");
      if (i == 0 && name == "bytes")
        shard.index_big_endian = is_big(configuration_of((*index_codecs)[i]), true);
      else if (i == 1 && name == "crc32c")
        shard.index_sum = true;
      else
        in_.unsupported(fmt::format("an index of a shard by the codecs {} is not read", shown(*index_codecs)),
                        kCopyPlainly);
    }
    const auto codecs = configuration.find("codecs");
    if (codecs == configuration.end()) in_.fail("the codec 'sharding_indexed' has no 'codecs'");
    ZarrChunks inside{chunk_shape(configuration, array.shape.size())};
    array.levels.push_back(std::move(inside));
    read_codecs(array, *codecs, depth + 1);
  }

  ZarrText in_;
};

}  // namespace

std::optional<ZarrArray> parse_zarr_json(std::string_view text, const std::string& file, const Limits& limits) {
  const Json root = parse_json(text, {file, "zarr-metadata"});
  if (root.is_object() && root.value("node_type", Json()) == "group") return std::nullopt;
  return ZarrJsonParser(root, file, limits).parse();
}

}  // namespace remap::formats
