// Small helpers on strings: natural order, distance, and the nearest name (remap/nearest.h), bytes (remap/text.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "remap/nearest.h"
#include "remap/text.h"

namespace remap {

// "layer.2" before "layer.10": runs of digits compare by value, everything else by byte. A strict weak order; equal
// only if identical.
bool natural_less(std::string_view a, std::string_view b);

// Whether a byte of UTF-8 is behind the first of its character.
inline bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Whether a terminal or a browser does something with a character of UTF-8 other than to show it: controls (C0, DEL,
// C1), separators of lines (U+2028, U+2029), and marks that make text read in another order than it is written
// (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
bool is_control(std::string_view character);

// The begin of a text: at most so many bytes, and no part of a character.
std::string_view utf8_prefix(std::string_view text, size_t max_bytes);

// Edits between two texts in bytes; exchanging two neighbours counts as one (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Digits and nothing else, at least one and no more than so many.
bool is_number(std::string_view text, size_t most_digits = std::string_view::npos);

// A code point up to 0x10ffff; surrogates are encoded as they are.
void append_utf8(std::string& out, uint32_t code_point);

std::string human_bytes(uint64_t bytes);  // "1.42 GB" (powers of 1000), "512 B"
std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace remap
