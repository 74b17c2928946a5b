// Single values of a pickle as plain data: numbers and texts, and what known classes make of them (paths, devices,
// numpy scalars).
#pragma once

#include <optional>
#include <string>

#include "formats/pickle_known.h"
#include "remap/dtype.h"
#include "remap/metadata.h"

namespace remap::formats {

// The type that numpy calls "f4"; nullopt for those that are not plain numbers.
std::optional<DType> array_dtype(std::string_view code);

// A numpy dtype. `dtype` is absent for those that are not plain numbers (objects, texts, dates, long doubles).
struct ArrayType {
  std::string name;  // numpy's code, "f4"
  std::optional<DType> dtype;
  bool big_endian = false;
};
std::optional<ArrayType> read_array_type(const PickleMeanings& meanings, PickleRef ref);

// The bytes of a bytes value, of Python 2's str, or of a call that makes bytes from text (protocol 2 has no bytes of
// its own). `owned` keeps them when they had to be made; otherwise the result views the pickle.
std::optional<std::string_view> read_bytes(const PickleMeanings& meanings, PickleRef ref, std::string& owned);

Json element_json(DType dtype, const std::byte* element);  // little-endian
Json scalar_json(const PickleMeanings& meanings, const PickleView& scalar);
std::string json_text(std::string_view pickle_text);  // surrogates replaced

}  // namespace remap::formats
