#include "formats/gin.h"

#include <charconv>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "formats/json_text.h"
#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

constexpr int kMaxDepth = 100;  // of containers in a value

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_'; }

void append_utf8(uint32_t code, std::string& out) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      push(0xe0 | code >> 12);
    } else {
      push(0xf0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3f));
    }
    push(0x80 | (code >> 6 & 0x3f));
  }
  push(0x80 | (code & 0x3f));
}

// The characters of the file, with what they are worth to Python: blanks, comments, line ends, continued lines.
class Cursor {
 public:
  Cursor(std::string_view text, const std::string& file) : text_(text), file_(file) {}

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

// Parses one value: a Python literal, %macro or @reference, or containers of them.
class ValueParser {
 public:
  ValueParser(Cursor& in, const Limits& limits) : in_(in), limits_(limits) {}

  Json parse() { return value(0); }

  // name{.name}, with scope/ before it; "" if there is none.
  std::string selector() {
    const size_t begin = in_.position();
    while (is_word(in_.peek()) || in_.peek() == '.' || in_.peek() == '/') in_.skip(1);
    const std::string text(in_.since(begin));
    char before = '/';
    for (const char c : text + '/') {
      const bool word_starts = before == '/' || before == '.';
      if (word_starts && (!is_word(c) || is_digit(c))) {
        if (text.empty()) return {};
        in_.fail_at(begin, fmt::format("'{}' is not a name of the form scope/module.name", text));
      }
      before = c;
    }
    return text;
  }

 private:
  Json value(int depth) {
    if (depth > kMaxDepth) in_.fail(fmt::format("a value nested deeper than {} levels", kMaxDepth));
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
    for (auto& [key, item] : members) target.Json::object_t::Container::emplace_back(std::move(key), std::move(item));
    return object;
  }

  // JSON has text keys only: 1 becomes "1".
  std::string dictionary_key(int depth) {
    const size_t begin = in_.position();
    const Json key = value(depth + 1);
    if (key.is_string()) return key.get<std::string>();
    if (key.is_primitive()) return key.dump();
    in_.fail_at(begin, "a dictionary's key is neither a text nor a number");
  }

  Json macro() {
    in_.skip(1);
    const std::string name = selector();
    if (name.empty()) in_.fail("'%' without a macro's name");
    return Json{{"$macro", name}};
  }

  Json reference(int depth) {
    in_.skip(1);
    std::string name = selector();
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
    if (!is_utf8(text)) in_.fail_at(begin, "the text is not UTF-8 once its escapes are read");
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
      append_utf8(code, text);
    } else if (c == 'x' || (!bytes && (c == 'u' || c == 'U'))) {
      append_utf8(hexadecimal(begin, c == 'x' ? 2 : c == 'u' ? 4 : 8), text);
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

  Cursor& in_;
  const Limits& limits_;
  uint64_t n_nodes_ = 0;
};

struct Binding {
  std::string key;
  Json value;
  size_t position = 0;  // of the value in the text
};

class FileParser {
 public:
  FileParser(std::string_view text, const std::string& file, const Limits& limits)
      : in_(text, file), values_(in_, limits), file_(file) {}

  void parse() {
    for (in_.skip_empty_lines(); !in_.at_end(); in_.skip_empty_lines()) {
      if (in_.column() != 1) in_.fail("unexpected indentation");
      statement();
    }
  }

  const Cursor& cursor() const { return in_; }
  std::vector<Binding>& bindings() { return bindings_; }
  const std::unordered_map<std::string, size_t>& index() const { return index_; }
  const std::vector<std::string>& imports() const { return imports_; }
  std::vector<std::string>& remarks() { return remarks_; }

 private:
  void statement() {
    const size_t begin = in_.position();
    const std::string name = values_.selector();
    if (name.empty()) in_.fail(fmt::format("{} where a binding was expected", in_.describe()));
    const bool more_words = in_.peek() == ' ' || in_.peek() == '\t';
    in_.skip_blanks(false);
    const bool assigned = in_.peek() == '=' || in_.peek() == ':';
    if (!assigned && more_words && (name == "import" || name == "from")) return import(begin);
    if (!assigned && name == "include") return include(begin);
    if (in_.peek() == ':') return block(name);
    binding(name);
  }

  void binding(const std::string& key) {
    if (in_.peek() != '=') in_.fail(fmt::format("{} where '=' was expected", in_.describe()));
    in_.skip(1);
    in_.skip_blanks(false);
    const size_t position = in_.position();
    Json value = values_.parse();
    in_.expect_line_end();
    const auto [it, fresh] = index_.emplace(key, bindings_.size());
    if (fresh)
      bindings_.push_back({key, std::move(value), position});
    else
      bindings_[it->second] = {key, std::move(value), position};
  }

