// Small builders for pickles, zip archives and torch files, and the kinds of damage that tests do to them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zlib.h>

namespace remap::test {

template <typename T>
std::string little(T value) {
  std::string raw(sizeof value, '\0');
  std::memcpy(raw.data(), &value, sizeof value);
  return raw;
}

// Opcodes one after the other; what an opcode does is in its name.
class Pickle {
 public:
  explicit Pickle(int protocol = 2) { *this << "\x80" << std::string(1, static_cast<char>(protocol)); }
  static Pickle bare() {
    Pickle pickle;
    pickle.bytes_.clear();
    return pickle;
  }
  Pickle& operator<<(std::string_view opcodes) {
    bytes_ += opcodes;
    return *this;
  }
  Pickle& text(std::string_view text) { return *this << "X" << little(static_cast<uint32_t>(text.size())) << text; }
  Pickle& integer(int32_t value) { return *this << "J" << little(value); }
  Pickle& global(std::string_view module, std::string_view name) {
    return *this << "c" << module << "\n" << name << "\n";
  }
  Pickle& tuple(std::vector<int> values) {
    *this << "(";
    for (const int value : values) integer(value);
    return *this << "t";
  }
  // torch._utils._rebuild_tensor_v2((storage), offset, shape, strides, False, OrderedDict())
  struct Tensor {
    std::string type = "FloatStorage", key = "0";
    int elements = 6, offset = 0;
    std::vector<int> shape = {2, 3}, strides = {3, 1};
    bool legacy = false;
  };
  Pickle& storage(const Tensor& t) {
    *this << "(";
    text("storage").global("torch", t.type).text(t.key).text("cpu").integer(t.elements);
    return *this << (t.legacy ? "NtQ" : "tQ");
  }
  Pickle& tensor(const Tensor& t) {
    global("torch._utils", "_rebuild_tensor_v2") << "(";
    storage(t).integer(t.offset).tuple(t.shape).tuple(t.strides) << "\x89";
    return global("collections", "OrderedDict") << ")RtR";
  }
  std::string stop() const { return bytes_ + "."; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// One member of an archive, and where its headers lie.
struct ZipEntry {
  std::string name, data;
  bool deflate = false, descriptor = false;
};

enum class ZipDamage {
  none,
  zip64,  // no damage: sizes and offsets in zip64 records
  encrypted,
  strongly_encrypted,
  unknown_method,
  local_name,
  local_method,
  local_size,
  local_crc,
  local_signature,
  local_flags,
  stored_sizes_differ,
  header_past_end,
  data_past_end,
  same_header_twice,
  overlap,
  into_directory,
  directory_signature,
  directory_count,
  directory_size,
  directory_offset,
  bytes_before_end,
  no_end,
  several_disks,
  member_on_other_disk,
  zip64_extra_absent,
  zip64_disagrees,
  bad_crc,
  bad_deflate,
  deflate_too_long,
  deflate_too_short,
  deflate_bomb,
  stored_but_deflated,  // of a member that is deflated: the method says that it is stored
};

// Writes an archive; the damage is done to the first member, or to the end records.
inline std::string build_zip(std::vector<ZipEntry> entries, ZipDamage damage = ZipDamage::none) {
  using enum ZipDamage;
  const auto deflated = [](const std::string& data) {
    std::string out(compressBound(data.size()) + 64, '\0');
    z_stream z{};
    deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    z.avail_in = static_cast<uInt>(data.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, Z_FINISH);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
  };
  std::string file, directory;
  uint32_t first_header = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    ZipEntry& entry = entries[i];
    const auto is = [&](ZipDamage kind) { return i == 0 && damage == kind; };
    std::string packed = entry.deflate ? deflated(entry.data) : entry.data;
    uint32_t crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(entry.data.data()), static_cast<uInt>(entry.data.size())));
    uint32_t size = static_cast<uint32_t>(entry.data.size());
    if (is(bad_crc)) crc ^= 1;
    if (is(bad_deflate)) packed.assign(packed.size(), '\xff');
    if (is(deflate_too_long)) size -= 1;
    if (is(deflate_too_short)) size += 1;
    if (is(deflate_bomb)) size = 0x7fffffff;
    uint16_t flags = entry.descriptor ? 8 : 0, method = entry.deflate ? 8 : 0;
    if (is(encrypted)) flags |= 1;
    if (is(strongly_encrypted)) flags |= 64;
    if (is(unknown_method)) method = 12;
    if (is(stored_but_deflated)) method = 0, size = static_cast<uint32_t>(packed.size());
    uint32_t packed_size = static_cast<uint32_t>(packed.size()), header = static_cast<uint32_t>(file.size());
    if (i == 0) first_header = header;

