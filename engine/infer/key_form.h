// A key with what varies in it: text, and tokens for what is not the same in all the keys it stands for. Private to
// infer.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace remap::infer {

struct KeyToken {
  // Forms are sorted in this order.
  enum class Kind {
    variable,  // a variable of the rule, by its number; a number may be moved by `add`
    part,      // a named part of the rule's operation
    each,      // a numbered part of the rule's operation
    number,    // any number
    word,      // one or more characters, none of them a separator
    rest,      // one or more characters
    text       // these characters
  } kind = Kind::text;
  std::string text = {};
  size_t variable = 0;
  int64_t add = 0;
  auto operator<=>(const KeyToken&) const = default;
};

// A value. Positions and sizes count every character of a text, and every other token as one. Text tokens are not
// empty and do not stand side by side, so two forms are equal exactly if they say the same.
class KeyForm {
 public:
  static constexpr size_t npos = static_cast<size_t>(-1);

  KeyForm() = default;
  explicit KeyForm(std::string_view text) { *this += text; }
  static KeyForm variable(size_t number, int64_t add = 0) { return one({KeyToken::Kind::variable, {}, number, add}); }
  static KeyForm part() { return one({KeyToken::Kind::part}); }
  static KeyForm each() { return one({KeyToken::Kind::each}); }
  static KeyForm number() { return one({KeyToken::Kind::number}); }
  static KeyForm word() { return one({KeyToken::Kind::word}); }
  static KeyForm rest() { return one({KeyToken::Kind::rest}); }

  KeyForm& operator+=(std::string_view text);
  KeyForm& operator+=(const KeyForm& other);
  template <typename Other>
  friend KeyForm operator+(KeyForm a, const Other& b) {
    return a += b;
  }
  auto operator<=>(const KeyForm&) const = default;
  bool operator==(const KeyForm&) const = default;

  const std::vector<KeyToken>& tokens() const { return tokens_; }
  bool empty() const { return tokens_.empty(); }
  size_t size() const;
  char char_at(size_t position) const;  // '\0': no text stands there
  KeyForm substr(size_t begin, size_t count = npos) const;
  bool starts_with(const KeyForm& other) const { return substr(0, other.size()) == other; }
  bool ends_with(const KeyForm& other) const;
  std::vector<size_t> separators() const;  // where '.' and '/' stand
  std::vector<KeyForm> segments() const;   // between these
  KeyForm parent() const;                  // up to the last of these; empty if there is none

  std::set<size_t> variables() const;
  bool has(KeyToken::Kind kind) const;
  std::string leading_text() const;         // up to the first token that is not text
  std::optional<std::string> text() const;  // nullopt: something varies
  KeyForm without_rule() const;             // what only the rule explains, as any number or any word
  std::string render(const std::function<std::string(const KeyToken&)>& text_of) const;
  std::string shown(std::string_view open) const;  // `open` for all that is not text

 private:
  static KeyForm one(KeyToken token);
  void push(KeyToken token);
  std::vector<KeyToken> tokens_;
};

// How many positions both have alike, from the begin or from the end.
size_t common_prefix(const KeyForm& a, const KeyForm& b);
size_t common_suffix(const KeyForm& a, const KeyForm& b);

}  // namespace remap::infer
