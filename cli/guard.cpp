#include "cli/guard.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>

#include <fmt/format.h>

namespace cli {
namespace {

// Standard error may be closed or full: then there is nobody to tell.
void report(const remap::Diagnostic& diagnostic, const Options& options) noexcept {
  try {
    print(diagnostic, options);
  } catch (...) {
  }
}

int failed(std::string id, remap::Place place, std::string message, std::string hint, const Options& options) {
  report({remap::Severity::error, std::move(id), std::move(place), std::move(message), {}, std::move(hint)}, options);
  return kFailed;
}

int unwritable_output(int error, const Options& options) {
  std::clearerr(stdout);
  return failed("io-write", {},
                fmt::format("cannot write to standard output: {}", std::generic_category().message(error)), {},
                options);
}

constexpr const char* kReport = "please report it, with the command";

int run(const std::function<int()>& body, const Options& options) {
  try {
    return body();
  } catch (const remap::Error& e) {
    if (e.diagnostic().id != "cancelled") {
      report(e.diagnostic(), options);
      return kFailed;
    }
    const std::string& hint = e.diagnostic().hint;
    std::fputs(!hint.empty()    ? ("interrupted; " + hint + "\n").c_str()
               : options.resume ? "interrupted; what was written is kept: run again with --resume\n"
                                : "interrupted; nothing was written\n",
               stderr);
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    return failed("out-of-memory", {}, "not enough memory", {}, options);
  } catch (const std::filesystem::filesystem_error& e) {
    return failed("io-read", remap::BytePlace{e.path1().string(), {}, {}}, e.code().message(), {}, options);
  } catch (const std::system_error& e) {
    if (std::ferror(stdout) != 0) return unwritable_output(e.code().value(), options);
    return failed("system", {}, fmt::format("the system refused what the program needs: {}", e.what()), {}, options);
  } catch (const std::exception& e) {
    return failed("internal", {}, fmt::format("this should not happen: {}", e.what()), kReport, options);
  } catch (...) {
    return failed("internal", {}, "this should not happen: something was thrown that is not an exception", kReport,
                  options);
  }
}

}  // namespace

int guarded(const std::function<int()>& body, const Options& options) noexcept {
  try {
    const int code = run(body, options);
    errno = 0;
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return written || code == kFailed ? code : unwritable_output(errno == 0 ? EIO : errno, options);
  } catch (...) {  // no memory even for the message
    std::fputs("error[out-of-memory]: not enough memory\n", stderr);
    return kFailed;
  }
}

}  // namespace cli
