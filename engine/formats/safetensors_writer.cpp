#include "formats/safetensors_writer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/sorted_order.h"
#include "base/text.h"
#include "formats/json_text.h"
#include "remap/diagnostic.h"
#include "tensor/storable.h"

namespace remap::formats {
namespace {

// The library sorts tensors by its own list of types, backwards, then by name. This is that list (safetensors 0.8, enum
// Dtype).
constexpr std::array kOrder = {DType::boolean,     DType::f4,      DType::f6_e2m3, DType::f6_e3m2, DType::u8,
                               DType::i8,          DType::f8_e5m2, DType::f8_e4m3, DType::f8_e8m0, DType::f8_e4m3fnuz,
                               DType::f8_e5m2fnuz, DType::i16,     DType::u16,     DType::f16,     DType::bf16,
                               DType::i32,         DType::u32,     DType::f32,     DType::c64,     DType::f64,
                               DType::i64,         DType::u64};

size_t order_of(DType dtype) {
  return static_cast<size_t>(std::find(kOrder.begin(), kOrder.end(), dtype) - kOrder.begin());
}

uint64_t data_bytes_of(const PlannedTensor& tensor) { return static_cast<uint64_t>(data_bytes(tensor)); }

[[noreturn]] void fail_limit(const std::string& message, const std::string& hint) {
  throw Error("output-limit", {}, message, hint);
}

void check(const PlannedTensor& tensor, const Limits& limits) {
  if (auto why = why_not_storable(tensor.key, tensor.dtype, tensor.shape, limits))
    throw Error(why->id, {}, why->message, why->hint);
}

// As transformers does: in the order given, closing a shard when the next tensor does not fit any more.
std::vector<std::vector<size_t>> shards_of(const std::vector<PlannedTensor>& tensors, uint64_t max_shard_bytes) {
  std::vector<std::vector<size_t>> shards(1);
  uint64_t shard_bytes = 0;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const uint64_t bytes = data_bytes_of(tensors[t]);
    if (!shards.back().empty() && (bytes > max_shard_bytes || shard_bytes > max_shard_bytes - bytes)) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(t);
    shard_bytes += bytes;
  }
  return shards;
}

// The most that a header may take, its padding left aside.
uint64_t header_room(const Limits& limits) { return limits.max_header_bytes / 8 * 8; }

// Almost every key is written as it is.
void append_quoted(std::string& json, const std::string& text) {
  bool plain = true;
  for (const char c : text) plain &= c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
  if (plain)
    (json += '"').append(text) += '"';
  else
    json += nlohmann::json(text).dump();
}

template <typename Number>
void append_number(std::string& json, Number number) {
  const fmt::format_int text(number);
  json.append(text.data(), text.size());
}

// "{"__metadata__":{…}": how every header begins.
std::string header_start(const std::map<std::string, std::string>& metadata) {
  auto pairs = metadata;
  pairs["format"] = "pt";
  std::string json = R"({"__metadata__":{)";
  for (const auto& [name, text] : pairs) {
    if (json.back() != '{') json += ',';
    append_quoted(json, name);
    json += ':';
    append_quoted(json, text);
  }
  return json + "}";
}

// ,"key":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}
void append_entry(std::string& json, const PlannedTensor& tensor, uint64_t begin, uint64_t end) {
  append_quoted(json += ',', tensor.key);
  json.append(R"(:{"dtype":")").append(name(tensor.dtype)).append(R"(","shape":[)");
  for (size_t d = 0; d < tensor.shape.size(); ++d) append_number(d == 0 ? json : json += ',', tensor.shape[d]);
  append_number(json += R"(],"data_offsets":[)", begin);
  append_number(json += ',', end);
  json += "]}";
}

// The length of a header, at least `length`, with which most bytes of a file lie as in their sources; `offsets`: of its
// tensors, from the end of the header on. As little padding as will do.
uint64_t aligned_head(uint64_t length, const std::vector<PlannedTensor>& tensors, const SafetensorsFile& file,
                      const std::vector<size_t>& members, const LayoutOptions& options) {
  std::map<uint64_t, uint64_t> bytes_with;  // a padding
  for (size_t i = 0; i < members.size(); ++i) {
    const auto& from = options.source_offsets[members[i]];
    if (!from) continue;
    const uint64_t padding = (*from - file.offsets_bytes[i] - length) % kClonedBytes;
    if (padding % 8 == 0) bytes_with[padding] += data_bytes_of(tensors[members[i]]);
  }
  uint64_t best = 0, most_bytes = 0;
  for (const auto& [padding, bytes] : bytes_with)
    if (bytes > most_bytes) best = padding, most_bytes = bytes;
  return length + best;
}

SafetensorsFile lay_out_file(const std::vector<PlannedTensor>& tensors, std::vector<size_t> members,
                             const std::string& start, const LayoutOptions& options) {
  reorder(members, sorted_order(members.size(), [&](size_t i, size_t j) {
            const PlannedTensor &a = tensors[members[i]], &b = tensors[members[j]];
            if (a.dtype != b.dtype) return order_of(a.dtype) > order_of(b.dtype);
            return a.key < b.key;
          }));
  SafetensorsFile file;
  std::string json = start;
  uint64_t end = 0;
  for (const size_t t : members) {
    const uint64_t begin = end;
    end += data_bytes_of(tensors[t]);
    append_entry(json, tensors[t], begin, end);
    file.offsets_bytes.push_back(begin);
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (!options.source_offsets.empty()) {
    const uint64_t length = aligned_head(sizeof(uint64_t) + json.size(), tensors, file, members, options);
    if (length - sizeof(uint64_t) <= header_room(options.limits)) json.resize(length - sizeof(uint64_t), ' ');
  }
  for (int shift = 0; shift < 64; shift += 8) file.head += static_cast<char>(uint64_t{json.size()} >> shift & 0xff);
  file.head += json;
  for (uint64_t& offset : file.offsets_bytes) offset += file.head.size();
  file.tensors = std::move(members);
  file.size_bytes = file.head.size() + end;
  return file;
}

uint64_t header_bytes(const SafetensorsFile& file) { return file.head.size() - sizeof(uint64_t); }

// The members of a file whose header would be too large, in the same order, as few files as will do.
std::vector<std::vector<size_t>> cut_by_header(const std::vector<PlannedTensor>& tensors,
                                               const std::vector<size_t>& members, const std::string& start,
                                               uint64_t room) {
  uint64_t data_bytes = 0;
  for (const size_t t : members) data_bytes += data_bytes_of(tensors[t]);
  std::vector<std::vector<size_t>> cut;
  uint64_t used = room;
  std::string entry;
  for (const size_t t : members) {
    entry.clear();
    append_entry(entry, tensors[t], data_bytes, data_bytes);  // offsets have no more digits than this
    const uint64_t bytes = entry.size();
    const uint64_t alone = start.size() + 1 + bytes;
    if (alone > room)
      fail_limit(fmt::format("the header of a file with '{}' alone would have {}; a safetensors header has at most {}",
                             tensors[t].key, human_bytes(alone), human_bytes(room)),
                 "leave out some of the metadata, or shorten the name");
    if (used + bytes > room) {
      cut.emplace_back();
      used = start.size() + 1;
    }
    cut.back().push_back(t);
    used += bytes;
  }
  return cut;
}

// As Python's json.dumps(…, indent=2, sort_keys=True) writes it: keys sorted, everything but ASCII escaped.
std::string index_of(const std::vector<PlannedTensor>& tensors, const std::vector<SafetensorsFile>& files) {
  nlohmann::json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", nlohmann::json::object()}};
  uint64_t total_bytes = 0;
  for (const SafetensorsFile& file : files)
    for (const size_t t : file.tensors) {
      index["weight_map"][tensors[t].key] = file.name;
      total_bytes += data_bytes_of(tensors[t]);
    }
  index["metadata"]["total_size"] = total_bytes;
  return index.dump(2, ' ', true) + "\n";
}

}  // namespace

SafetensorsLayout lay_out(const std::vector<PlannedTensor>& tensors, const LayoutOptions& options) {
  for (const PlannedTensor& tensor : tensors) check(tensor, options.limits);
  const std::string start = header_start(options.metadata);
  const uint64_t room = header_room(options.limits);
  SafetensorsLayout layout;
  for (auto& members : shards_of(tensors, options.max_shard_bytes)) {
    layout.files.push_back(lay_out_file(tensors, std::move(members), start, options));
    if (header_bytes(layout.files.back()) <= room) continue;
    std::vector<size_t> too_many = std::move(layout.files.back().tensors);
    layout.files.pop_back();
    std::sort(too_many.begin(), too_many.end());
    for (auto& part : cut_by_header(tensors, too_many, start, room))
      layout.files.push_back(lay_out_file(tensors, std::move(part), start, options));
  }
  const size_t n_files = layout.files.size();
  for (size_t i = 0; i < n_files; ++i)
    layout.files[i].name =
        n_files == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, n_files);
  if (n_files > 1) layout.index = index_of(tensors, layout.files);
  if (layout.index.size() > options.limits.max_index_bytes)
    fail_limit(fmt::format("the index of {} files would have {}; at most {} are read (max_index_bytes)", n_files,
                           human_bytes(layout.index.size()), human_bytes(options.limits.max_index_bytes)),
               "give the tensors shorter names, or stack them to fewer");
  return layout;
}

}  // namespace remap::formats
