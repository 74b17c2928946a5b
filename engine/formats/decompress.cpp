#include "formats/decompress.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <blosc.h>
#include <bzlib.h>
#include <fmt/format.h>
#include <libdeflate.h>
#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"

namespace remap::formats {
namespace {

constexpr size_t kFirstBytes = 64 * 1024;
constexpr size_t kMaxSlice = size_t{1} << 30;  // zlib counts in 32 bits
constexpr size_t kMaxRatio = 1032;  // of 258 bytes, by a code of one bit for the length and one for the distance

// A vector that grows holds what it had beside its new memory, which for a chunk is as much again.
void forget_if_small(std::vector<std::byte>& out, size_t size_bytes) {
  if (out.capacity() < size_bytes) std::vector<std::byte>().swap(out);
}

// What the decoders share: room to write that grows up to the expected size, one byte of room behind it that must stay
// unused, and the messages.
class ChunkOutput {
 public:
  ChunkOutput(const ChunkBytes& chunk, size_t expected, std::vector<std::byte>& out)
      : chunk_(chunk), expected_(expected), out_(out) {
    if (out_.size() > expected_) out_.resize(expected_);
    if (out_.capacity() >= expected_) out_.resize(expected_);  // the buffer served a chunk of this size before
  }

  // Where to write next, at least one byte.
  std::byte* room(size_t& length) {
    if (used_ == expected_) {
      length = 1;
      return &surplus_;
    }
    if (used_ == out_.size()) out_.resize(std::min(expected_, std::max(kFirstBytes, 2 * out_.size())));
    length = std::min(out_.size() - used_, kMaxSlice);
    return out_.data() + used_;
  }
  void wrote(size_t length, uint64_t input_offset) {
    if (used_ == expected_ && length > 0)
      fail(fmt::format("the chunk decodes to more than the {} bytes expected", expected_), input_offset);
    used_ += length;
  }
  void finish() {
    if (used_ != expected_)
      fail(fmt::format("the chunk decodes to {} bytes; {} expected", used_, expected_), chunk_.bytes.size());
    out_.resize(expected_);
  }
  [[noreturn]] void fail(const std::string& message, uint64_t offset) const { chunk_.fail(message, offset); }

 private:
  const ChunkBytes& chunk_;
  size_t expected_;
  std::vector<std::byte>& out_;
  size_t used_ = 0;
  std::byte surplus_{};
};

struct InflateEnd {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* decompressor) const { libdeflate_free_decompressor(decompressor); }
};

// The whole chunk at once, by libdeflate: false if it is not exactly what it should be. Takes no memory for what the
// file cannot hold.
bool inflate_at_once(std::span<const std::byte> in, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  if (size_bytes / kMaxRatio > in.size()) return false;
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(libdeflate_alloc_decompressor());
  if (!decompressor) return false;
  forget_if_small(out, size_bytes);
  out.resize(size_bytes);
  const auto decompress = gzip ? libdeflate_gzip_decompress_ex : libdeflate_zlib_decompress_ex;
  size_t used = 0;
  do {
    size_t consumed = 0, produced = 0;
    if (decompress(decompressor.get(), in.data(), in.size(), out.data() + used, size_bytes - used, &consumed,
                   &produced) != LIBDEFLATE_SUCCESS)
      return false;
    in = in.subspan(consumed);
    used += produced;
  } while (gzip && !in.empty());  // gzip may go on with another member
  return in.empty() && used == size_bytes;
}

// Piece by piece, by zlib, which says what is wrong and where; room grows with what has been decoded.
void inflate_in_pieces(const ChunkBytes& chunk, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  ChunkOutput output(chunk, size_bytes, out);
  const std::span<const std::byte> in = chunk.bytes;
  const char* what = gzip ? "gzip" : "zlib";
  z_stream stream = {};
  if (inflateInit2(&stream, gzip ? 15 + 16 : 15) != Z_OK) output.fail("zlib cannot start", 0);
  const std::unique_ptr<z_stream, InflateEnd> guard(&stream);
  uint64_t offset = 0;
  while (true) {
    const size_t available = std::min<uint64_t>(in.size() - offset, kMaxSlice);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + offset));
    stream.avail_in = static_cast<uInt>(available);
    size_t room = 0;
    stream.next_out = reinterpret_cast<Bytef*>(output.room(room));
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    const size_t consumed = available - stream.avail_in, produced = room - stream.avail_out;
    offset += consumed;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
      output.fail(fmt::format("{} data is damaged: {}", what, stream.msg != nullptr ? stream.msg : zError(status)),
                  offset);
    output.wrote(produced, offset);
    if (status == Z_STREAM_END) {
      if (offset == in.size()) break;
      // gzip may go on with another member; anything else does not belong here.
      if (!gzip || in[offset] != std::byte{0x1f})
        output.fail(fmt::format("{} bytes follow the {} data", in.size() - offset, what), offset);
      inflateReset(&stream);
    } else if (consumed == 0 && produced == 0) {
      output.fail(fmt::format("{} data ends early", what), offset);
    }
  }
  output.finish();
}

