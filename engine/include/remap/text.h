// Strings that come from elsewhere: file names, keys, what a user typed. They may hold any bytes.
#pragma once

#include <string>
#include <string_view>

namespace remap {

// The offset of the first byte that is not UTF-8 (surrogates and overlong forms are not); text.size() if all is.
size_t utf8_end(std::string_view text);
inline bool is_utf8(std::string_view text) { return utf8_end(text) == text.size(); }

// Code points of a text that is UTF-8: bytes that begin a character.
size_t utf8_length(std::string_view text);

// "1 tensor", "3 tensors".
std::string count_text(size_t n, std::string_view noun);

// As it may stand in a line on a terminal: control characters as \n, \t or \x1b.
std::string printable(std::string_view text);

}  // namespace remap
