// Text and numbers in the spellings that pickles use.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace remap::formats {

// UTF-8 as Python's pickle writes it: well formed, except that encoded surrogates (ED A0..BF xx) are let through,
// because file names that were not UTF-8 are kept that way in `args`.
bool is_pickle_text(std::string_view text);
bool has_surrogates(std::string_view pickle_text);
std::string replace_surrogates(std::string_view pickle_text);  // by U+FFFD: what JSON can hold
std::string one_word(std::string_view name);  // short, printable ASCII without blanks, '[' and '?': for messages

std::optional<std::string> decode_string_escapes(std::string_view quoted);  // 'it\'s\x00' with its quotes -> bytes
std::optional<std::string> decode_unicode_escapes(
    std::string_view line);  // raw-unicode-escape: latin-1, \uXXXX, \UXXXXXXXX -> UTF-8
std::optional<std::string> encode_latin1(std::string_view pickle_text);  // UTF-8 -> one byte a character
std::string long_to_text(
    std::span<const std::byte> little_endian);  // two's complement -> decimal, or 0x… above 64 bytes

}  // namespace remap::formats
