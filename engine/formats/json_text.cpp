#include "formats/json_text.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/sorted_order.h"
#include "base/text.h"

namespace remap::formats {
namespace {

constexpr size_t kMaxJsonDepth = 128;

// Python writes three floats that are none of JSON's numbers. Each is replaced by a number that is as long, and of a
// form (a large E) that no other number of the text has any more; so places in messages stay as they are.
constexpr std::string_view kNan = "0E9", kInfinity = "0E999999", kNegativeInfinity = "-0E999999";

std::optional<double> not_finite(const std::string& number) {
  if (number == kNan) return std::numeric_limits<double>::quiet_NaN();
  if (number == kInfinity) return std::numeric_limits<double>::infinity();
  if (number == kNegativeInfinity) return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// Receives nlohmann's SAX events. The library's own builder looks every key up in a list (quadratic) and lets the last
// of two equal keys win, which is why there is this one.
class Builder {
 public:
  using Body = std::function<void(const std::string& key, const Json& value)>;
  // `body`, if there is one, gets the members of the outermost object.
  Builder(std::string_view text, const JsonOrigin& origin, const Body* body = nullptr)
      : text_(text), origin_(origin), body_(body) {}
  Json take() { return std::move(root_); }

  void parse() { parse(text_); }
  // `form`: the text, or what finite_form() makes of it, which is as long.
  void parse(std::string_view form) {
    of_python_ = form.data() != text_.data();
    Json::sax_parse(form.begin(), form.end(), this);
    // The library takes a NUL for the end of the text.
    if (const size_t nul = text_.find('\0'); nul != std::string_view::npos)
      throw Error(origin_.id, place(nul), "not valid JSON: a byte 0");
  }

  bool null() { return add(Json(nullptr)); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(int64_t value) { return add(Json(value)); }
  bool number_unsigned(uint64_t value) { return add(Json(value)); }
  bool number_float(double value, const std::string& text) {
    return add(Json(of_python_ ? not_finite(text).value_or(value) : value));
  }
  bool string(std::string& value) { return add(Json(std::move(value))); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool end_object() {
    refuse_duplicates(*open_.back());
    return close();
  }
  bool key(std::string& value) {
    keys_.back() = std::move(value);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …": keep what follows the
    // place. "[json.exception.out_of_range.406] number overflow parsing '1e400'" has none.
    std::string_view message = error.what();
    if (const size_t name = message.find("] "); message.starts_with('[') && name != message.npos)
      message.remove_prefix(name + 2);
    if (message.starts_with("parse error at")) message.remove_prefix(std::min(message.size(), message.find(": ") + 2));
    throw Error(origin_.id, place(position == 0 ? 0 : position - 1), fmt::format("not valid JSON: {}", message));
  }

 private:
  Place place(uint64_t position) const {
    if (origin_.offset_bytes) return BytePlace{origin_.file, {}, *origin_.offset_bytes + position};
    return text_place(origin_.file, text_, position);
  }
  Place whole() const { return BytePlace{origin_.file, {}, origin_.offset_bytes}; }
  Json* put(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &append_member(parent, std::move(keys_.back()), std::move(value));
  }
  bool add(Json value) {
    put(std::move(value));
    if (open_.size() == 1) give_away();
    return true;
  }
  bool open(Json container) {
    if (open_.size() >= kMaxJsonDepth)
      throw Error(origin_.id, whole(), fmt::format("JSON nested deeper than {} levels", kMaxJsonDepth));
    // A container does not move while it is open: its parent grows only after it is closed.
    open_.push_back(put(std::move(container)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    if (open_.size() == 1) give_away();
    return true;
  }
  // The member of the outermost object that is complete now.
  void give_away() {
    if (body_ == nullptr || !root_.is_object()) return;
    auto& members = root_.get_ref<Json::object_t&>();
    auto& [key, value] = members.back();
    (*body_)(key, value);
    given_.push_back(key);
    members.clear();
  }
  void refuse_duplicates(const Json& object) const {
    std::vector<std::string_view> keys;
    if (open_.size() == 1) keys.assign(given_.begin(), given_.end());
    keys.reserve(object.size());
    for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) keys.push_back(key);
    const auto order = sorted_order(keys.size(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
    const auto twice =
        std::adjacent_find(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] == keys[b]; });
    if (twice != order.end())
      throw Error(origin_.id, whole(), fmt::format("the key '{}' occurs twice in one JSON object", keys[*twice]));
  }

  std::string_view text_;
  const JsonOrigin& origin_;
  const Body* body_;
  bool of_python_ = false;
  Json root_;
  std::vector<std::string> given_;  // keys of members that were given away
  std::vector<Json*> open_;
  std::vector<std::string> keys_;  // the key whose value comes next, for each open container
};

}  // namespace

Json parse_json(std::string_view text, const JsonOrigin& origin) {
  Builder builder(text, origin);
  builder.parse();
  return builder.take();
}

Json parse_json_members(std::string_view text, const JsonOrigin& origin, const Builder::Body& body) {
  Builder builder(text, origin, &body);
  builder.parse();
  return builder.take();
}

namespace {

bool in_a_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_.+-").find(c) != std::string_view::npos;
}

std::string finite_form(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kForms[] = {
      {"NaN", kNan}, {"Infinity", kInfinity}, {"-Infinity", kNegativeInfinity}};
  std::string finite(text);
  bool in_string = false;
  for (size_t i = 0; i < finite.size(); ++i) {
    if (in_string && finite[i] == '\\') {
      ++i;
    } else if (finite[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && i > 0 && finite[i] == 'E' && is_digit(finite[i - 1])) {
      finite[i] = 'e';
    } else if (!in_string && (i == 0 || !in_a_word(finite[i - 1]))) {
      for (const auto& [word, form] : kForms)
        if (const size_t end = i + word.size();
            text.substr(i).starts_with(word) && (end == text.size() || !in_a_word(text[end]))) {
          finite.replace(i, word.size(), form);
          i = end - 1;
          break;
        }
    }
  }
  return finite;
}

}  // namespace

Json parse_python_json(std::string_view text, const JsonOrigin& origin) {
  Builder builder(text, origin);
  builder.parse(finite_form(text));
  return builder.take();
}

TextPlace text_place(const std::string& file, std::string_view text, uint64_t offset, uint64_t length) {
  offset = std::min<uint64_t>(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const size_t newline = before.rfind('\n');
  const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
  std::string_view line = text.substr(start, text.find('\n', offset) - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const int column = static_cast<int>(std::min<uint64_t>(offset - start, 1'000'000)) + 1;
  TextPlace place{file,
                  static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
                  column,
                  column + static_cast<int>(std::min<uint64_t>(length, 1'000'000)),
                  {}};
  constexpr size_t kMaxLine = 400;  // a minified file is one line
  if (line.size() <= kMaxLine) place.source_line = std::string(line);
  return place;
}

}  // namespace remap::formats
