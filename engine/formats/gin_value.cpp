#include "formats/gin_value.h"

#include <charconv>
#include <optional>

#include "base/json_members.h"

namespace remap::formats {
namespace {

constexpr int kMaxGinDepth = 100;  // of containers in a value

// Parses one value: a Python literal, %macro or @reference, or containers of them.
class ValueParser {
 public:
  ValueParser(GinCursor& in, const Limits& limits, uint64_t& n_nodes) : in_(in), limits_(limits), n_nodes_(n_nodes) {}

  Json parse() { return value(0); }

 private:
  Json value(int depth) {
    if (depth > kMaxGinDepth) in_.fail(fmt::format("a value nested deeper than {} levels", kMaxGinDepth));
    if (++n_nodes_ > limits_.max_metadata_nodes)
      in_.fail_limit(fmt::format("more than {} values (max_metadata_nodes)", limits_.max_metadata_nodes));
    in_.skip_blanks(depth > 0);
    const char c = in_.peek();
    switch (c) {
      case '[': return sequence(']', depth);
      case '(': return sequence(')', depth);
      case '{': return dictionary(depth);
      case '%': return macro();
      case '@': return reference(depth);
      default: break;
    }
    if (string_prefix() >= 0) return strings(depth);
    if (is_digit(c) || c == '.' || c == '-' || c == '+') return number();
    return constant();
  }

  // [a, b] and (a, b); a single (a) is a, and (a,) a list of one.
  Json sequence(char closing, int depth) {
    in_.skip(1);
    Json items = Json::array();
    bool comma = false;
    while (true) {
      in_.skip_blanks(true);
      if (in_.peek() == closing) break;
      if (!items.empty() && !comma) in_.fail(fmt::format("{} where ',' or '{}' was expected", in_.describe(), closing));
      items.push_back(value(depth + 1));
      in_.skip_blanks(true);
      comma = in_.peek() == ',';
      if (comma) in_.skip(1);
    }
    in_.skip(1);
    if (closing == ')' && items.size() == 1 && !comma) return std::move(items[0]);
    return items;
  }

  Json dictionary(int depth) {
    in_.skip(1);
    std::vector<std::pair<std::string, Json>> members;
    std::unordered_map<std::string, size_t> places;
    bool comma = true;
    while (true) {
      in_.skip_blanks(true);
      if (in_.peek() == '}') break;
      if (!comma) in_.fail(fmt::format("{} where ',' or '}}' was expected", in_.describe()));
      std::string key = dictionary_key(depth);
      in_.skip_blanks(true);
      if (in_.peek() != ':') in_.fail(fmt::format("{} where ':' was expected", in_.describe()));
      in_.skip(1);
      Json item = value(depth + 1);
      const auto [it, fresh] = places.emplace(key, members.size());
      if (fresh)
        members.emplace_back(std::move(key), std::move(item));
      else
        members[it->second].second = std::move(item);  // as in Python
      in_.skip_blanks(true);
      comma = in_.peek() == ',';
      if (comma) in_.skip(1);
    }
    in_.skip(1);
    Json object = Json::object();
    auto& target = object.get_ref<Json::object_t&>();
    for (auto& [key, item] : members) append_member(target, std::move(key), std::move(item));
    return object;
  }

  // JSON has text keys only: 1 becomes "1".
  std::string dictionary_key(int depth) {
    const size_t begin = in_.position();
    const Json key = value(depth + 1);
    if (key.is_string()) return key.get<std::string>();
    if (key.is_primitive()) return key.dump();
    in_.fail_at(begin, "a dictionary's key is neither a string nor a number");
  }

  Json macro() {
    in_.skip(1);
    const std::string name = parse_gin_selector(in_);
    if (name.empty()) in_.fail("'%' without a macro's name");
    return Json{{"$macro", name}};
  }

  Json reference(int depth) {
    in_.skip(1);
    std::string name = parse_gin_selector(in_);
    if (name.empty()) in_.fail("'@' without a name");
    if (in_.peek() == '(') {
      in_.skip(1);
      in_.skip_blanks(true);
      if (in_.peek() != ')')
        in_.fail(fmt::format("{} where ')' was expected: a reference takes no arguments", in_.describe()));
      in_.skip(1);
      name += "()";
    }
    in_.skip_blanks(depth > 0);
    return Json{{"$ref", name}};
  }

  Json constant() {
    const size_t begin = in_.position();
    while (is_word(in_.peek())) in_.skip(1);
    const std::string_view word = in_.since(begin);
    if (word == "True") return true;
    if (word == "False") return false;
    if (word == "None") return nullptr;
    if (word.empty()) in_.fail(fmt::format("{} where a value was expected", in_.describe()));
    in_.fail_at(begin, fmt::format("'{}' is not a value; a literal, a %macro or an @reference was expected", word));
  }

  Json number() {
    const size_t begin = in_.position();
    bool negative = false;
    for (; in_.peek() == '-' || in_.peek() == '+'; in_.skip_blanks(false)) negative ^= in_.next() == '-';
    const size_t digits_begin = in_.position();
    // All that can belong to a number; an exponent's sign too.
    while (is_word(in_.peek()) || in_.peek() == '.' ||
           ((in_.peek() == '-' || in_.peek() == '+') && exponent_before(in_.since(digits_begin))))
      in_.skip(1);
    std::string digits;
    const std::string_view written = in_.since(digits_begin);
    for (size_t i = 0; i < written.size(); ++i) {
      if (written[i] != '_') {
        digits += written[i];
      } else if (i == 0 || i + 1 == written.size() || !is_word(written[i - 1]) || !is_word(written[i + 1]) ||
                 written[i + 1] == '_') {
        in_.fail_at(begin, fmt::format("'{}' is not a number", in_.since(begin)));
      }
    }
    if (auto integer = parse_integer(digits, negative)) return *integer;
    if (auto real = parse_real(digits)) return negative ? -*real : *real;
    in_.fail_at(begin, fmt::format("'{}' is not a number that can be read", in_.since(begin)));
  }

