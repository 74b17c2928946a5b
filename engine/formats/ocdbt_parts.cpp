#include "formats/ocdbt_parts.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include <fmt/format.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "formats/protobuf.h"

namespace remap::formats {
namespace {

constexpr const char* kFetchDatabase = "the database is damaged or was not copied completely; fetch it again";

uint32_t big_endian_at(std::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return __builtin_bswap32(value);
}
template <typename T>
T little_endian_at(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// One frame, and nothing behind it. What is packed so is lists of keys and numbers: more than some hundred times as
// much as the packed bytes is not what anyone wrote.
void unpack_frame(std::string_view bytes, const OcdbtReader& at, const Limits& limits, std::string& out) {
  constexpr uint64_t kMostFromByte = 512, kAlways = 1 << 20;
  const uint64_t most = std::min<uint64_t>(limits.max_index_bytes, kAlways + kMostFromByte * bytes.size());
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), &ZSTD_freeDStream);
  if (!stream) at.fail("zstd cannot start");
  ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
  size_t used = 0;
  for (size_t status = 1; status != 0;) {
    if (used == out.size()) out.resize(std::min<uint64_t>(most + 1, std::max<uint64_t>(2 * out.size(), 64 << 10)));
    if (used > most)
      at.fail(fmt::format("{} bytes unpack to more than {}; so many are not unpacked", bytes.size(), most));
    ZSTD_outBuffer target{out.data(), out.size(), used};
    const size_t before = input.pos;
    status = ZSTD_decompressStream(stream.get(), &target, &input);
    if (ZSTD_isError(status)) at.fail(fmt::format("zstd data is damaged: {}", ZSTD_getErrorName(status)));
    if (status != 0 && input.pos == before && target.pos == used) at.fail("zstd data ends early");
    used = target.pos;
  }
  if (input.pos != input.size) at.fail(fmt::format("{} bytes follow the zstd data", input.size - input.pos));
  out.resize(used);
}

}  // namespace

uint64_t OcdbtReader::varint(std::string_view what, int max_bits) {
  const auto value = take_varint(rest_, max_bits);
  if (!value) fail(fmt::format("{}: not a number of at most {} bits", what, max_bits));
  return *value;
}

uint64_t OcdbtReader::u64(std::string_view what) { return little_endian_at<uint64_t>(take(8, what), 0); }

std::string_view OcdbtReader::take(uint64_t n_bytes, std::string_view what) {
  if (n_bytes > rest_.size()) fail(fmt::format("{}: {} bytes needed, {} left", what, n_bytes, rest_.size()));
  const std::string_view taken = rest_.substr(0, n_bytes);
  rest_.remove_prefix(n_bytes);
  return taken;
}

size_t OcdbtReader::count(std::string_view what, int max_bits) {
  const uint64_t n = varint(what, max_bits);
  if (n > rest_.size()) fail(fmt::format("{}: {} are claimed, and {} bytes left", what, n, rest_.size()));
  return n;
}

std::vector<uint64_t> OcdbtReader::column(size_t n, std::string_view what, int max_bits) {
  std::vector<uint64_t> values(n);
  for (uint64_t& value : values) value = varint(what, max_bits);
  return values;
}

std::vector<uint8_t> OcdbtReader::bytes_column(size_t n, std::string_view what) {
  const std::string_view bytes = take(n, what);
  return {bytes.begin(), bytes.end()};
}

void OcdbtReader::require_end(std::string_view what) const {
  if (!rest_.empty()) fail(fmt::format("{} bytes follow {}", rest_.size(), what));
}

void OcdbtReader::fail(const std::string& message) const {
  throw Error("ocdbt-damaged", place_, message, kFetchDatabase);
}

std::string_view open_envelope(std::string_view bytes, uint32_t magic, const BytePlace& place, const Limits& limits,
                               std::string& buffer) {
  constexpr size_t kHeaderBytes = 12, kSumBytes = 4, kSmallest = 18;
  const OcdbtReader whole(bytes, place);
  if (bytes.size() < kSmallest)
    whole.fail(fmt::format("{} bytes, fewer than the {} that it takes at least", bytes.size(), kSmallest));
  if (const uint32_t found = big_endian_at(bytes, 0); found != magic)
    whole.fail(fmt::format("the magic number is {:08x}; {:08x} was expected", found, magic));
  if (const auto length = little_endian_at<uint64_t>(bytes, 4); length != bytes.size())
    whole.fail(fmt::format("the length is {} by its own account, and there are {} bytes", length, bytes.size()));
  const std::string_view summed = bytes.substr(0, bytes.size() - kSumBytes);
  const auto stored = little_endian_at<uint32_t>(bytes, summed.size());
  if (const uint32_t computed = crc32c(std::as_bytes(std::span(summed))); stored != computed)
    whole.fail(fmt::format("the checksum is {:08x}, and that of the bytes {:08x}", stored, computed));
  OcdbtReader in(summed.substr(kHeaderBytes), place);
  const auto refuse = [&](const std::string& message) {
    throw Error("ocdbt-unsupported", place, message, "save the checkpoint again with a current Orbax or tensorstore");
  };
  if (const uint64_t version = in.varint("the format's version", 32); version != 0)
    refuse(fmt::format("version {} of the format; version 0 is read", version));
  const uint64_t method = in.varint("the compression", 32);
  if (method > 1) refuse(fmt::format("compression {} is not known; none (0) and zstd (1) are", method));
  std::string_view body = summed.substr(kHeaderBytes);
  take_varint(body);
  take_varint(body);
  if (method == 0) return body;
  buffer.clear();
  unpack_frame(body, whole, limits, buffer);
  return buffer;
}

std::vector<OcdbtFileName> read_file_table(OcdbtReader& in) {
  const size_t n = in.count("data files");
  const auto prefixes = in.column(n == 0 ? 0 : n - 1, "the prefix of a data file's path", 16);
  const auto suffixes = in.column(n, "the suffix of a data file's path", 16);
  const auto bases = in.column(n, "the base of a data file's path", 16);
  std::vector<OcdbtFileName> files(n);
  for (size_t i = 0; i < n; ++i) {
    std::string& path = files[i].path;
    if (i > 0) {
      if (prefixes[i - 1] > files[i - 1].path.size()) in.fail("a data file's path shares more than the one before has");
      path = files[i - 1].path.substr(0, prefixes[i - 1]);
      if (prefixes[i - 1] > std::min(bases[i - 1], bases[i]) && bases[i - 1] != bases[i])
        in.fail("the bases of two data files' paths contradict each other");
    }
    path += in.take(suffixes[i], "a data file's path");
    if (path.size() > kOcdbtMostPath) in.fail(fmt::format("a data file's path has {} bytes", path.size()));
    if (bases[i] > path.size()) in.fail("the base of a data file's path is longer than the path");
    files[i].base = path.substr(0, bases[i]);
  }
  return files;
}

}  // namespace remap::formats