    const bool late = entry.descriptor;
    file += is(local_signature) ? "PK\x03\x05" : "PK\x03\x04";
    file += little<uint16_t>(20) + little<uint16_t>(is(local_flags) ? flags ^ 8 : flags) +
            little<uint16_t>(is(local_method) ? 8 : method) + little<uint32_t>(0);
    file += little<uint32_t>(late            ? 0
                             : is(local_crc) ? crc ^ 1
                                             : crc) +
            little<uint32_t>(late ? 0 : packed_size) +
            little<uint32_t>(late             ? 0
                             : is(local_size) ? size + 1
                                              : size);
    std::string local = entry.name;
    if (is(local_name)) local.back() ^= 1;
    const std::string padding = "FB" + little<uint16_t>(4) + "ZZZZ";  // as torch pads
    file += little<uint16_t>(static_cast<uint16_t>(local.size())) +
            little<uint16_t>(static_cast<uint16_t>(padding.size())) + local + padding;
    file += packed;
    if (late) file += "PK\x07\x08" + little(crc) + little(packed_size) + little(size);

    if (is(stored_sizes_differ)) size += 1;
    if (is(header_past_end)) header = 0x7fffffff;
    if (is(data_past_end)) packed_size = size = 0x7fffffff;
    if (is(overlap) || is(into_directory)) {  // the local header must agree, so both are changed
      const uint32_t longer = packed_size + (damage == overlap && entries.size() > 1 ? 40 : 60);
      packed_size = size = longer;
      std::memcpy(file.data() + header + 18, &longer, 4);
      std::memcpy(file.data() + header + 22, &longer, 4);
    }
    if (i == 1 && damage == same_header_twice) {
      header = first_header;
      entry.name = entries[0].name;
    }
    std::string extra;
    if (damage == zip64 || is(zip64_extra_absent)) {
      if (damage == zip64)
        extra = little<uint16_t>(1) + little<uint16_t>(24) + little<uint64_t>(size) + little<uint64_t>(packed_size) +
                little<uint64_t>(header);
      size = packed_size = header = 0xffffffff;
    }
    directory += is(directory_signature) ? "PK\x01\x03" : "PK\x01\x02";
    directory += little<uint16_t>(20) + little<uint16_t>(20) + little(flags) + little(method) + little<uint32_t>(0) +
                 little(crc) + little(packed_size) + little(size);
    directory += little<uint16_t>(static_cast<uint16_t>(entry.name.size())) +
                 little<uint16_t>(static_cast<uint16_t>(extra.size())) + little<uint16_t>(0);
    directory += little<uint16_t>(is(member_on_other_disk) ? 1 : 0) + little<uint16_t>(0) + little<uint32_t>(0) +
                 little(header) + entry.name + extra;
  }
  uint64_t offset = file.size(), size = directory.size(), count = entries.size();
  file += directory;
  if (damage == directory_count) count += 1;
  if (damage == directory_size) size -= 1;
  if (damage == directory_offset) offset += 1;
  const bool wide = damage == zip64 || damage == zip64_disagrees;
  if (wide) {
    const uint64_t at = file.size();
    file += "PK\x06\x06" + little<uint64_t>(44) + little<uint16_t>(45) + little<uint16_t>(45) + little<uint32_t>(0) +
            little<uint32_t>(0);
    file += little(count) + little(count) + little(size) + little(offset);
    file += "PK\x06\x07" + little<uint32_t>(0) + little(at) + little<uint32_t>(1);
  }
  if (damage == bytes_before_end) file += "surprise";
  if (damage == no_end) return file;
  const auto narrow = [&](uint64_t value) { return damage == zip64 ? 0xffffffffu : static_cast<uint32_t>(value); };
  const uint16_t members = damage == zip64 ? 0xffff : static_cast<uint16_t>(count + (damage == zip64_disagrees));
  file += "PK\x05\x06" + little<uint16_t>(damage == several_disks ? 1 : 0) + little<uint16_t>(0) + little(members) +
          little(members);
  return file + little(narrow(size)) + little(narrow(offset)) + little<uint16_t>(0);
}

// A torch zip archive around a pickle: storage "0" has six floats, 0 to 5.
inline std::string six_floats() {
  std::string data;
  for (int i = 0; i < 6; ++i) data += little(static_cast<float>(i));
  return data;
}
inline std::vector<ZipEntry> torch_entries(const std::string& pickle, bool deflate = false) {
  return {{"archive/data.pkl", pickle, deflate},
          {"archive/byteorder", "little", false},
          {"archive/data/0", six_floats(), deflate},
          {"archive/version", "3\n", false}};
}
inline std::string build_torch_zip(const std::string& pickle) { return build_zip(torch_entries(pickle)); }

// A legacy stream around a pickle, with the storages given as (key, element count, bytes).
struct LegacyStorage {
  std::string key;
  uint64_t elements;
  std::string bytes;
};
inline std::string build_torch_legacy(const std::string& pickle, const std::vector<LegacyStorage>& storages,
                                      bool little_endian = true) {
  const std::string magic = Pickle().operator<<("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19").stop();
  Pickle protocol, info, keys;
  protocol << "M" << little<uint16_t>(1001);
  info << "}";
  info.text("little_endian") << (little_endian ? "\x88" : "\x89") << "s";
  keys << "](";
  std::string data;
  for (const LegacyStorage& storage : storages) {
    keys.text(storage.key);
    data += little(storage.elements) + storage.bytes;
  }
  keys << "e";
  return magic + protocol.stop() + info.stop() + pickle + keys.stop() + data;
}

}  // namespace remap::test
