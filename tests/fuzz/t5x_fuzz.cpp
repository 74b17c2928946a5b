// A T5X folder: one array whose chunk the target compresses itself, so that checksums are right, and the msgpack file
// that names it. Any of the three texts (.zarray, chunk, msgpack) may be the input's own.
#include "fuzz/fuzz_input.h"
#include "support/zarr_files.h"

using namespace remap;

namespace {

namespace mp = test::msgpack;

constexpr std::string_view kDtypes[] = {"<f4", "<i2", "|u1", ">f8", "bfloat16", "|b1", "<c8"};
constexpr std::string_view kCompressors[] = {"null", R"({"id":"gzip","level":1})", R"({"id":"zlib","level":1})",
                                             R"({"id":"zstd","level":1})"};

std::string packed(size_t codec, std::string_view chunk) {
  switch (codec) {
    case 0: return std::string(chunk);
    case 1: return test::gzip_bytes(chunk);
    case 2: return test::deflate_bytes(chunk, 15);
    default: return test::zstd_bytes(chunk);
  }
}

std::string checkpoint_naming(const std::string& array, uint8_t size) {
  const std::string spec = mp::map({{"driver", mp::text("zarr")},
                                    {"dtype", mp::text("float32")},
                                    {"kvstore", mp::map({{"driver", mp::text("file")}, {"path", mp::text(array)}})},
                                    {"metadata", mp::map({{"shape", mp::array({mp::integer(size)})}})}});
  return mp::map(
      {{"version", mp::integer(3)},
       {"optimizer", mp::map({{"state", mp::map({{"step", mp::integer(1)}})}, {"target", mp::map({{"a", spec}})}})}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte(), n_elements = input.byte(), n_in_chunk = input.byte();
  const size_t codec = form & 3;
  const std::string_view own_zarray = input.long_text(), chunk = input.long_text();
  const std::string_view own_checkpoint = input.rest();

  test::Zarray zarray;
  zarray.shape = "[" + std::to_string(n_elements) + "]";
  zarray.chunks = "[" + std::to_string(n_in_chunk + 1) + "]";
  zarray.compressor = kCompressors[codec];
  zarray.dtype = '"' + std::string(kDtypes[(form >> 2) % std::size(kDtypes)]) + '"';
  if (form & 0x80) zarray.fill_value = "0";
  std::filesystem::create_directory(folder.path("target.a"));
  folder.write("target.a/.zarray", own_zarray.empty() ? zarray.json() : own_zarray);
  folder.write("target.a/0", packed(codec, chunk));
  folder.write("checkpoint", own_checkpoint.empty() ? checkpoint_naming("target.a", n_elements) : own_checkpoint);
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
