// In file order, as PKWARE's APPNOTE has it:
//   for each member: local header (30 bytes, name, extra), data, [data descriptor]
//   central directory: for each member a header (46 bytes, name, extra, comment)
//   [zip64 end record (56 bytes), zip64 locator (20 bytes)]
//   end record (22 bytes, comment)
// Sizes and offsets that do not fit in 32 bits are 0xffffffff and stand in the extra field 0x0001.
#include "formats/zip.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <libdeflate.h>
#include <zlib.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

// As a shell reads it: one word.
std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint64_t kEndBytes = 22, kLocator64Bytes = 20, kEnd64Bytes = 56, kLocalHeaderBytes = 30,
                   kCentralHeaderBytes = 46;
constexpr uint16_t kFlagEncrypted = 1 << 0, kFlagDescriptor = 1 << 3, kFlagStrongEncryption = 1 << 6,
                   kFlagMaskedHeaders = 1 << 13;
constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint32_t kIn64 = 0xffffffff;  // "see the zip64 record"
constexpr uint64_t kMaxDeflateRatio = 1032;
constexpr uint64_t kWholeBytes = 16 << 20;  // members up to this size are unpacked at once

struct Directory {
  uint64_t offset = 0, size_bytes = 0, members = 0;
};

// Parses an archive's headers; what it returns is checked against the file's size and itself.
class DirectoryReader {
 public:
  DirectoryReader(std::span<const std::byte> bytes, const std::string& file, const Limits& limits)
      : bytes_(bytes), file_(file), limits_(limits) {}

  std::vector<ZipMember> read() {
    const Directory directory = find_directory();
    if (directory.members > limits_.max_zip_members)
      fail("limit-exceeded", directory.offset,
           fmt::format("the archive has {} members, more than max_zip_members ({})", directory.members,
                       limits_.max_zip_members));
    // Each takes at least a header's bytes, so that reserving is backed by the file.
    if (directory.members > directory.size_bytes / kCentralHeaderBytes)
      fail("zip-bad-directory", directory.offset,
           fmt::format("{} members cannot be listed in a directory of {} bytes", directory.members,
                       directory.size_bytes));
    std::vector<ZipMember> members;
    members.reserve(directory.members);
    ByteReader in(bytes_.subspan(directory.offset, directory.size_bytes), file_, {}, "zip-truncated", directory.offset);
    for (uint64_t i = 0; i < directory.members; ++i) members.push_back(read_member(in));
    if (in.remaining() != 0)
      fail("zip-bad-directory", directory.offset,
           fmt::format("{} bytes of the directory are left after its {} members", in.remaining(), directory.members));
    check_places(members, directory.offset);
    return members;
  }

