// What the texts of zarr arrays share: types, fill values, and the checks of sizes. Private to the readers of zarr.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/zarr.h"
#include "remap/metadata.h"

namespace remap::formats {

// numpy's "<f4", and the plain names that tensorstore uses for types that numpy does not have (zarr 2).
struct ElementType {
  DType dtype;
  bool big_endian;
};
std::optional<ElementType> parse_element_type(std::string_view text);

// One element, little-endian; nullopt if the value is not one that can be read. Not of null, which is none.
std::optional<ZarrElement> fill_bytes(DType dtype, const Json& value);

// What both parsers do with a field: find it, read sizes, and say what is wrong.
class ZarrText {
 public:
  ZarrText(const Json& root, const std::string& file, const Limits& limits)
      : root_(root), file_(file), limits_(limits) {}

  BytePlace place() const { return {file_, {}, {}}; }
  [[noreturn]] void fail(const std::string& message) const { throw Error("zarr-metadata", place(), message); }
  [[noreturn]] void unsupported(const std::string& message, const char* copy_to) const;
  const Json& root() const { return root_; }
  const Json& field(const char* name) const;
  Shape sizes(const Json& list, const char* name) const;
  void read_fill(ZarrArray& array) const;
  // The last check: `array` is complete but for its store.
  void check_sizes(const ZarrArray& array) const;

 private:
  const Json& root_;
  const std::string& file_;
  const Limits& limits_;
};

// A value for a message, cut short.
std::string shown(const Json& value);

}  // namespace remap::formats
