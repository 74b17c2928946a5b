#include "formats/plain_tensors.h"

#include <charconv>
#include <map>

namespace remap::formats {
namespace {

class Scanner {
 public:
  Scanner(std::string_view text, size_t at) : text_(text), at_(at) {}
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
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] < ' ' || text_[at_] > '~' || text_[at_] == '\\') return false;
      ++at_;
    }
    found = text_.substr(begin, at_ - begin);
    return take('"');
  }
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

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  std::string_view text_;
  size_t at_;
};

// Where the value of "tensors" in the outermost object begins; npos if there is none.
size_t find_list(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    if (Scanner name(text, at); depth == 1 && name.take_name("tensors")) return name.position();
    for (++at; at < text.size() && text[at] != '"'; ++at)
      if (text[at] == '\\') ++at;
  }
  return text.npos;
}

// Shapes that were met before.
class Shapes {
 public:
  const SharedShape& of(const Shape& shape) {
    const auto known = known_.find(shape);
    return known != known_.end() ? known->second : known_.emplace(shape, shape).first->second;
  }

 private:
  std::map<Shape, SharedShape> known_;
};

}  // namespace

std::optional<PlainTensors> take_plain_tensors(std::string_view text) {
  const size_t begin = find_list(text);
  Scanner in(text, std::min(begin, text.size()));
  if (!in.take('[')) return std::nullopt;
  PlainTensors found;
  Shapes shapes;
  Shape shape;
  do {
    std::string_view key, dtype_text, alias;
    if (!in.take('{') || !in.take_name("key") || !in.take_text(key) || !in.take(',') || !in.take_name("dtype") ||
        !in.take_text(dtype_text) || !in.take(',') || !in.take_name("shape") || !in.take_sizes(shape))
      return std::nullopt;
    if (in.take(',') && (!in.take_name("alias") || !in.take_text(alias))) return std::nullopt;
    const auto dtype = parse_dtype(dtype_text);
    if (!in.take('}') || !dtype) return std::nullopt;
    found.tensors.push_back({std::string(key), *dtype, shapes.of(shape), std::string(alias), {}});
  } while (in.take(','));
  if (!in.take(']')) return std::nullopt;
  found.rest.append(text.substr(0, begin)).append("[]").append(text.substr(in.position()));
  return found;
}

}  // namespace remap::formats
