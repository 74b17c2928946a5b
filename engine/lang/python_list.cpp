#include "lang/python_list.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace remap::lang {
namespace {

constexpr int kMaxListNesting = 16;
constexpr size_t kMaxEntries = 100'000;  // of one list, after every repetition

class ListParser {
 public:
  explicit ListParser(const std::string& text) : text_(text) {}

  // Sets `wrong` if the text is not a list.
  Json whole(std::string& wrong) {
    Json list = sum();
    skip_spaces();
    if (wrong_.empty() && at_ < text_.size()) fail("'+' or '*'");
    wrong = wrong_;
    return list;
  }

 private:
  bool bad() const { return !wrong_.empty(); }
  void fail(const std::string& expected) {
    if (bad()) return;
    wrong_ = fmt::format("{} was expected at character {}, found {}", expected, at_ + 1,
                         at_ < text_.size() ? fmt::format("'{}'", text_[at_]) : "the end");
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip_spaces();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void limit(size_t entries) {
    if (entries > kMaxEntries && !bad()) wrong_ = fmt::format("it has more than {} entries", kMaxEntries);
  }

  Json sum() {
    Json list = product();
    while (!bad() && accept('+')) {
      const Json more = product();
      limit(list.size() + more.size());
      if (!bad()) list.insert(list.end(), more.begin(), more.end());
    }
    return list;
  }

  Json product() {
    Json list = this->list();
    while (!bad() && accept('*')) {
      skip_spaces();
      size_t times = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), times);
      if (error != std::errc()) {
        fail("a number of repetitions");
        break;
      }
      at_ = static_cast<size_t>(end - text_.data());
      limit(times > kMaxEntries ? times : list.size() * times);
      if (bad()) break;
      Json repeated = Json::array();
      for (size_t i = 0; i < times; ++i) repeated.insert(repeated.end(), list.begin(), list.end());
      list = std::move(repeated);
    }
    return list;
  }

  Json list() {
    Json list = Json::array();
    const char close = accept('[') ? ']' : accept('(') ? ')' : '\0';
    if (close == '\0') return fail("a list"), list;
    if (++depth_ > kMaxListNesting) return wrong_ = "it is nested too deeply", list;
    while (!bad() && !accept(close)) {
      list.push_back(item());
      limit(list.size());
      if (!bad() && !accept(',') && peek() != close) fail(fmt::format("',' or '{}'", close));
    }
    --depth_;
    return list;
  }

  Json item() {
    const char c = peek();
    if (c == '[' || c == '(') return list();
    if (c == '\'' || c == '"') return quoted(c);
    return number();
  }

  Json quoted(char quote) {
    const size_t close = text_.find(quote, ++at_);
    if (close == std::string::npos) return fail("the end of a string"), Json();
    const std::string inner = text_.substr(at_, close - at_);
    at_ = close + 1;
    return inner;
  }

  Json number() {
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    int64_t integer = 0;
    double real = 0;
    const auto as_integer = std::from_chars(begin, end, integer);
    const auto as_real = std::from_chars(begin, end, real);
    if (as_real.ec != std::errc() || !std::isfinite(real)) return fail("a number, a string or a list"), Json();
    at_ += static_cast<size_t>(as_real.ptr - begin);
    return as_integer.ec == std::errc() && as_integer.ptr == as_real.ptr ? Json(integer) : Json(real);
  }

  const std::string& text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string wrong_;
};

}  // namespace

std::optional<Json> parse_python_list(const std::string& text, std::string& wrong) {
  Json list = ListParser(text).whole(wrong);
  return wrong.empty() ? std::optional(std::move(list)) : std::nullopt;
}

}  // namespace remap::lang
