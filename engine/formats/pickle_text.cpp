#include "formats/pickle_text.h"

#include "base/text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace remap::formats {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// `count` hex digits at `at`; nullopt if there are fewer.
std::optional<uint32_t> hex_at(std::string_view text, size_t at, size_t count) {
  if (text.size() - at < count) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const int digit = hex_digit(text[at + i]);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// Length of the well-formed sequence at `i`, 0 if there is none.
size_t sequence_length(std::string_view text, size_t i) {
  const uint8_t lead = byte_at(text, i);
  const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || text.size() - i < length) return 0;
  for (size_t k = 1; k < length; ++k)
    if (!continues_character(text[i + k])) return 0;
  if (lead == 0xe0 && byte_at(text, i + 1) < 0xa0) return 0;  // overlong
  if (lead == 0xf0 && byte_at(text, i + 1) < 0x90) return 0;
  if (lead == 0xf4 && byte_at(text, i + 1) > 0x8f) return 0;  // past U+10FFFF
  return length;
}

bool surrogate_at(std::string_view text, size_t i) {
  return byte_at(text, i) == 0xed && i + 1 < text.size() && byte_at(text, i + 1) >= 0xa0;
}

}  // namespace

bool is_pickle_text(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    uint64_t eight;
    if (text.size() - i >= sizeof eight) {  // ASCII, eight at a time
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const size_t length = sequence_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

bool has_surrogates(std::string_view text) {
  for (size_t i = text.find('\xed'); i != std::string_view::npos; i = text.find('\xed', i + 1))
    if (surrogate_at(text, i)) return true;
  return false;
}

std::string replace_surrogates(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (surrogate_at(text, i)) {
      out += "\xef\xbf\xbd";
      i += 3;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::optional<std::string> decode_string_escapes(std::string_view quoted) {
  if (quoted.size() < 2 || quoted.front() != quoted.back() || (quoted.front() != '\'' && quoted.front() != '"'))
    return std::nullopt;
  const std::string_view text = quoted.substr(1, quoted.size() - 2);
  static constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (const size_t letter = kLetters.find(text[i]); letter != std::string_view::npos) {
      out += kMeanings[letter];
      ++i;
    } else if (text[i] == 'x') {
      const auto value = hex_at(text, i + 1, 2);
      if (!value) return std::nullopt;
      out += static_cast<char>(*value);
      i += 3;
    } else if (text[i] >= '0' && text[i] <= '7') {
      unsigned value = 0;
      for (size_t k = 0; k < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++k)
        value = value * 8 + static_cast<unsigned>(text[i++] - '0');
      out += static_cast<char>(value);
    } else {
      out += '\\';  // Python keeps a backslash that means nothing
    }
  }
  return out;
}

std::optional<std::string> decode_unicode_escapes(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const bool escape = line[i] == '\\' && i + 1 < line.size() && (line[i + 1] == 'u' || line[i + 1] == 'U');
    if (!escape) {
      append_utf8(out, byte_at(line, i++));
      continue;
    }
    const size_t digits = line[i + 1] == 'u' ? 4 : 8;
    const auto value = hex_at(line, i + 2, digits);
    if (!value || *value > 0x10ffff) return std::nullopt;
    append_utf8(out, *value);
    i += 2 + digits;
  }
  return out;
}

std::optional<std::string> encode_latin1(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t lead = byte_at(text, i);
    if (lead < 0x80) {
      out += text[i];
    } else if ((lead == 0xc2 || lead == 0xc3) && i + 1 < text.size()) {
      out += static_cast<char>(((lead & 3) << 6) | (byte_at(text, ++i) & 0x3f));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::string long_to_text(std::span<const std::byte> bytes) {
  std::vector<uint8_t> magnitude(bytes.size());
  std::transform(bytes.begin(), bytes.end(), magnitude.begin(), [](std::byte b) { return static_cast<uint8_t>(b); });
  const bool negative = !magnitude.empty() && (magnitude.back() & 0x80) != 0;
  if (negative) {  // two's complement
    unsigned carry = 1;
    for (uint8_t& b : magnitude) {
      carry += static_cast<uint8_t>(~b);
      b = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
  }
  while (!magnitude.empty() && magnitude.back() == 0) magnitude.pop_back();
  std::string out;
  if (bytes.size() > 64) {  // decimal takes time in the square of the length
    for (const uint8_t b : magnitude) {
      out += "0123456789abcdef"[b & 15];
      out += "0123456789abcdef"[b >> 4];
    }
    if (out.ends_with('0')) out.pop_back();
    out += "x0";
  } else {
    while (!magnitude.empty()) {
      unsigned remainder = 0;
      for (size_t i = magnitude.size(); i-- > 0;) {
        remainder = remainder * 256 + magnitude[i];
        magnitude[i] = static_cast<uint8_t>(remainder / 10);
        remainder %= 10;
      }
      out += static_cast<char>('0' + remainder);
      while (!magnitude.empty() && magnitude.back() == 0) magnitude.pop_back();
    }
    if (out.empty()) out.push_back('0');
  }
  if (negative) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

std::string one_word(std::string_view name) {
  static constexpr size_t kMax = 120;
  std::string out;
  for (const char c : name.substr(0, kMax)) out += c > ' ' && c < '\x7f' && c != '[' && c != '?' ? c : '_';
  return out;
}

}  // namespace remap::formats