void inflate_chunk(const ChunkBytes& chunk, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  if (!inflate_at_once(chunk.bytes, size_bytes, gzip, out)) inflate_in_pieces(chunk, size_bytes, gzip, out);
}
void decode_gzip(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  inflate_chunk(chunk, size_bytes, true, out);
}
void decode_zlib(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  inflate_chunk(chunk, size_bytes, false, out);
}

void decode_zstd(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  ChunkOutput output(chunk, size_bytes, out);
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), &ZSTD_freeDStream);
  if (!stream) output.fail("zstd cannot start", 0);
  ZSTD_inBuffer input{chunk.bytes.data(), chunk.bytes.size(), 0};
  // A result of 0 means that a frame is complete and written out; further frames may follow.
  for (size_t status = 1; status != 0 || input.pos < input.size;) {
    const size_t before = input.pos;
    size_t room = 0;
    std::byte* const place = output.room(room);
    ZSTD_outBuffer target{place, room, 0};
    status = ZSTD_decompressStream(stream.get(), &target, &input);
    if (ZSTD_isError(status))
      output.fail(fmt::format("zstd data is damaged: {}", ZSTD_getErrorName(status)), input.pos);
    output.wrote(target.pos, input.pos);
    if (status != 0 && input.pos == before && target.pos == 0) output.fail("zstd data ends early", input.pos);
  }
  output.finish();
}

struct BzipEnd {
  void operator()(bz_stream* stream) const { BZ2_bzDecompressEnd(stream); }
};

void decode_bz2(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  ChunkOutput output(chunk, size_bytes, out);
  const std::span<const std::byte> in = chunk.bytes;
  uint64_t offset = 0;
  do {  // one stream may follow another
    bz_stream stream = {};
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) output.fail("bzip2 cannot start", offset);
    const std::unique_ptr<bz_stream, BzipEnd> guard(&stream);
    for (int status = BZ_OK; status != BZ_STREAM_END;) {
      const size_t available = std::min<uint64_t>(in.size() - offset, kMaxSlice);
      stream.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data() + offset));
      stream.avail_in = static_cast<unsigned>(available);
      size_t room = 0;
      stream.next_out = reinterpret_cast<char*>(output.room(room));
      stream.avail_out = static_cast<unsigned>(room);
      status = BZ2_bzDecompress(&stream);
      const size_t consumed = available - stream.avail_in, produced = room - stream.avail_out;
      offset += consumed;
      if (status != BZ_OK && status != BZ_STREAM_END)
        output.fail(fmt::format("bzip2 data is damaged (error {})", status), offset);
      output.wrote(produced, offset);
      if (status == BZ_OK && consumed == 0 && produced == 0) output.fail("bzip2 data ends early", offset);
    }
  } while (offset < in.size());
  output.finish();
}

// numcodecs' form: the size that the bytes unpack to, as 4 bytes, and one block.
void decode_lz4(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  constexpr size_t kHeaderBytes = 4, kMostFromByte = 255;
  uint32_t claimed = 0;
  if (chunk.bytes.size() < kHeaderBytes) chunk.fail("lz4 data ends early", chunk.bytes.size());
  std::memcpy(&claimed, chunk.bytes.data(), kHeaderBytes);
  const std::span<const std::byte> block = chunk.bytes.subspan(kHeaderBytes);
  if (claimed != size_bytes)
    chunk.fail(fmt::format("the chunk says that it decodes to {} bytes; {} expected", claimed, size_bytes), 0);
  if (size_bytes / kMostFromByte > block.size() || block.size() > INT32_MAX || size_bytes > LZ4_MAX_INPUT_SIZE)
    chunk.fail(fmt::format("lz4 data of {} bytes cannot hold {}", block.size(), size_bytes), 0);
  forget_if_small(out, size_bytes);
  out.resize(size_bytes);
  const int decoded =
      LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(block.size()), static_cast<int>(size_bytes));
  if (decoded < 0) chunk.fail("lz4 data is damaged", kHeaderBytes);
  if (static_cast<size_t>(decoded) != size_bytes)
    chunk.fail(fmt::format("the chunk decodes to {} bytes; {} expected", decoded, size_bytes), chunk.bytes.size());
}

