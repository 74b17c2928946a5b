// The header of an array in numpy's format: magic number, version, length, and a Python literal such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
#pragma once

#include <span>
#include <string>

#include "formats/torch_tensors.h"
#include "remap/limits.h"

namespace remap::formats {

struct NpyHeader {
  DecodedTensor tensor;     // what it says of the array; TensorSpec::offset_bytes is where the elements begin
  uint64_t data_bytes = 0;  // that the elements take; of what is not read, not known
};

// The most bytes that a header can need: numpy itself reads no longer ones.
inline constexpr uint64_t kMaxNpyHeaderBytes = 10'000 + 12;

// `bytes`: the file's, or as many of them as a header may need. Throws Error "numpy-bad-array", "limit-exceeded".
NpyHeader read_npy_header(std::span<const std::byte> bytes, const std::string& file, const std::string& member,
                          const Limits& limits);

}  // namespace remap::formats
