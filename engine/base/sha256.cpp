#include "base/sha256.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
// The functions of OpenSSL 1.1: the newer ones look for the algorithm by name at run time, among providers and in
// openssl.cnf, and bring all of libcrypto with them (4 MB of a static program).
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/sha.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "base/open_descriptor.h"
#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "remap/diagnostic.h"

namespace remap {
namespace {

class Sha256 {
 public:
  Sha256() { SHA256_Init(&context_); }
  void add(const void* data, size_t length) { SHA256_Update(&context_, data, length); }
  std::string hex() {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> bytes{};
    SHA256_Final(bytes.data(), &context_);
    std::string text;
    for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  SHA256_CTX context_;
};

FileDigest digest_of(const std::string& path, std::vector<std::byte>& buffer, ProgressCounter& progress,
                     const std::atomic<bool>* cancel) {
  const auto fail = [&](int error) {
    throw Error("io-read", BytePlace{path, {}, {}}, fmt::format("the file cannot be read: {}", errno_text(error)));
  };
  const int fd = open_descriptor(path, O_RDONLY);
  if (fd < 0) fail(errno);
  FileDigest digest;
  Sha256 sum;
  ssize_t got = 0;
  bool is_cancelled = false;
  do {
    is_cancelled = cancel != nullptr && *cancel;
    if (is_cancelled) break;
    got = ::read(fd, buffer.data(), buffer.size());
    if (got <= 0) continue;
    sum.add(buffer.data(), static_cast<size_t>(got));
    digest.size_bytes += static_cast<uint64_t>(got);
    progress.add(static_cast<uint64_t>(got));
  } while (got > 0 || (got < 0 && errno == EINTR));
  const int error = got < 0 ? errno : 0;
  ::close(fd);
  if (is_cancelled) throw Error("cancelled", {}, "stopped before all files were read");
  if (error != 0) fail(error);
  digest.sha256 = sum.hex();
  return digest;
}

}  // namespace

std::string sha256(std::string_view text) {
  Sha256 sum;
  sum.add(text.data(), text.size());
  return sum.hex();
}

std::vector<FileDigest> sha256_of_files(const std::vector<std::string>& paths, const ProgressFunction& progress,
                                        const std::atomic<bool>* cancel) {
  constexpr int64_t kAllCores = int64_t{1} << 40;
  std::vector<FileDigest> digests(paths.size());
  std::vector<std::exception_ptr> errors(paths.size());
  std::atomic<size_t> next = 0;
  uint64_t bytes = 0;
  for (const auto& path : paths) {
    std::error_code unknown;  // reading says it
    const auto size = std::filesystem::file_size(path, unknown);
    if (!unknown) bytes += size;
  }
  ProgressCounter counter(progress, bytes);
  parallel_for(static_cast<int64_t>(paths.size()), kAllCores, [&](int64_t, int64_t) {
    std::vector<std::byte> buffer(size_t{1} << 20);
    for (size_t i = next++; i < paths.size(); i = next++) try {
        digests[i] = digest_of(paths[i], buffer, counter, cancel);
      } catch (const Error&) {
        errors[i] = std::current_exception();
      }
  });
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
  counter.finish();
  return digests;
}

}  // namespace remap