  static bool exponent_before(std::string_view text) {
    return !text.empty() && (text.back() == 'e' || text.back() == 'E') && !text.starts_with("0x") &&
           !text.starts_with("0X");
  }

  // Decimal, 0x, 0o, 0b; nullopt if it is none or does not fit 64 bits.
  static std::optional<Json> parse_integer(std::string_view digits, bool negative) {
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0') {
      const char letter = digits[1] | 0x20;
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    }
    if (base != 10) digits.remove_prefix(2);
    if (base == 10 && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != std::string_view::npos)
      return std::nullopt;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    if (!negative) return value <= uint64_t{INT64_MAX} ? Json(static_cast<int64_t>(value)) : Json(value);
    if (value > uint64_t{1} << 63) return std::nullopt;
    return Json(static_cast<int64_t>(0 - value));
  }

  // digits [. digits] [e [sign] digits], with a '.' or an exponent.
  static std::optional<double> parse_real(const std::string& text) {
    if (text.find_first_of(".eE") == std::string::npos) return std::nullopt;
    if (text.find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
    if (text.find_first_of("0123456789") > 1) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }

  // Length of a string's prefix (r, b, u and so on) if a string starts here, else -1.
  int string_prefix() const {
    int n = 0;
    const auto at = [&](int i) { return in_.peek(static_cast<size_t>(i)); };
    while (n < 2 && at(n) != '\0' && std::string_view("rRbBuU").find(at(n)) != std::string_view::npos) ++n;
    return at(n) == '\'' || at(n) == '"' ? n : -1;
  }

  // Adjacent strings are one.
  Json strings(int depth) {
    std::string text;
    const size_t begin = in_.position();
    while (string_prefix() >= 0) {
      string_literal(text);
      in_.skip_blanks(depth > 0);
    }
    if (!is_utf8(text)) in_.fail_at(begin, "the string is not UTF-8 once its escapes are read");
    return text;
  }

  void string_literal(std::string& text) {
    const size_t begin = in_.position();
    bool raw = false, bytes = false;
    for (int n = string_prefix(); n > 0; --n) {
      const char letter = in_.next() | 0x20;
      raw |= letter == 'r';
      bytes |= letter == 'b';
    }
    const char quote = in_.peek();
    const bool triple = in_.peek(1) == quote && in_.peek(2) == quote;
    const std::string closing(triple ? 3 : 1, quote);
    in_.skip(closing.size());
    while (!in_.starts_with(closing)) {
      if (in_.at_end() || (in_.peek() == '\n' && !triple))
        in_.fail_at(begin, fmt::format("the string is not closed by {}", closing));
      const char c = in_.next();
      if (c != '\\') {
        text += c;
      } else if (raw) {
        text += c;
        if (!in_.at_end()) text += in_.next();  // r'\'' : the quote is escaped, and the backslash stays
      } else {
        escape(text, bytes);
      }
    }
    in_.skip(closing.size());
  }

  // Behind a backslash.
  void escape(std::string& text, bool bytes) {
    const size_t begin = in_.position() - 1;
    if (in_.at_end()) in_.fail_at(begin, "a backslash ends the file");
    const char c = in_.next();
    static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      text += kMeanings[letter];
    } else if (c == '\n' || (c == '\r' && in_.peek() == '\n')) {
      if (c == '\r') in_.skip(1);  // the line goes on
    } else if (c >= '0' && c <= '7') {
      uint32_t code = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && in_.peek() >= '0' && in_.peek() <= '7'; ++i)
        code = code * 8 + static_cast<uint32_t>(in_.next() - '0');
      append_utf8(text, code);
    } else if (c == 'x' || (!bytes && (c == 'u' || c == 'U'))) {
      append_utf8(text, hexadecimal(begin, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N' && !bytes) {
      in_.fail_at(begin, "\\N{…} is not read; write the character itself");
    } else {
      text += '\\';  // not an escape: both characters stay, as in Python
      text += c;
    }
  }

  uint32_t hexadecimal(size_t begin, int n_digits) {
    uint32_t code = 0;
    for (int i = 0; i < n_digits; ++i) {
      const char c = in_.peek();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) in_.fail_at(begin, fmt::format("an escape of {} hexadecimal digits was expected", n_digits));
      code = code << 4 | static_cast<uint32_t>(digit);
      in_.skip(1);
    }
    if (code > 0x10ffff) in_.fail_at(begin, "an escape names no character");
    return code;
  }

  GinCursor& in_;
  const Limits& limits_;
  uint64_t& n_nodes_;
};

}  // namespace

Json parse_gin_value(GinCursor& in, const Limits& limits, uint64_t& n_nodes) {
  return ValueParser(in, limits, n_nodes).parse();
}

std::string parse_gin_selector(GinCursor& in) {
  const size_t begin = in.position();
  while (is_word(in.peek()) || in.peek() == '.' || in.peek() == '/') in.skip(1);
  const std::string text(in.since(begin));
  char before = '/';
  for (const char c : text + '/') {
    const bool word_starts = before == '/' || before == '.';
    if (word_starts && (!is_word(c) || is_digit(c))) {
      if (text.empty()) return {};
      in.fail_at(begin, fmt::format("'{}' is not a name of the form scope/module.name", text));
    }
    before = c;
  }
  return text;
}

}  // namespace remap::formats
