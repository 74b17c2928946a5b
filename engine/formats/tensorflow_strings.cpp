#include "formats/tensorflow_strings.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/json_members.h"
#include "formats/masked_crc.h"
#include "remap/text.h"

namespace remap::formats {
namespace {

std::span<const std::byte> string_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

Json as_json(std::string_view text) {
  constexpr size_t kMostShown = 4096, kMostHex = 32;
  if (is_utf8(text) && text.size() <= kMostShown) return std::string(text);
  std::string hex;
  for (const char c : text.substr(0, kMostHex)) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return Json{{"$bytes", text.size()}, {"hex", text.size() > kMostHex ? hex + "…" : hex}};
}

}  // namespace

std::vector<std::string_view> parse_strings(std::string_view bytes, int64_t count, uint32_t crc,
                                            const std::string& name, const BytePlace& place) {
  const auto fail = [&](const std::string& message) {
    throw Error("tensorflow-data", place, fmt::format("the strings of '{}': {}", name, message),
                "the file is damaged or was not copied completely; fetch it again");
  };
  constexpr uint64_t kSumBytes = 4;
  std::string_view rest = bytes;
  if (count == 0 && rest.empty()) return {};
  if (static_cast<uint64_t>(count) > rest.size())
    fail(fmt::format("{} strings do not fit into {} bytes", count, rest.size()));
  std::vector<uint64_t> lengths;
  uint32_t running = 0;
  uint64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto length = take_varint(rest);
    if (!length || *length > bytes.size() - total) fail("a length is damaged, or is more than there are bytes");
    total += *length;
    lengths.push_back(*length);
    const bool is_long = *length > UINT32_MAX;
    running = crc32c(std::as_bytes(std::span(&lengths.back(), 1)).first(is_long ? 8 : 4), running);
  }
  if (rest.size() != kSumBytes + total)
    fail(fmt::format("their lengths make {} bytes, of which there are {}", kSumBytes + total, rest.size()));
  uint32_t stored;
  std::memcpy(&stored, rest.data(), sizeof stored);
  if (stored != masked(running)) fail("the checksum of their lengths does not fit");
  if (masked(crc32c(string_bytes(rest), running)) != crc) fail("their checksum does not fit");
  rest.remove_prefix(kSumBytes);
  std::vector<std::string_view> strings;
  for (const uint64_t length : lengths) {
    strings.push_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return strings;
}

Json strings_as_metadata(const std::vector<std::string_view>& strings, const Shape& shape) {
  constexpr size_t kMostShown = 100;
  if (shape.empty() && strings.size() == 1) return as_json(strings.front());
  Json list = Json::array();
  for (size_t i = 0; i < std::min(strings.size(), kMostShown); ++i) list.push_back(as_json(strings[i]));
  if (strings.size() > kMostShown) list.push_back(Json{{"$strings", strings.size()}});
  return list;
}

Json parse_object_graph(std::string_view message, const BytePlace& place) {
  ProtoReader graph(message, "the graph of objects", kTensorflowEntry, place);
  size_t n_objects = 0;
  std::vector<std::pair<std::string, std::string>> names;
  for (ProtoField node; graph.next(node);) {
    if (node.number != 1) continue;
    ++n_objects;
    ProtoReader object = graph.inside(node, "an object of the graph");
    for (ProtoField field; object.next(field);) {
      if (field.number != 2) continue;
      std::string_view name, key;
      ProtoReader attribute = object.inside(field, "an attribute of the graph");
      for (ProtoField part; attribute.next(part);) {
        if (part.number == 2) name = part.bytes;
        if (part.number == 3) key = part.bytes;
      }
      if (is_utf8(name) && is_utf8(key) && !name.empty() && !key.empty()) names.emplace_back(key, name);
    }
  }
  std::stable_sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Json variables = Json::object();
  auto& list = variables.get_ref<Json::object_t&>();
  for (const auto& [key, name] : names)
    if (list.empty() || list.back().first != key) append_member(list, key, name);
  return Json{{"objects", n_objects}, {"variables", std::move(variables)}};
}

}  // namespace remap::formats