 private:
  [[noreturn]] void fail(const char* id, uint64_t offset, const std::string& message,
                         const std::string& hint = {}) const {
    throw Error(id, BytePlace{file_, {}, offset}, message, hint);
  }
  ByteReader at(uint64_t offset) const {
    ByteReader in(bytes_, file_, {}, "zip-truncated");
    in.seek(offset, "a zip record");
    return in;
  }
  uint32_t signature_at(uint64_t offset) const {
    if (!range_inside(offset, 4, bytes_.size())) return 0;
    uint32_t value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  // The last record that ends the file exactly, its comment included.
  uint64_t find_end() const {
    if (bytes_.size() >= kEndBytes) {
      const uint64_t last = bytes_.size() - kEndBytes, first = last > 0xffff ? last - 0xffff : 0;
      for (uint64_t offset = last + 1; offset-- > first;) {
        if (signature_at(offset) != kEnd) continue;
        if (at(offset + 20).u16("comment length") == last - offset) return offset;
      }
    }
    refuse_appended();
    fail("zip-truncated", bytes_.size(),
         "the archive has no end record: it is cut short, or was not written to its end",
         "copy or download the file again and compare its size");
  }

  // Where the last archive that is whole ends, if that is not the end of the file.
  void refuse_appended() const {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    for (size_t at = text.rfind("PK\x05\x06"); at != text.npos && at > 0; at = text.rfind("PK\x05\x06", at - 1)) {
      if (!range_inside(at, kEndBytes, bytes_.size()) ||
          !range_inside(at + kEndBytes, this->at(at + 20).u16("comment length"), bytes_.size()))
        continue;
      // Any four bytes can look like a record: it is one if a directory of the size it gives stands before it.
      const uint64_t end = at + kEndBytes + this->at(at + 20).u16("comment length");
      const uint32_t size_bytes = this->at(at + 12).u32("directory size");
      const bool directory = size_bytes != kIn64 && size_bytes <= at && signature_at(at - size_bytes) == kCentralHeader;
      const bool zip64 = at >= kLocator64Bytes && signature_at(at - kLocator64Bytes) == kLocator64;
      if (!directory && !zip64) continue;
      refuse_extra(fmt::format("{} bytes follow the end of the archive{}", bytes_.size() - end,
                               signature_at(end) == kLocalHeader ? ", beginning with another archive" : ""),
                   end,
                   fmt::format("download the file again; if the rest is good, cut the bytes off: head -c {} {} > WHOLE",
                               end, shell_word(file_)));
    }
  }
  [[noreturn]] void refuse_extra(const std::string& message, uint64_t offset, const std::string& hint) const {
    fail("zip-extra-bytes", offset, message, hint);
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    ByteReader in = at(end + 4);
    const uint16_t disk = in.u16("disk number"), first_disk = in.u16("disk of the directory");
    const uint16_t members_here = in.u16("members on this disk"), members = in.u16("members");
    const uint32_t size_bytes = in.u32("directory size"), offset = in.u32("directory offset");
    Directory directory{offset, size_bytes, members};
    uint64_t directory_end = end;
    const bool zip64 = end >= kLocator64Bytes && signature_at(end - kLocator64Bytes) == kLocator64;
    if (zip64) {
      directory = read_end64(end, directory_end);
      const bool agree = (members == 0xffff || members == directory.members) &&
                         (size_bytes == kIn64 || size_bytes == directory.size_bytes) &&
                         (offset == kIn64 || offset == directory.offset);
      if (!agree) fail("zip-bad-directory", end, "the end record and the zip64 end record disagree");
    } else if (disk != 0 || first_disk != 0 || members_here != members) {
      fail("zip-bad-directory", end, "the archive is one part of several");
    }
    if (!zip64) refuse_before(bytes_before(directory, directory_end));
    if (!range_inside(directory.offset, directory.size_bytes, directory_end) ||
        directory.offset + directory.size_bytes != directory_end)
      fail("zip-bad-directory", end,
           fmt::format("the directory is said to be {} bytes at {}, which is not what precedes the end record at {}",
                       directory.size_bytes, directory.offset, directory_end));
    return directory;
  }

  // How far from the file's start the archive begins, by where its directory is and where it says it is; 0 if that is
  // not it.
  uint64_t bytes_before(const Directory& directory, uint64_t directory_end) const {
    if (directory.size_bytes > directory_end || directory.offset >= directory_end - directory.size_bytes) return 0;
    const uint64_t start = directory_end - directory.size_bytes - directory.offset;
    return signature_at(directory_end - directory.size_bytes) == kCentralHeader && signature_at(start) == kLocalHeader
               ? start
               : 0;
  }

  // An archive tells where things are from its own first byte, whatever was put before it.
  void refuse_before(uint64_t start) const {
    if (start == 0) return;
    const bool archive = signature_at(0) == kLocalHeader;
    refuse_extra(
        fmt::format("the archive begins at byte {}; before it stands {}", start,
                    archive ? "another archive" : "something else"),
        start,
        archive
            ? "the file is several archives one after the other: give one that is whole"
            : fmt::format("download the file again; if the rest is good, cut the bytes off: tail -c +{} '{}' > WHOLE",
                          start + 1, file_));
  }

  Directory read_end64(uint64_t end, uint64_t& directory_end) const {
    ByteReader locator = at(end - kLocator64Bytes + 4);
    const uint32_t disk = locator.u32("disk of the zip64 end record");
    const uint64_t offset = locator.u64("offset of the zip64 end record");
    const uint32_t disks = locator.u32("number of disks");
    if (disk != 0 || disks > 1) fail("zip-bad-directory", end - kLocator64Bytes, "the archive is one part of several");
    // The record stands right before its locator, as every writer has it; if that is further on than is said, so is
    // everything.
    if (end >= kLocator64Bytes + kEnd64Bytes) {
      const uint64_t record = end - kLocator64Bytes - kEnd64Bytes;
      if (offset < record && signature_at(record) == kEnd64 && signature_at(record - offset) == kLocalHeader)
        refuse_before(record - offset);
    }
    if (!range_inside(offset, kEnd64Bytes, end - kLocator64Bytes) || signature_at(offset) != kEnd64)
      fail("zip-bad-directory", end - kLocator64Bytes, fmt::format("there is no zip64 end record at {}", offset));
    ByteReader in = at(offset + 4);
    const uint64_t record_bytes = in.u64("size of the zip64 end record");
    if (record_bytes < kEnd64Bytes - 12 || record_bytes != end - kLocator64Bytes - offset - 12)
      fail("zip-bad-directory", offset, fmt::format("the zip64 end record is said to have {} bytes", record_bytes));
    in.take(4, "versions");
    const uint32_t this_disk = in.u32("disk number"), first_disk = in.u32("disk of the directory");
    const uint64_t members_here = in.u64("members on this disk"), members = in.u64("members");
    if (this_disk != 0 || first_disk != 0 || members_here != members)
      fail("zip-bad-directory", offset, "the archive is one part of several");
    directory_end = offset;
    const uint64_t size_bytes = in.u64("directory size");
    return {in.u64("directory offset"), size_bytes, members};
  }

  ZipMember read_member(ByteReader& in) const {
    const uint64_t header_at = *in.place().offset;
    if (in.u32("directory header") != kCentralHeader)
      fail("zip-bad-directory", header_at, "a member's header was expected here");
    in.take(4, "versions");
    ZipMember member;
    member.flags = in.u16("flags");
    member.method = in.u16("method");
    in.take(4, "time");
    member.crc = in.u32("crc");
    member.packed_bytes = in.u32("packed size");
    member.size_bytes = in.u32("size");
    const uint16_t name_bytes = in.u16("name length"), extra_bytes = in.u16("extra length"),
                   comment_bytes = in.u16("comment length");
    uint64_t disk = in.u16("disk number");
    in.take(6, "attributes");
    member.header_offset = in.u32("header offset");
    member.name = in.text(name_bytes, "name");
    check_name(member.name, header_at);
    const auto extra = in.take(extra_bytes, "extra field");
    in.take(comment_bytes, "comment");
    const bool wide_size = member.size_bytes == kIn64, wide_packed = member.packed_bytes == kIn64,
               wide_offset = member.header_offset == kIn64;
    read_zip64_extra(extra, header_at,
                     {wide_size ? &member.size_bytes : nullptr, wide_packed ? &member.packed_bytes : nullptr,
                      wide_offset ? &member.header_offset : nullptr});
    if (disk == 0xffff) disk = 0;  // then it stands in the extra field, of which there is one part only
    if (disk != 0)
      fail("zip-bad-directory", header_at, fmt::format("'{}' is on another part of the archive", member.name));
    if ((member.flags & (kFlagEncrypted | kFlagStrongEncryption | kFlagMaskedHeaders)) != 0)
      fail("zip-encrypted", header_at, fmt::format("'{}' is encrypted", member.name),
           "unpack it with its password and pack it again without");
    if (member.method == kStored && member.packed_bytes != member.size_bytes)
      fail("zip-bad-size", header_at,
           fmt::format("'{}' is stored, but has {} bytes packed and {} unpacked", member.name, member.packed_bytes,
                       member.size_bytes));
    return member;
  }

  // Fills `wanted` from the zip64 extra field, in the order the format has them.
  void read_zip64_extra(std::span<const std::byte> extra, uint64_t header_at,
                        const std::array<uint64_t*, 3>& wanted) const {
    ByteReader in(extra, file_, {}, "zip-bad-directory", header_at);
    const bool any = std::any_of(wanted.begin(), wanted.end(), [](const uint64_t* p) { return p != nullptr; });
    while (in.remaining() >= 4) {
      const uint16_t kind = in.u16("extra field kind"), length = in.u16("extra field length");
      ByteReader field(in.take(length, "extra field"), file_, {}, "zip-bad-directory", header_at);
      if (kind != 1 || !any) continue;
      for (uint64_t* value : wanted)
        if (value != nullptr) *value = field.u64("zip64 extra field");
      return;
    }
    if (any)
      fail("zip-bad-directory", header_at, "a size or offset is said to be in a zip64 extra field, which is absent");
  }

  void check_name(std::string_view name, uint64_t header_at) const {
    const auto refuse = [&](std::string_view why) {
      fail("zip-bad-name", header_at, fmt::format("a member's name {}", why));
    };
    if (name.empty()) refuse("is empty");
    if (!is_pickle_text(name) || has_surrogates(name)) refuse("is not UTF-8");
    if (name.find('\0') != name.npos) refuse("has a zero byte");
    if (name.find('\\') != name.npos) refuse(fmt::format("has a backslash: '{}'", name));
    if (name.front() == '/' || (name.size() >= 2 && name[1] == ':'))
      refuse(fmt::format("is an absolute path: '{}'", name));
    for (size_t begin = 0; begin <= name.size();) {
      const size_t end = std::min(name.find('/', begin), name.size());
      const auto part = name.substr(begin, end - begin);
      if (part == ".." || part == ".") refuse(fmt::format("has '{}' in it: '{}'", part, name));
      begin = end + 1;
    }
  }

  void check_local_header(ZipMember& member) const {
    const auto refuse = [&](std::string_view what) {
      fail("zip-bad-header", member.header_offset, fmt::format("the local header of '{}' {}", member.name, what));
    };
    if (!range_inside(member.header_offset, kLocalHeaderBytes, bytes_.size()))
      refuse(fmt::format("is past the end of the file ({} bytes)", bytes_.size()));
    ByteReader in = at(member.header_offset);
    if (in.u32("local header") != kLocalHeader) refuse("is not where the directory says");
    in.u16("version");
    const uint16_t flags = in.u16("flags"), method = in.u16("method");
    in.take(4, "time");
    const uint32_t crc = in.u32("crc");
    uint64_t packed_bytes = in.u32("packed size"), size_bytes = in.u32("size");
    const uint16_t name_bytes = in.u16("name length"), extra_bytes = in.u16("extra length");
    if (in.text(name_bytes, "name") != member.name) refuse("has another name");
    const auto extra = in.take(extra_bytes, "extra field");
    if (method != member.method) refuse("has another method");
    if ((flags & (kFlagEncrypted | kFlagDescriptor)) != (member.flags & (kFlagEncrypted | kFlagDescriptor)))
      refuse("has other flags");
    // With a data descriptor the writer did not know these yet; 0 is then allowed.
    const bool late = (flags & kFlagDescriptor) != 0;
    const auto known = [&](uint64_t here, uint64_t there) { return here == there || (late && here == 0); };
    if (size_bytes == kIn64 || packed_bytes == kIn64)
      read_zip64_extra(
          extra, member.header_offset,
          {size_bytes == kIn64 ? &size_bytes : nullptr, packed_bytes == kIn64 ? &packed_bytes : nullptr, nullptr});
    if (!known(size_bytes, member.size_bytes) || !known(packed_bytes, member.packed_bytes))
      refuse("has other sizes than the directory");
    if (!known(crc, member.crc)) refuse("has another CRC than the directory");
    member.data_offset = in.position();
    if (!range_inside(member.data_offset, member.packed_bytes, bytes_.size()))
      fail("zip-truncated", member.header_offset,
           fmt::format("'{}' has {} bytes at {}, the file has {}", member.name, member.packed_bytes, member.data_offset,
                       bytes_.size()));
  }

  // In file order, so that members which share bytes are found before they are read many times.
  void check_places(std::vector<ZipMember>& members, uint64_t directory_offset) const {
    std::vector<ZipMember*> by_offset(members.size());
    std::transform(members.begin(), members.end(), by_offset.begin(), [](ZipMember& m) { return &m; });
    std::sort(by_offset.begin(), by_offset.end(),
              [](const ZipMember* a, const ZipMember* b) { return a->header_offset < b->header_offset; });
    for (size_t i = 0; i < by_offset.size(); ++i) {
      ZipMember& member = *by_offset[i];
      check_local_header(member);
      const uint64_t next = i + 1 < by_offset.size() ? by_offset[i + 1]->header_offset : directory_offset;
      if (member.data_offset + member.packed_bytes > next)
        fail("zip-overlap", member.header_offset,
             fmt::format("'{}' ends at {}, inside {}", member.name, member.data_offset + member.packed_bytes,
                         i + 1 < by_offset.size() ? fmt::format("'{}'", by_offset[i + 1]->name) : "the directory"));
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  const Limits& limits_;
};

uint32_t crc_of(std::span<const std::byte> bytes, uint32_t crc = 0) {
  return libdeflate_crc32(crc, bytes.data(), bytes.size());
}

// A deflated member at once, by libdeflate: twice as fast as zlib. nullopt if it is not exactly what it should be.
std::optional<std::vector<std::byte>> inflate_whole(std::span<const std::byte> packed, uint64_t size_bytes) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> decompressor(
      libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  if (!decompressor) return std::nullopt;
  std::vector<std::byte> out(size_bytes);
  size_t consumed = 0;
  if (libdeflate_deflate_decompress_ex(decompressor.get(), packed.data(), packed.size(), out.data(), out.size(),
                                       &consumed, nullptr) != LIBDEFLATE_SUCCESS ||
      consumed != packed.size())
    return std::nullopt;
  return out;
}

// zlib's state, freed however we leave. zlib unpacks what is too large to be in memory, and says what is wrong.
struct Inflater {
  z_stream stream{};
  Inflater() {
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();  // raw deflate: zip has its own header
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> bytes, std::string file, const Limits& limits)
    : bytes_(bytes), file_(std::move(file)), members_(DirectoryReader(bytes_, file_, limits).read()) {
  by_name_.reserve(members_.size());
  for (size_t i = 0; i < members_.size(); ++i)
    if (!by_name_.emplace(members_[i].name, i).second)
      throw Error("zip-duplicate-name", BytePlace{file_, {}, members_[i].header_offset},
                  fmt::format("the archive has two members named '{}'", members_[i].name));
}

const ZipMember* ZipArchive::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &members_[it->second];
}

void ZipArchive::check_readable(const ZipMember& member) const {
  const BytePlace place{file_, std::string(member.name), {}};
  if (member.method != kStored && member.method != kDeflated)
    throw Error(
        "zip-method", place,
        fmt::format("the member is packed by method {}; stored (0) and deflated (8) can be read", member.method));
  if (member.method == kDeflated && member.size_bytes / kMaxDeflateRatio > member.packed_bytes)
    throw Error("zip-bad-size", place,
                fmt::format("{} bytes cannot unpack to {}", member.packed_bytes, member.size_bytes));
}

void ZipArchive::check_crc(const ZipMember& member) const {
  if (const uint32_t found = crc_of(stored(member)); found != member.crc)
    throw Error("zip-bad-crc", BytePlace{file_, std::string(member.name), {}},
                fmt::format("the CRC is {:08x}, the directory says {:08x}", found, member.crc),
                "the file is damaged: copy or download it again");
}

void ZipArchive::unpack(const ZipMember& member, const std::function<void(std::span<const std::byte>)>& sink) const {
  check_readable(member);
  if (member.stored()) {
    check_crc(member);
    sink(stored(member));
    return;
  }
  const BytePlace place{file_, std::string(member.name), {}};
  const auto packed = stored(member);
  if (member.size_bytes <= kWholeBytes)
    if (const auto whole = inflate_whole(packed, member.size_bytes); whole && crc_of(*whole) == member.crc) {
      if (!whole->empty()) sink(*whole);
      return;
    }
  Inflater inflater;
  z_stream& z = inflater.stream;
  std::vector<std::byte> piece(256 << 10);
  uint64_t taken = 0, made = 0;
  uint32_t crc = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    if (z.avail_in == 0 && taken < packed.size()) {
      const uint64_t more = std::min<uint64_t>(packed.size() - taken, 1u << 30);
      z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + taken));
      z.avail_in = static_cast<uInt>(more);
      taken += more;
    }
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&z, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END)
      throw Error("zip-bad-deflate", place,
                  state == Z_BUF_ERROR ? "the packed data ends early"
                                       : fmt::format("the packed data is damaged: {}", z.msg ? z.msg : "unknown"));
    const std::span<const std::byte> out(piece.data(), piece.size() - z.avail_out);
    if (out.size() > member.size_bytes - made)
      throw Error("zip-bad-size", place,
                  fmt::format("the member unpacks to more than the {} bytes it declares", member.size_bytes));
    made += out.size();
    crc = crc_of(out, crc);
    if (!out.empty()) sink(out);
  }
  if (made != member.size_bytes || z.avail_in != 0 || taken != packed.size())
    throw Error("zip-bad-size", place,
                fmt::format("the member unpacks to {} bytes, {} are declared", made, member.size_bytes));
  if (crc != member.crc)
    throw Error("zip-bad-crc", place, fmt::format("the CRC is {:08x}, the directory says {:08x}", crc, member.crc),
                "the file is damaged: copy or download it again");
}

