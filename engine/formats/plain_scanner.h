// JSON as programs write long lists of tensors: no escapes, nothing but ASCII. Private to the readers, which leave to
// the general parser what is written otherwise: it also says what is wrong.
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>

#include "remap/manifest.h"

namespace remap::formats {

// Each function goes past what it takes, and past blanks before it; where it returns false the position is of no use.
class PlainScanner {
 public:
  explicit PlainScanner(std::string_view text, size_t at = 0) : text_(text), at_(at) {}
  size_t position() const { return at_; }

  bool take(char wanted) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  // "name": …
  bool take_name(std::string_view name) {
    std::string_view found;
    return take_text(found) && found == name && take(':');
  }
  // A string of printable ASCII without escapes.
  bool take_text(std::string_view& found) {
    if (!take('"')) return false;
    const size_t end = text_.find('"', at_);
    if (end == std::string_view::npos) return false;
    found = text_.substr(at_, end - at_);
    at_ = end + 1;
    bool plain = true;
    for (const char c : found) plain &= c >= ' ' && c <= '~' && c != '\\';
    return plain;
  }
  // [2,3]: whole numbers, none negative.
  bool take_sizes(Shape& sizes) {
    sizes.clear();
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      skip_blanks();
      int64_t size = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0 || *begin == '-' || (*begin == '0' && end != begin + 1)) return false;
      at_ += static_cast<size_t>(end - begin);
      sizes.push_back(size);
    } while (take(','));
    return take(']');
  }
  // {…}, whatever it is, by its brackets.
  bool take_object(std::string_view& found) {
    if (!take('{')) return false;
    const size_t begin = at_ - 1;
    for (int depth = 1; depth > 0; ++at_) {
      if (at_ == text_.size()) return false;
      const char c = text_[at_];
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
      if (c != '"') continue;
      for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
        if (text_[at_] == '\\') ++at_;
      if (at_ >= text_.size()) return false;
    }
    found = text_.substr(begin, at_ - begin);
    return true;
  }
  bool is_at_end() {
    skip_blanks();
    return at_ == text_.size();
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  std::string_view text_;
  size_t at_;
};

}  // namespace remap::formats