  void block(const std::string& name) {
    in_.skip(1);
    in_.expect_line_end();
    size_t indentation = 0;
    for (in_.skip_empty_lines(); !in_.at_end() && in_.column() > 1; in_.skip_empty_lines()) {
      if (indentation == 0) indentation = in_.column();
      if (in_.column() != indentation) in_.fail("the indentation differs from that of the block's first line");
      const std::string parameter = values_.selector();
      if (parameter.empty()) in_.fail(fmt::format("{} where a parameter's name was expected", in_.describe()));
      in_.skip_blanks(false);
      binding(fmt::format("{}.{}", name, parameter));
    }
    if (indentation == 0) in_.fail(fmt::format("the block '{}' has no parameters", name));
  }

  // Kept as written, with single blanks.
  void import(size_t begin) {
    while (is_word(in_.peek()) || in_.peek() == '.' || in_.peek() == ' ' || in_.peek() == '\t') in_.skip(1);
    std::string text;
    for (const char c : in_.since(begin)) {
      const bool blank = c == ' ' || c == '\t';
      if (!blank) text += c;
      if (blank && !text.ends_with(' ')) text += ' ';
    }
    while (text.ends_with(' ')) text.pop_back();
    in_.expect_line_end();
    imports_.push_back(text);
  }

  void include(size_t begin) {
    const Json name = values_.parse();
    if (!name.is_string()) in_.fail_at(begin, "include is followed by something other than a file's name");
    in_.expect_line_end();
    remarks_.push_back(fmt::format("{}:{}: include '{}' is not followed", file_, in_.place(begin).line,
                                   name.get_ref<const std::string&>()));
  }

  Cursor in_;
  ValueParser values_;
  const std::string& file_;
  std::vector<Binding> bindings_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::string> imports_;
  std::vector<std::string> remarks_;
};

// Replaces macros by their values. A macro that names another is resolved once; the total size is bounded, because a
// few lines can describe a value of any size.
class MacroResolver {
 public:
  MacroResolver(FileParser& file, const Limits& limits)
      : file_(file), limits_(limits), states_(file.bindings().size(), State::open) {}

  void run() {
    for (size_t i = 0; i < states_.size(); ++i) resolve(i, 0);
  }

 private:
  enum class State : uint8_t { open, busy, done };

  void resolve(size_t i, int depth) {
    if (states_[i] == State::done) return;
    states_[i] = State::busy;
    substitute(file_.bindings()[i].value, i, depth);
    states_[i] = State::done;
  }

  void substitute(Json& value, size_t owner, int depth) {
    check_limits(owner, depth);
    if (value.is_object() && value.size() == 1 && value.begin().key() == "$macro" && value.begin()->is_string()) {
      const auto it = file_.index().find(value.begin()->get<std::string>());
      if (it == file_.index().end()) return;  // a constant of some module
      if (states_[it->second] == State::busy)
        throw Error("gin-macro-cycle", file_.cursor().place(file_.bindings()[owner].position),
                    fmt::format("the macro '%{}' is defined by itself", it->first));
      resolve(it->second, depth + 1);
      const Json& resolved = file_.bindings()[it->second].value;
      count(resolved, owner, depth);
      value = resolved;
      return;
    }
    if (value.is_structured())
      for (Json& item : value) substitute(item, owner, depth + 1);
  }

  // Before a copy is made of `value`, `depth` levels down in the value of `owner`.
  void count(const Json& value, size_t owner, int depth) {
    check_limits(owner, depth);
    if (value.is_structured())
      for (const Json& item : value) count(item, owner, depth + 1);
  }

  void check_limits(size_t owner, int depth) {
    const auto refuse = [&](std::string_view name) {
      throw Error("limit-exceeded", file_.cursor().place(file_.bindings()[owner].position),
                  fmt::format("the value of '{}', with its macros resolved, is too large ({})",
                              file_.bindings()[owner].key, name));
    };
    if (++n_nodes_ > limits_.max_metadata_nodes) refuse("max_metadata_nodes");
    if (depth > limits_.max_metadata_depth) refuse("max_metadata_depth");
  }

  FileParser& file_;
  const Limits& limits_;
  std::vector<State> states_;
  uint64_t n_nodes_ = 0;
};

}  // namespace

GinConfig parse_gin(std::string_view text, const std::string& file, const Limits& limits) {
  if (!is_utf8(text)) throw Error("gin-syntax", BytePlace{file, {}, {}}, "not a text: the file is not UTF-8");
  FileParser parser(text, file, limits);
  parser.parse();
  MacroResolver(parser, limits).run();
  GinConfig config;
  auto& values = config.values.get_ref<Json::object_t&>();
  if (!parser.imports().empty()) values.Json::object_t::Container::emplace_back("$imports", parser.imports());
  for (Binding& binding : parser.bindings())
    values.Json::object_t::Container::emplace_back(binding.key, std::move(binding.value));
  config.remarks = std::move(parser.remarks());
  return config;
}

}  // namespace remap::formats
