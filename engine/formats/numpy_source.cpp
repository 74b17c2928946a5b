#include "formats/numpy_source.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "formats/limit.h"
#include "formats/npy_header.h"
#include "formats/torch_listing.h"
#include "formats/zip.h"

namespace remap::formats {
namespace {

constexpr std::string_view kEnding = ".npy";
constexpr const char* kDamaged = "copy or download the file again, or let numpy save it again";

// Refuses an array that has not exactly the bytes that its shape asks for.
void check_size(const NpyHeader& header, uint64_t size_bytes, const std::string& file, const std::string& member) {
  const auto* spec = std::get_if<TensorSpec>(&header.tensor);
  if (spec == nullptr) return;
  const uint64_t there = size_bytes - spec->offset_bytes;
  if (there != header.data_bytes)
    throw Error("numpy-bad-array", BytePlace{file, member, spec->offset_bytes},
                fmt::format("an array of {} {} needs {} bytes; there are {}", long_name(spec->dtype),
                            to_string(spec->shape), header.data_bytes, there),
                kDamaged);
}

ListedTensor read_member(TorchContents& contents, const ZipMember& member, const Limits& limits) {
  const std::string& file = contents.file.path();
  const std::string name(member.name);
  contents.zip->check_readable(member);
  NpyHeader header;
  if (member.stored()) {
    contents.zip->check_crc(member);
    header = read_npy_header(contents.zip->stored(member), file, name, limits);
  } else {
    header = read_npy_header(contents.zip->first_bytes(member, kMaxNpyHeaderBytes), file, name, limits);
  }
  check_size(header, member.size_bytes, file, name);
  if (auto* spec = std::get_if<TensorSpec>(&header.tensor)) {
    spec->storage = static_cast<uint32_t>(contents.storages.size());
    TorchStorage storage{.size_bytes = member.size_bytes};
    if (member.stored())
      storage.file_offset = member.data_offset;
    else
      storage.packed = &member;
    contents.storages.push_back(storage);
  }
  std::string key = name.ends_with(kEnding) ? name.substr(0, name.size() - kEnding.size()) : name;
  check_limit(key.size(), limits.max_key_bytes, "max_key_bytes", BytePlace{file, name, {}}, "bytes of a key");
  return {std::move(key), std::move(header.tensor)};
}

}  // namespace

bool looks_like_npy(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 6));
  return head == "\x93NUMPY";
}

bool looks_like_npz(std::span<const std::byte> bytes) {
  if (!ZipArchive::has_signature(bytes)) return false;
  const auto is_array = [](std::string_view name) { return name.ends_with(kEnding); };
  try {
    const ZipArchive zip(bytes, {}, Limits{});
    return std::any_of(zip.members().begin(), zip.members().end(),
                       [&](const ZipMember& member) { return is_array(member.name); });
  } catch (const Error&) {  // damaged: the reader says how, if the first member has such a name
    return is_array(ZipArchive::first_name(bytes));
  }
}

std::unique_ptr<Source> open_npy(MappedFile file, const OpenOptions& options) {
  TorchContents contents;
  contents.file = std::move(file);
  const std::string& path = contents.file.path();
  NpyHeader header = read_npy_header(contents.file.bytes(), path, {}, options.limits);
  check_size(header, contents.file.size(), path, {});
  contents.storages.push_back({.size_bytes = contents.file.size(), .file_offset = 0});
  TorchListing listing;
  std::string key = std::filesystem::path(path).filename().string();
  if (key.ends_with(kEnding)) key.resize(key.size() - kEnding.size());
  listing.tensors.push_back({std::move(key), std::move(header.tensor)});
  return source_of("numpy", std::move(contents), std::move(listing));
}

std::unique_ptr<Source> open_npz(MappedFile file, const OpenOptions& options) {
  TorchContents contents;
  contents.file = std::move(file);
  const std::string& path = contents.file.path();
  contents.zip = std::make_unique<ZipArchive>(contents.file.bytes(), path, options.limits);
  check_limit(contents.zip->members().size(), options.limits.max_tensors, "max_tensors", BytePlace{path, {}, {}},
              "arrays");
  TorchListing listing;
  for (const ZipMember& member : contents.zip->members())
    if (!member.name.ends_with('/')) listing.tensors.push_back(read_member(contents, member, options.limits));
  std::sort(listing.tensors.begin(), listing.tensors.end(),
            [](const ListedTensor& a, const ListedTensor& b) { return a.key < b.key; });
  return source_of("numpy", std::move(contents), std::move(listing));
}

}  // namespace remap::formats
