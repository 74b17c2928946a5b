// The text of a zarr array of version 2, ".zarray".
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "formats/json_text.h"
#include "formats/zarr_elements.h"

namespace remap::formats {
namespace {

class ZarrayParser {
 public:
  ZarrayParser(const Json& root, const std::string& file, const Limits& limits) : in_(root, file, limits) {}

  ZarrArray parse() {
    if (!in_.root().is_object()) in_.fail("not a JSON object");
    if (in_.field("zarr_format") != 2)
      in_.unsupported(fmt::format("zarr_format is {}; version 2 is read of a .zarray", shown(in_.field("zarr_format"))),
                      "to version 2");
    ZarrArray array;
    array.shape = in_.sizes(in_.field("shape"), "shape");
    ZarrChunks chunks;
    chunks.extent = in_.sizes(in_.field("chunks"), "chunks");
    if (array.shape.size() != chunks.extent.size())
      in_.fail(fmt::format("shape {} and chunks {} differ in the number of dimensions", to_string(array.shape),
                           to_string(chunks.extent)));
    // Writers that take the shape for the chunk's do so along an axis without entries too.
    for (size_t d = 0; d < array.shape.size(); ++d)
      if (array.shape[d] == 0 && chunks.extent[d] == 0) chunks.extent[d] = 1;
    read_dtype(array);
    read_order(array, chunks);
    chunks.codec = codec();
    array.levels = {std::move(chunks)};
    if (const Json& filters = in_.field("filters"); !filters.is_null() && !(filters.is_array() && filters.empty()))
      in_.unsupported(fmt::format("filters {} are not read", shown(filters)), "without filters");
    in_.read_fill(array);
    in_.check_sizes(array);
    return array;
  }

 private:
  void read_dtype(ZarrArray& array) const {
    const Json& dtype = in_.field("dtype");
    const auto type = dtype.is_string() ? parse_element_type(dtype.get_ref<const std::string&>()) : std::nullopt;
    if (!type)
      in_.unsupported(fmt::format("the dtype {} is not read", shown(dtype)),
                      "as numbers of a type that numpy has, or bfloat16");
    array.dtype = type->dtype;
    array.big_endian = type->big_endian;
  }
  void read_order(ZarrArray& array, ZarrChunks& chunks) const {
    const Json& order = in_.field("order");
    if (order != "C" && order != "F") in_.fail(fmt::format("order is {}; \"C\" or \"F\" was expected", shown(order)));
    if (order == "F") {  // the first axis varies fastest: stored with its axes turned round
      chunks.axes.resize(array.shape.size());
      std::iota(chunks.axes.rbegin(), chunks.axes.rend(), size_t{0});
    }
    const auto separator = in_.root().find("dimension_separator");
    if (separator == in_.root().end()) return;
    if (*separator != "." && *separator != "/")
      in_.fail(fmt::format("dimension_separator is {}; \".\" or \"/\" was expected", shown(*separator)));
    array.separator = separator->get_ref<const std::string&>()[0];
  }
  const ChunkCodec* codec() const {
    const Json& compressor = in_.field("compressor");
    if (compressor.is_null()) return nullptr;
    if (!compressor.is_object() || !compressor.contains("id") || !compressor["id"].is_string())
      in_.fail("'compressor' is neither null nor an object with an 'id'");
    const auto& id = compressor["id"].get_ref<const std::string&>();
    const ChunkCodec* found = find_chunk_codec(id);
    if (found == nullptr) {
      std::vector<std::string_view> read;
      for (const ChunkCodec& codec : chunk_codecs()) read.push_back(codec.name);
      in_.unsupported(fmt::format("the compressor '{}' is not read; {} and none are", id, fmt::join(read, ", ")),
                      "to gzip, zstd or no compression");
    }
    return found;
  }

  ZarrText in_;
};

}  // namespace

ZarrArray parse_zarray(std::string_view text, const std::string& file, const Limits& limits) {
  const Json root = parse_json(text, {file, "zarr-metadata"});
  return ZarrayParser(root, file, limits).parse();
}

}  // namespace remap::formats
