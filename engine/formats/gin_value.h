// One value of a gin file: a Python literal, a macro, a reference, or containers of them. Private to the reader of gin
// files (gin.h, which has the grammar).
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/json_text.h"
#include "remap/diagnostic.h"
#include "remap/limits.h"
#include "remap/metadata.h"

namespace remap::formats {

inline bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_'; }

// The characters of the file, with what they are worth to Python: blanks, comments, line ends, continued lines.
class GinCursor {
 public:
  GinCursor(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  bool at_end() const { return at_ >= text_.size(); }
  size_t position() const { return at_; }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  char next() { return text_[at_++]; }
  bool starts_with(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  void skip(size_t n) { at_ += n; }
  std::string_view since(size_t begin) const { return text_.substr(begin, at_ - begin); }
  // Of the cursor, from 1. Cheaper than place(), which counts the lines above.
  size_t column() const {
    const size_t newline = text_.substr(0, at_).rfind('\n');
    return newline == std::string_view::npos ? at_ + 1 : at_ - newline;
  }

  // Blanks and continued lines; inside brackets also comments and line ends.
  void skip_blanks(bool in_brackets) {
    while (!at_end()) {
      const char c = peek();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
        ++at_;
      } else if (c == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) {
        at_ += peek(1) == '\n' ? 2 : 3;
      } else if (in_brackets && c == '\n') {
        ++at_;
      } else if (in_brackets && c == '#') {
        skip_comment();
      } else {
        break;
      }
    }
  }
  void skip_comment() {
    while (!at_end() && peek() != '\n') ++at_;
  }
  // To the next statement. Leaves the cursor on its first character, whose column is its indentation + 1.
  void skip_empty_lines() {
    while (!at_end()) {
      skip_blanks(false);
      if (peek() == '#') skip_comment();
      if (at_end() || peek() != '\n') return;
      ++at_;
    }
  }
  // The end of a statement: line end or end of file, after an optional comment.
  void expect_line_end() {
    skip_blanks(false);
    if (peek() == '#') skip_comment();
    if (at_end()) return;
    if (peek() != '\n') fail(fmt::format("{} after the end of the statement", describe()));
    ++at_;
  }

  // What is at the cursor, for a message.
  std::string describe() const {
    if (at_end()) return "the end of the file";
    const char c = peek();
    if (c == '\n') return "the end of the line";
    const bool printable = c > ' ' && c < 0x7f;
    return printable ? fmt::format("'{}'", c) : fmt::format("the byte 0x{:02x}", static_cast<unsigned char>(c));
  }
  TextPlace place(size_t at, size_t length = 1) const { return text_place(file_, text_, at, length); }
  [[noreturn]] void fail(const std::string& message) const { fail_at(at_, message); }
  [[noreturn]] void fail_limit(const std::string& message) const { throw Error("limit-exceeded", place(at_), message); }
  [[noreturn]] void fail_at(size_t at, const std::string& message) const {
    throw Error("gin-syntax", place(at), message);
  }

 private:
  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
};

// Reads the value at the cursor. `n_nodes` counts the values of the file, which limits.max_metadata_nodes bounds.
// Throws Error "gin-syntax" or "limit-exceeded".
Json parse_gin_value(GinCursor& in, const Limits& limits, uint64_t& n_nodes);

// name{.name}, with scope/ before it; "" if there is none. Throws Error "gin-syntax".
std::string parse_gin_selector(GinCursor& in);

}  // namespace remap::formats
