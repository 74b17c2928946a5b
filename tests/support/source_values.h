// What a test asks of a Source: whole tensors as bytes or numbers, and which error an action throws.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/source.h"

namespace remap::test {

inline std::vector<std::byte> tensor_bytes(const Source& source, std::string_view key) {
  const size_t index = source.manifest().find(key);
  if (index == Manifest::npos) throw std::out_of_range("no tensor " + std::string(key));
  const TensorInfo& info = source.manifest()[index];
  std::vector<std::byte> bytes(static_cast<size_t>(data_bytes(info)));
  const Shape shape = stored_form(info).shape;
  TileBuffer scratch;
  read_box(source, index, Box{Shape(shape.size(), 0), shape}, bytes.data(), scratch);
  return bytes;
}

template <typename T>
std::vector<T> tensor_values(const Source& source, std::string_view key) {
  const auto bytes = tensor_bytes(source, key);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// "id: message" of the Error that `action` throws, or "nothing was thrown".
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.diagnostic().id + ": " + error.diagnostic().message;
  }
  return "nothing was thrown";
}

// "line:column id: message" of an Error in a text.
template <typename Action>
std::string text_error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    const auto* place = std::get_if<TextPlace>(&error.diagnostic().place);
    const std::string at =
        place != nullptr ? std::to_string(place->line) + ":" + std::to_string(place->column) + " " : "";
    return at + error.diagnostic().id + ": " + error.diagnostic().message;
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace remap::test
