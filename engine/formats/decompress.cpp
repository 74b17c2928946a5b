#include "formats/decompress.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

constexpr size_t kFirstBytes = 64 * 1024;
constexpr size_t kMaxSlice = size_t{1} << 30;  // zlib counts in 32 bits
constexpr size_t kMaxDeflateRatio = 1032;  // of 258 bytes, by a code of one bit for the length and one for the distance

// What the decoders share: room to write that grows up to the expected size, one byte of room behind it that must stay
// unused, and the messages.
class ChunkOutput {
 public:
  ChunkOutput(const MappedFile& file, size_t expected, std::vector<std::byte>& out)
      : file_(file), expected_(expected), out_(out) {
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
      fail(fmt::format("the chunk decodes to {} bytes; {} expected", used_, expected_), file_.size());
    out_.resize(expected_);
  }
  [[noreturn]] void fail(const std::string& message, uint64_t offset) const {
    throw Error("zarr-chunk", BytePlace{file_.path(), {}, offset}, message,
                "the chunk is damaged or was not copied completely; fetch it again");
  }

 private:
  const MappedFile& file_;
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
bool inflate_whole(std::span<const std::byte> in, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  if (size_bytes / kMaxDeflateRatio > in.size()) return false;
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(libdeflate_alloc_decompressor());
  if (!decompressor) return false;
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
void inflate_in_pieces(const MappedFile& file, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  ChunkOutput output(file, size_bytes, out);
  const char* what = gzip ? "gzip" : "zlib";
  z_stream stream = {};
  if (inflateInit2(&stream, gzip ? 15 + 16 : 15) != Z_OK) output.fail("zlib cannot start", 0);
  const std::unique_ptr<z_stream, InflateEnd> guard(&stream);
  uint64_t offset = 0;
  while (true) {
    const size_t available = std::min<uint64_t>(file.size() - offset, kMaxSlice);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(file.data() + offset));
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
      if (offset == file.size()) break;
      // gzip may go on with another member; anything else does not belong here.
      if (!gzip || file.data()[offset] != std::byte{0x1f})
        output.fail(fmt::format("{} bytes follow the {} data", file.size() - offset, what), offset);
      inflateReset(&stream);
    } else if (consumed == 0 && produced == 0) {
      output.fail(fmt::format("{} data ends early", what), offset);
    }
  }
  output.finish();
}

}  // namespace

void copy_raw(const MappedFile& file, size_t size_bytes, std::vector<std::byte>& out) {
  if (file.size() != size_bytes)
    throw Error("zarr-chunk", BytePlace{file.path(), {}, {}},
                fmt::format("the chunk has {} bytes; {} expected", file.size(), size_bytes),
                "the chunk is damaged or was not copied completely; fetch it again");
  out.assign(file.data(), file.data() + size_bytes);
}

void inflate_chunk(const MappedFile& file, size_t size_bytes, bool gzip, std::vector<std::byte>& out) {
  if (!inflate_whole(file.bytes(), size_bytes, gzip, out)) inflate_in_pieces(file, size_bytes, gzip, out);
}

void unpack_zstd_chunk(const MappedFile& file, size_t size_bytes, std::vector<std::byte>& out) {
  ChunkOutput output(file, size_bytes, out);
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), &ZSTD_freeDStream);
  if (!stream) output.fail("zstd cannot start", 0);
  ZSTD_inBuffer input{file.data(), file.size(), 0};
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

}  // namespace remap::formats
