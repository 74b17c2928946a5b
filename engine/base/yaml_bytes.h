// Which bytes a YAML file may have. Private to the engine.
#pragma once

#include <cstddef>
#include <string_view>

namespace remap {

// The first byte of UTF-8 text that YAML does not allow, and of which its readers make different things: a control
// character (a zero has yaml-cpp read UTF-32), or a carriage return that does not end a line. The text's size: none.
inline size_t find_control(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool ends_line = byte == '\n' || (byte == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
    if ((byte < 0x20 && byte != '\t' && !ends_line) || byte == 0x7F) return i;
  }
  return text.size();
}

}  // namespace remap