// Blosc's header says how the bytes are packed and shuffled. Its index of blocks is as long as there are blocks, so
// that a claim of many is held to the bytes that there are.
void decode_blosc(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  constexpr size_t kOffsetBytes = 4;
  size_t claimed = 0, stored = 0, block_bytes = 0;
  if (chunk.bytes.size() < BLOSC_MIN_HEADER_LENGTH) chunk.fail("blosc data ends early", chunk.bytes.size());
  if (blosc_cbuffer_validate(chunk.bytes.data(), chunk.bytes.size(), &claimed) != 0)
    chunk.fail("the header of the blosc data is damaged", 0);
  blosc_cbuffer_sizes(chunk.bytes.data(), &claimed, &stored, &block_bytes);
  if (claimed != size_bytes)
    chunk.fail(fmt::format("the chunk says that it decodes to {} bytes; {} expected", claimed, size_bytes), 0);
  if (block_bytes == 0 || claimed / block_bytes > chunk.bytes.size() / kOffsetBytes)
    chunk.fail(fmt::format("blosc data of {} bytes cannot hold the blocks it claims", chunk.bytes.size()), 0);
  forget_if_small(out, size_bytes);
  out.resize(size_bytes);
  const int decoded = blosc_decompress_ctx(chunk.bytes.data(), out.data(), size_bytes, 1);
  if (decoded < 0) chunk.fail("blosc data is damaged, or packed in a way that this libblosc does not have", 0);
  if (static_cast<size_t>(decoded) != size_bytes)
    chunk.fail(fmt::format("the chunk decodes to {} bytes; {} expected", decoded, size_bytes), chunk.bytes.size());
}

constexpr ChunkCodec kCodecs[] = {{"blosc", decode_blosc}, {"bz2", decode_bz2},   {"gzip", decode_gzip},
                                  {"lz4", decode_lz4},     {"zlib", decode_zlib}, {"zstd", decode_zstd}};

}  // namespace

void ChunkBytes::fail(const std::string& message, std::optional<uint64_t> offset) const {
  BytePlace at = place;
  if (offset) at.offset = at.offset.value_or(0) + *offset;
  throw Error("zarr-chunk", at, message, "the chunk is damaged or was not copied completely; fetch it again");
}

std::span<const ChunkCodec> chunk_codecs() { return kCodecs; }

const ChunkCodec* find_chunk_codec(std::string_view name) {
  const auto* const it =
      std::find_if(std::begin(kCodecs), std::end(kCodecs), [&](const auto& c) { return c.name == name; });
  return it == std::end(kCodecs) ? nullptr : it;
}

void copy_raw(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out) {
  if (chunk.bytes.size() != size_bytes)
    chunk.fail(fmt::format("the chunk has {} bytes; {} expected", chunk.bytes.size(), size_bytes));
  forget_if_small(out, size_bytes);
  out.assign(chunk.bytes.begin(), chunk.bytes.end());
}

ChunkBytes without_crc32c(const ChunkBytes& chunk) {
  constexpr size_t kSumBytes = 4;
  if (chunk.bytes.size() < kSumBytes)
    chunk.fail(fmt::format("the chunk has {} bytes, too few for its checksum (crc32c)", chunk.bytes.size()));
  const auto content = chunk.bytes.first(chunk.bytes.size() - kSumBytes);
  uint32_t stored = 0;
  std::memcpy(&stored, chunk.bytes.data() + content.size(), kSumBytes);
  if (const uint32_t computed = crc32c(content); stored != computed)
    chunk.fail(fmt::format("the chunk's checksum (crc32c) is {:08x}, and that of its bytes {:08x}", stored, computed),
               content.size());
  return {content, chunk.place};
}

}  // namespace remap::formats
