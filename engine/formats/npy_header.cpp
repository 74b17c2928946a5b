#include "formats/npy_header.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"
#include "tensor/box.h"
#include "tensor/byte_order.h"

namespace remap::formats {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";

struct Fields {
  std::string descr;  // "" for a list of fields
  bool column_major = false;
  Shape shape;
};

// A dict with exactly the fields 'descr', 'fortran_order' and 'shape'.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, const BytePlace& place, const Limits& limits)
      : text_(text), place_(place), limits_(limits) {}

  Fields read() {
    Fields fields;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string name = string("a field's name");
      expect(':');
      bool* const seen = name == "descr"           ? &descr
                         : name == "fortran_order" ? &order
                         : name == "shape"         ? &shape
                                                   : nullptr;
      if (seen == nullptr)
        fail(fmt::format("it has the field '{}'; 'descr', 'fortran_order' and 'shape' were expected", one_word(name)));
      if (*seen) fail(fmt::format("the field '{}' occurs twice", name));
      *seen = true;
      if (seen == &descr)
        fields.descr = descr_value();
      else if (seen == &order)
        fields.column_major = boolean();
      else
        fields.shape = sizes();
      if (take(',')) continue;
      expect('}');
      break;
    }
    for (const auto& [name, seen] : {std::pair{"descr", descr}, {"fortran_order", order}, {"shape", shape}})
      if (!seen) fail(fmt::format("it lacks the field '{}'", name));
    skip_space();
    if (at_ != text_.size()) fail("something follows its dict");
    return fields;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    BytePlace place = place_;
    place.offset = place_.offset.value_or(0) + at_;
    throw Error("numpy-bad-array", place, "the array's header is not what numpy writes: " + message,
                "nothing in it is evaluated; let numpy save the array again");
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (take(c)) return;
    const std::string found = at_ == text_.size() ? "its end" : fmt::format("'{}'", one_word(text_.substr(at_, 12)));
    fail(fmt::format("found {} where '{}' was expected", found, c));
  }
  std::string string(std::string_view what) {
    const char quote = take('\'') ? '\'' : take('"') ? '"' : '\0';
    const size_t end = quote == '\0' ? text_.npos : text_.find(quote, at_);
    const std::string_view found = end == text_.npos ? std::string_view() : text_.substr(at_, end - at_);
    if (end == text_.npos || found.find('\\') != found.npos) fail(fmt::format("{} is not a plain string", what));
    at_ = end + 1;
    return std::string(found);
  }
  bool word(std::string_view name) {
    skip_space();
    if (!text_.substr(at_).starts_with(name)) return false;
    at_ += name.size();
    return true;
  }
  bool boolean() {
    if (word("True")) return true;
    if (word("False")) return false;
    fail("'fortran_order' is neither True nor False");
  }
  // A record's fields are a list, which is not looked into: it ends where its brackets do.
  std::string descr_value() {
    if (!take('[')) return string("'descr'");
    for (size_t depth = 1; depth > 0; ++at_) {
      if (at_ == text_.size()) fail("the list 'descr' does not end");
      depth += text_[at_] == '[' ? 1 : 0;
      depth -= text_[at_] == ']' ? 1 : 0;
    }
    return "";
  }
  Shape sizes() {
    if (!take('(')) fail("'shape' is not a tuple");
    Shape shape;
    while (!take(')')) {
      skip_space();
      int64_t size = 0;
      const char* const end = text_.data() + text_.size();
      const auto [next, error] = std::from_chars(text_.data() + at_, end, size);
      if (error != std::errc() || size < 0) fail("'shape' holds something other than sizes");
      at_ = static_cast<size_t>(next - text_.data());
      take('L');  // Python 2's long integers
      shape.push_back(size);
      if (shape.size() > static_cast<size_t>(limits_.max_rank))
        throw Error("limit-exceeded", place_,
                    fmt::format("an array has more dimensions than max_rank ({})", limits_.max_rank));
      if (take(',')) continue;
      expect(')');
      break;
    }
    return shape;
  }

  std::string_view text_;
  size_t at_ = 0;
  BytePlace place_;
  const Limits& limits_;
};

// What an array's type is, if its elements are not numbers that are read.
std::string why_not_read(const std::string& descr) {
  if (descr.empty()) return "a numpy array of records";
  const std::string code = descr.substr(std::string_view("<>=|").find(descr.front()) == std::string_view::npos ? 0 : 1);
  const char kind = code.empty() ? '?' : code.front();
  if (kind == 'O') return "a numpy array of Python objects";
  if (kind == 'U' || kind == 'S') return "a numpy array of strings";
  if (kind == 'V')
    return fmt::format("a numpy array of '{}': numpy does not say which type that is (bfloat16 is saved as V2)",
                       one_word(descr));
  return fmt::format("a numpy array of '{}'", one_word(descr));
}

std::vector<int64_t> strides_of(const Shape& shape, bool column_major) {
  std::vector<int64_t> strides = row_major_strides(shape);
  if (!column_major) return strides;
  int64_t step = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    strides[d] = step;
    step *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

}  // namespace

NpyHeader read_npy_header(std::span<const std::byte> bytes, const std::string& file, const std::string& member,
                          const Limits& limits) {
  ByteReader in(bytes, file, member, "numpy-bad-array");
  const BytePlace begin = in.place();
  if (bytes.size() < kNpyMagic.size() || in.text(kNpyMagic.size(), "magic number") != kNpyMagic)
    throw Error("numpy-bad-array", begin, "this is not a numpy array: it does not begin with numpy's magic number");
  const unsigned version = in.u8("version");
  in.u8("version");
  if (version < 1 || version > 3)
    throw Error("numpy-bad-array", begin, fmt::format("version {} of numpy's format; 1 to 3 are read", version));
  const uint64_t length = version == 1 ? in.u16("header length") : in.u32("header length");
  if (length > kMaxNpyHeaderBytes)
    in.fail(fmt::format("the array's header would have {} bytes; at most {} are read", length, kMaxNpyHeaderBytes));
  const BytePlace place = in.place();
  const std::string_view text = in.text(length, "header");
  const Fields fields = LiteralReader(text, place, limits).read();
  const std::string descr = fields.descr;
  const bool has_order = !descr.empty() && std::string_view("<>=|").find(descr.front()) != std::string_view::npos;
  const auto dtype = array_dtype(has_order ? std::string_view(descr).substr(1) : std::string_view(descr));
  if (!dtype) {
    element_count(fields.shape, to_string(place) + ": an array");
    return {UnreadableTensor{why_not_read(descr), one_word(descr), fields.shape}, 0};
  }
  TensorSpec spec;
  spec.dtype = *dtype;
  spec.shape = fields.shape;
  const auto size = static_cast<uint64_t>(data_bytes(*dtype, fields.shape, to_string(place) + ": an array"));
  spec.strides = strides_of(fields.shape, fields.column_major);
  spec.big_endian = descr.front() == '>' && number_bytes(*dtype) > 1;
  spec.offset_bytes = in.position();
  return {std::move(spec), size};
}

}  // namespace remap::formats
