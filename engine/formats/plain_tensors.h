// The long part of a JSON manifest, read without a tree of values: a list of tensors as remap writes it. Private to
// the readers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remap/manifest.h"

namespace remap::formats {

struct PlainTensors {
  std::vector<TensorInfo> tensors;  // as listed; their sizes are not checked
  std::string rest;                 // the text with an empty list in place of theirs
};

// nullopt if the JSON object has no "tensors" that is a list of nothing but {"key", "dtype", "shape"}, in this order
// and perhaps with an "alias", whose strings are plain ASCII: the general parser reads all else, and says what is
// wrong. Says nothing about the rest.
std::optional<PlainTensors> take_plain_tensors(std::string_view text);

}  // namespace remap::formats
