// torch's zip archive: ROOT/data.pkl, ROOT/data/KEY for each storage, ROOT/version, and in later versions
// ROOT/byteorder. ROOT is the file's stem, or "archive"; any one name will do.
#include <fmt/format.h>

#include "formats/torch_contents.h"

namespace remap::formats {
namespace {

constexpr std::string_view kPickleName = "data.pkl";

// "ROOT/" if `name` is "ROOT/data.pkl".
std::optional<std::string_view> root_of(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || name.substr(slash + 1) != kPickleName) return std::nullopt;
  return name.substr(0, slash + 1);
}

std::string find_root(const ZipArchive& zip, const std::string& file) {
  std::vector<std::string> roots;
  for (const ZipMember& member : zip.members())
    if (const auto root = root_of(member.name)) roots.emplace_back(*root);
  if (roots.size() == 1) return roots.front();
  if (roots.empty())
    throw Error("torch-no-pickle", BytePlace{file, {}, {}},
                "the archive has no member */data.pkl, so torch did not write it");
  throw Error("torch-no-pickle", BytePlace{file, {}, {}},
              fmt::format("the archive has {}data.pkl and {}data.pkl; one was expected", roots[0], roots[1]));
}

std::string text_member(const ZipArchive& zip, const std::string& name) {
  const ZipMember* member = zip.find(name);
  if (member == nullptr || member->size_bytes > 64) return {};
  std::string text;
  zip.unpack(*member, [&](std::span<const std::byte> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return text;
}

void check_kind(const ZipArchive& zip, const std::string& root, const std::string& file) {
  const std::string order = text_member(zip, root + "byteorder");
  if (order == "big")
    throw Error("torch-big-endian", BytePlace{file, root + "byteorder", {}},
                "the checkpoint was written on a big-endian machine; its bytes are not swapped here",
                "load it with torch and save it again on a little-endian machine");
  if (!order.empty() && order != "little")
    throw Error("torch-big-endian", BytePlace{file, root + "byteorder", {}},
                "the byte order is neither 'little' nor 'big'");
}

// The pickle's bytes: in the mapping if it is stored, else unpacked into `contents`.
std::span<const std::byte> pickle_bytes(TorchContents& contents, const ZipMember& member, const Limits& limits) {
  if (member.size_bytes > limits.max_pickle_bytes)
    throw Error("limit-exceeded", BytePlace{contents.origin.file, contents.origin.member, {}},
                fmt::format("the pickle has {} bytes, more than max_pickle_bytes ({})", member.size_bytes,
                            limits.max_pickle_bytes));
  contents.zip->check_readable(member);
  if (member.stored()) {
    contents.zip->check_crc(member);
    return contents.zip->stored(member);
  }
  contents.zip->unpack(member, [&](std::span<const std::byte> bytes) {
    contents.pickle_bytes.insert(contents.pickle_bytes.end(), bytes.begin(), bytes.end());
  });
  return contents.pickle_bytes;
}

// `base`: where the archive begins in the file; nullopt: it is in memory.
void list_storages(TorchContents& contents, const std::string& root, std::optional<uint64_t> base) {
  const std::string folder = root + "data/";
  for (const ZipMember& member : contents.zip->members()) {
    if (!member.name.starts_with(folder) || member.name.size() == folder.size()) continue;
    TorchStorage storage{.size_bytes = member.size_bytes};
    if (!member.stored())
      storage.packed = &member;
    else if (base)
      storage.file_offset = *base + member.data_offset;
    else
      storage.memory = contents.zip->stored(member).data();
    contents.storage_by_key.emplace(member.name.substr(folder.size()), static_cast<uint32_t>(contents.storages.size()));
    contents.storages.push_back(storage);
  }
}

}  // namespace

bool looks_like_torch_zip(std::span<const std::byte> bytes) {
  if (!ZipArchive::has_signature(bytes)) return false;
  try {
    const ZipArchive zip(bytes, {}, Limits{});
    for (const ZipMember& member : zip.members())
      if (root_of(member.name)) return true;
    return false;
  } catch (const Error&) {
    // Damaged: the reader will say how, if the first local header has the name of a member that torch writes first.
    const std::string_view name = ZipArchive::first_name(bytes);
    return root_of(name).has_value() || name.ends_with("/.data/serialization_id") || name.ends_with("/byteorder");
  }
}

TorchContents read_torch_zip(MappedFile file, const Limits& limits) {
  const auto bytes = file.bytes();
  return read_torch_zip_at(std::move(file), bytes, 0, limits);
}

TorchContents read_torch_zip_at(MappedFile file, std::span<const std::byte> bytes, std::optional<uint64_t> base,
                                const Limits& limits) {
  TorchContents contents;
  contents.file = std::move(file);
  const std::string& path = contents.file.path();
  contents.zip = std::make_unique<ZipArchive>(bytes, path, limits);
  const std::string root = find_root(*contents.zip, path);
  check_kind(*contents.zip, root, path);
  contents.origin = {path, root + std::string(kPickleName), 0};
  const ZipMember& member = *contents.zip->find(contents.origin.member);
  const auto pickle = pickle_bytes(contents, member, limits);
  contents.graph = read_pickle(pickle, contents.origin, limits);
  if (contents.graph.size_bytes() != pickle.size())
    contents.remarks.push_back(fmt::format("{}: {} bytes after the end of the pickle are not read",
                                           contents.origin.member, pickle.size() - contents.graph.size_bytes()));
  list_storages(contents, root, base);
  if (contents.zip->find(root + "constants.pkl") != nullptr)
    contents.remarks.push_back("a TorchScript program: its tensors are read, its code is not");
  return contents;
}

}  // namespace remap::formats