std::vector<std::byte> ZipArchive::first_bytes(const ZipMember& member, size_t most) const {
  check_readable(member);
  const auto packed = stored(member);
  std::vector<std::byte> head(static_cast<size_t>(std::min<uint64_t>(most, member.size_bytes)));
  if (member.stored()) {
    std::copy_n(packed.begin(), head.size(), head.begin());
    return head;
  }
  Inflater inflater;
  z_stream& z = inflater.stream;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  z.avail_in = static_cast<uInt>(std::min<uint64_t>(packed.size(), 1u << 30));
  z.next_out = reinterpret_cast<Bytef*>(head.data());
  z.avail_out = static_cast<uInt>(head.size());
  const int state = head.empty() ? Z_OK : inflate(&z, Z_SYNC_FLUSH);
  if (state != Z_OK && state != Z_STREAM_END)
    throw Error("zip-bad-deflate", BytePlace{file_, std::string(member.name), {}},
                fmt::format("the packed data is damaged: {}", z.msg ? z.msg : "it ends early"));
  head.resize(head.size() - z.avail_out);
  return head;
}

std::string_view ZipArchive::first_name(std::span<const std::byte> bytes) {
  static constexpr size_t kLengthAt = 26, kNameAt = 30;
  if (bytes.size() < kNameAt) return {};
  const size_t length = static_cast<size_t>(bytes[kLengthAt]) | static_cast<size_t>(bytes[kLengthAt + 1]) << 8;
  return bytes.size() - kNameAt < length
             ? std::string_view()
             : std::string_view(reinterpret_cast<const char*>(bytes.data()) + kNameAt, length);
}

bool ZipArchive::has_signature(std::span<const std::byte> bytes) {
  static constexpr std::array<char, 4> kMagic = {'P', 'K', 3, 4};
  return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

}  // namespace remap::formats
