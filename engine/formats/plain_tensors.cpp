#include "formats/plain_tensors.h"

#include <map>

#include "formats/plain_scanner.h"

namespace remap::formats {
namespace {

// Where the value of "tensors" in the outermost object begins; npos if there is none.
size_t find_list(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    if (PlainScanner name(text, at); depth == 1 && name.take_name("tensors")) return name.position();
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
  PlainScanner in(text, std::min(begin, text.size()));
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
