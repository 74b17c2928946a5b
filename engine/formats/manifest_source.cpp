#include "formats/manifest_source.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <variant>

#include <fmt/format.h>

#include "formats/json_text.h"
#include "formats/key_ranges.h"
#include "formats/limit.h"
#include "remap/manifest_file.h"
#include "tensor/box.h"

namespace remap {
namespace formats {
namespace {

class ManifestSource final : public Source {
 public:
  ManifestSource(std::string path, Manifest manifest, Json metadata)
      : path_(std::move(path)), manifest_(std::move(manifest)), metadata_(std::move(metadata)) {}

  std::string_view format() const override { return "manifest"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  bool has_data() const override { return false; }
  std::vector<Box> tile_boxes(size_t index) const override {
    require_read(manifest_[index], path_);
    return whole_tensor_tile(stored_form(manifest_[index]).shape);
  }
  TileView load(size_t index, size_t, TileBuffer&) const override {
    require_read(manifest_[index], path_);
    throw Error("manifest-no-data", BytePlace{path_, {}, {}},
                fmt::format("this is a manifest, which has no data for '{}'", manifest_[index].key),
                "give the checkpoint itself");
  }

 private:
  std::string path_;
  Manifest manifest_;
  Json metadata_;
};

// What a line or an entry says, before it is known to be right. The error's place is added by the caller.
struct Problem {
  size_t offset = 0;  // in the line
  std::string message;
};

// What a line of text can say of a tensor that is not read. The dtype may be empty.
bool is_one_word(const std::string& text) {
  return text != "?" && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '['; });
}
bool is_one_line(const std::string& text) {
  const bool blank_ends = !text.empty() && (text.front() == ' ' || text.back() == ' ');
  return !text.empty() && !blank_ends &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

void check_tensor(const TensorInfo& tensor, const Place& place, const Limits& limits) {
  if (tensor.key.empty()) throw Error("manifest-syntax", place, "a tensor's key is empty");
  check_limit(tensor.key.size(), limits.max_key_bytes, "max_key_bytes", place, "bytes of a key");
  check_limit(tensor.shape.size(), static_cast<uint64_t>(limits.max_rank), "max_rank", place, "dimensions");
  try {
    element_count(tensor.shape, tensor.key);
  } catch (const Error& error) {  // says what is wrong, but not where
    throw Error(error.diagnostic().id, place, error.diagnostic().message);
  }
  if (tensor.unread == nullptr && !is_whole_bytes(tensor.dtype, tensor.shape))
    throw Error("manifest-syntax", place,
                fmt::format("'{}' is {} {}, which is not a whole number of bytes", tensor.key, name(tensor.dtype),
                            to_string(tensor.shape)));
  if (tensor.unread != nullptr && (!is_one_word(tensor.unread->dtype) || !is_one_line(tensor.unread->why)))
    throw Error("manifest-syntax", place,
                fmt::format("'{}' is not read: its dtype is one word, and the reason one line", tensor.key));
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// "[2, 3]" or "[]"; nullopt for anything else.
std::optional<Shape> parse_shape(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = trim(text.substr(1, text.size() - 2));
  Shape shape;
  while (!text.empty()) {
    int64_t dim = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (error != std::errc() || dim < 0) return std::nullopt;
    shape.push_back(dim);
    text = trim(text.substr(static_cast<size_t>(end - text.data())));
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text = trim(text.substr(1));
    if (text.empty()) return std::nullopt;
  }
  return shape;
}

constexpr std::string_view kNotRead = "not read: ";

// Where the reason of a tensor that is not read begins, after a blank; npos if there is none. A quoted key is stepped
// over.
size_t find_reason(std::string_view text) {
  size_t begin = 0;
  if (text.starts_with('"'))
    for (begin = 1; begin < text.size() && text[begin] != '"'; ++begin)
      if (text[begin] == '\\') ++begin;
  for (size_t at = text.find(kNotRead, begin); at != text.npos; at = text.find(kNotRead, at + 1))
    if (at > 0 && is_blank(text[at - 1])) return at;
  return text.npos;
}

// One line, read from its end: the reason if it is not read, the shape, the dtype, and what is left is the key.
std::variant<TensorInfo, Problem> parse_line(std::string_view line) {
  const auto offset_of = [&](std::string_view part) { return static_cast<size_t>(part.data() - line.data()); };
  std::string_view text = trim(line);
  const size_t reason_at = find_reason(text);
  const bool unread = reason_at != text.npos;
  const std::string_view reason = unread ? text.substr(reason_at + kNotRead.size()) : std::string_view{};
  if (unread) text = trim(text.substr(0, reason_at));
  const size_t bracket = unread && text.ends_with('?') ? text.size() - 1 : text.rfind('[');
  if (bracket == std::string_view::npos || bracket == 0)
    return Problem{offset_of(text), "no shape such as [2,3] ends the line"};
  const auto shape =
      unread && text.substr(bracket) == "?" ? std::optional<Shape>(Shape{}) : parse_shape(text.substr(bracket));
  if (!shape)
    return Problem{offset_of(text) + bracket, fmt::format("'{}' is not a shape such as [2,3]", text.substr(bracket))};
  const std::string_view front = trim(text.substr(0, bracket));
  const size_t gap = front.find_last_of(" \t");
  if (gap == std::string_view::npos) return Problem{offset_of(front), "a key, a dtype and a shape were expected"};
  const std::string_view dtype_text = front.substr(gap + 1), key_text = trim(front.substr(0, gap));
  const auto dtype = parse_dtype(dtype_text);
  if (!dtype && !unread) return Problem{offset_of(dtype_text), fmt::format("the dtype '{}' is not known", dtype_text)};
  TensorInfo tensor{std::string(key_text), dtype.value_or(DType::f32), *shape};
  if (unread)
    tensor = unread_tensor(std::move(tensor.key), std::string(reason), dtype_text == "?" ? "" : std::string(dtype_text),
                           text.substr(bracket) == "?" ? std::nullopt : shape);
  if (key_text.starts_with('"')) {
    const Json key = Json::parse(key_text, nullptr, false);
    if (!key.is_string()) return Problem{offset_of(key_text), "the key starts with '\"' and is not a JSON string"};
    tensor.key = key.get<std::string>();
  } else if (key_text.find_first_of(" \t") != std::string_view::npos) {
    return Problem{offset_of(key_text), "a key with blanks is written as a JSON string"};
  }
  return tensor;
}

bool is_empty_or_comment(std::string_view line) {
  line = trim(line);
  return line.empty() || line.front() == '#';
}

class JsonManifest {
 public:
  JsonManifest(const std::string& path, const Limits& limits) : path_(path), limits_(limits) {}

  bool folded = false;  // keys may stand for several

  std::vector<TensorInfo> tensors(const Json& list) {
    if (!list.is_array() && !list.is_object()) fail("'tensors' is neither an array nor an object");
    check_limit(list.size(), limits_.max_tensors, "max_tensors", BytePlace{path_, {}, {}}, "tensors");
    std::vector<TensorInfo> result;
    result.reserve(list.size());
    if (list.is_object())
      for (const auto& [key, entry] : list.items()) add(tensor(key, entry), result);
    else
      for (const Json& entry : list) add(tensor(text(entry, "key", "a tensor"), entry), result);
    check_aliases(result);
    return result;
  }
  std::vector<TensorInfo> tensors(std::vector<TensorInfo> plain) {
    std::vector<TensorInfo> result;  // if one may stand for several
    for (TensorInfo& tensor : plain) {
      check_tensor(tensor, BytePlace{path_, {}, {}}, limits_);
      if (folded) add(std::move(tensor), result);
    }
    if (folded) plain = std::move(result);
    check_aliases(plain);
    return plain;
  }
  [[noreturn]] void fail(const std::string& message) const {
    throw Error("manifest-syntax", BytePlace{path_, {}, {}}, message);
  }

 private:
  void add(TensorInfo tensor, std::vector<TensorInfo>& result) const {
    if (!folded) return result.push_back(std::move(tensor));
    std::string problem;
    auto keys = expand_ranges(tensor.key, limits_.max_tensors - result.size(), problem);
    if (!keys) fail(fmt::format("the tensor '{}': {}", tensor.key, problem));
    if (result.capacity() < result.size() + keys->size()) result.reserve(2 * (result.size() + keys->size()));
    tensor.key.clear();
    for (auto& key : *keys) result.emplace_back(tensor).key = std::move(key);
  }
  TensorInfo tensor(const std::string& key, const Json& entry) {
    const std::string what = fmt::format("the tensor '{}'", key);
    const bool unread = entry.is_object() && entry.contains("unread");
    const auto is_null = [&](const char* field) { return unread && entry.contains(field) && entry[field].is_null(); };
    const std::string dtype_text = is_null("dtype") ? "" : text(entry, "dtype", what);
    const auto dtype = parse_dtype(dtype_text);
    if (!dtype && !unread) fail(fmt::format("{}: the dtype '{}' is not known", what, dtype_text));
    TensorInfo tensor{key, dtype.value_or(DType::f32), {}};
    if (unread)
      tensor = unread_tensor(key, text(entry, "unread", what), dtype_text,
                             is_null("shape") ? std::nullopt : std::optional(Shape{}));
    if (is_null("shape")) {
      check_tensor(tensor, BytePlace{path_, {}, {}}, limits_);
      return tensor;
    }
    if (!entry.contains("shape") || !entry["shape"].is_array()) fail(fmt::format("{} has no array 'shape'", what));
    Shape shape;
    for (const Json& dim : entry["shape"]) {
      if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX)
        fail(fmt::format("{}: its shape holds something other than sizes", what));
      shape.push_back(dim.get<int64_t>());
    }
    tensor.shape = std::move(shape);
    if (entry.contains("alias")) tensor.alias = text(entry, "alias", what);
    check_tensor(tensor, BytePlace{path_, {}, {}}, limits_);
    return tensor;
  }
  std::string text(const Json& entry, const char* field, const std::string& what) const {
    if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string())
      fail(fmt::format("{} has no string '{}'", what, field));
    return entry[field].get<std::string>();
  }
  // Tied tensors are the same bytes, so they look the same.
  void check_aliases(const std::vector<TensorInfo>& tensors) const {
    std::map<std::string_view, const TensorInfo*> first;
    for (const auto& tensor : tensors) {
      if (tensor.alias.empty()) continue;
      const auto [it, fresh] = first.emplace(tensor.alias, &tensor);
      if (tensor.unread != nullptr || it->second->unread != nullptr) continue;
      if (!fresh && (it->second->dtype != tensor.dtype || it->second->shape != tensor.shape))
        fail(fmt::format("'{}' and '{}' have the alias '{}' and differ in dtype or shape", it->second->key, tensor.key,
                         tensor.alias));
    }
  }

  const std::string& path_;
  const Limits& limits_;
};

}  // namespace

bool looks_like_manifest_text(std::string_view text) {
  constexpr size_t kMaxLines = 1000;
  for (size_t n = 0; n < kMaxLines && !text.empty(); ++n) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!is_empty_or_comment(line)) return std::holds_alternative<TensorInfo>(parse_line(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return false;
}

std::unique_ptr<Source> open_manifest_text(const std::string& path, std::string_view text, const OpenOptions& options) {
  check_limit(text.size(), options.limits.max_index_bytes, "max_index_bytes", BytePlace{path, {}, {}},
              "bytes of a manifest");
  if (!is_utf8(text)) throw Error("manifest-syntax", BytePlace{path, {}, {}}, "the file is not UTF-8 text");
  std::vector<TensorInfo> tensors;
  for (size_t begin = 0; begin < text.size();) {
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    if (!is_empty_or_comment(line)) {
      auto parsed = parse_line(line);
      if (const auto* problem = std::get_if<Problem>(&parsed))
        throw Error("manifest-syntax", text_place(path, text, begin + problem->offset), problem->message);
      auto& tensor = std::get<TensorInfo>(parsed);
      // A place costs a count of the lines above, so it is made only for the line that is wrong.
      try {
        check_tensor(tensor, {}, options.limits);
      } catch (const Error& error) {
        throw Error(error.diagnostic().id, text_place(path, text, begin), error.diagnostic().message);
      }
      tensors.push_back(std::move(tensor));
      check_limit(tensors.size(), options.limits.max_tensors, "max_tensors", BytePlace{path, {}, {}}, "tensors");
    }
    begin += line.size() + 1;
  }
  return std::make_unique<ManifestSource>(path, Manifest(std::move(tensors), path), Json::object());
}

std::unique_ptr<Source> open_manifest_json(const std::string& path, const Json& root, std::vector<TensorInfo> plain,
                                           const OpenOptions& options) {
  JsonManifest parser(path, options.limits);
  if (!root.is_object() || !root.contains("remap_manifest") || root["remap_manifest"] != 1)
    parser.fail("'remap_manifest' is not 1, the version that is read");
  if (!root.contains("tensors")) parser.fail("there is no 'tensors'");
  if (root.contains("folded")) {
    if (!root["folded"].is_boolean()) parser.fail("'folded' is neither true nor false");
    parser.folded = root["folded"];
  }
  Json metadata = Json::object();
  if (root.contains("metadata")) {
    if (!root["metadata"].is_object()) parser.fail("'metadata' is not an object");
    metadata = root["metadata"];
  }
  if (root.contains("format")) {
    if (!root["format"].is_string()) parser.fail("'format' is not a text");
    metadata["$format"] = root["format"];
  }
  auto tensors = plain.empty() ? parser.tensors(root["tensors"]) : parser.tensors(std::move(plain));
  return std::make_unique<ManifestSource>(path, Manifest(std::move(tensors), path), std::move(metadata));
}

}  // namespace formats

namespace {

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string manifest_to_json(const Source& source) {
  return manifest_to_json(source.manifest().tensors(), source, false);
}

std::string manifest_to_json(const std::vector<TensorInfo>& tensors, const Source& source, bool folded,
                             const Json& more) {
  // A manifest read from a file stands for a checkpoint of another format, and is written as that again.
  Json metadata = source.metadata();
  Json format = std::string(source.format());
  if (const auto it = metadata.find("$format"); it != metadata.end()) {
    format = *it;
    metadata.erase("$format");
  }
  std::string out = fmt::format("{{\n\"remap_manifest\": 1,\n\"format\": {},\n{}\"metadata\": {},\n", dump(format),
                                folded ? "\"folded\": true,\n" : "", dump(metadata));
  for (const auto& [name, value] : more.items()) out += fmt::format("{}: {},\n", dump(name), dump(value));
  out += "\"tensors\": [";
  const char* separator = "\n";
  for (const TensorInfo& tensor : tensors) {
    Json entry{{"key", tensor.key}, {"dtype", dtype_text(tensor)}, {"shape", tensor.shape}};
    if (tensor.unread != nullptr) {
      if (tensor.unread->dtype.empty()) entry["dtype"] = nullptr;
      if (!tensor.unread->shape_known) entry["shape"] = nullptr;
      entry["unread"] = tensor.unread->why;
    }
    if (!tensor.alias.empty()) entry["alias"] = tensor.alias;
    out += separator + dump(entry);
    separator = ",\n";
  }
  return out + "\n]\n}\n";
}

std::string manifest_to_text(const Manifest& manifest) {
  std::string out;
  for (const TensorInfo& tensor : manifest.tensors()) {
    const auto is_special = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    const std::string& key = tensor.key;
    const bool quoted =
        key.empty() || key.front() == '#' || key.front() == '"' || std::any_of(key.begin(), key.end(), is_special);
    out += fmt::format("{}\t{}\t{}{}\n", quoted ? dump(Json(key)) : key, dtype_text(tensor), shape_text(tensor),
                       tensor.unread == nullptr ? "" : "\tnot read: " + tensor.unread->why);
  }
  return out;
}

}  // namespace remap
