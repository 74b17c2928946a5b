// Whatever is thrown, wherever: a message and exit code 2.
#include "cli/guard.h"
#include "support/catch.h"

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

namespace {
std::vector<remap::Diagnostic> printed;
bool printing_fails = false;
}  // namespace

// In place of the program's own, which writes to standard error.
void cli::print(const remap::Diagnostic& diagnostic, const Options&) {
  if (printing_fails) throw std::runtime_error("standard error is closed");
  printed.push_back(diagnostic);
}

TEST_CASE("an exception of any kind ends in a message and an exit code") {
  struct Row {
    std::function<int()> body;
    int exit;
    std::string id, message;
  };
  const std::vector<Row> rows = {
      {[] { return 0; }, 0, "", ""},
      {[] { return 1; }, 1, "", ""},
      {[]() -> int { throw remap::Error("io-read", {}, "no"); }, 2, "io-read", "no"},
      {[]() -> int { throw remap::Error("cancelled", {}, "stopped"); }, 130, "", ""},
      {[]() -> int { throw std::bad_alloc(); }, 2, "out-of-memory", "not enough memory"},
      {[]() -> int {
         throw std::filesystem::filesystem_error("stat", "a/b", std::make_error_code(std::errc::permission_denied));
       },
       2, "io-read", "Permission denied"},
      {[]() -> int { throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again)); }, 2,
       "system", "the system refused what the program needs: Resource temporarily unavailable"},
      {[]() -> int { throw std::runtime_error("Invalid positional Name: A B"); }, 2, "internal",
       "this should not happen: Invalid positional Name: A B"},
      {[]() -> int { throw 7; }, 2, "internal",
       "this should not happen: something was thrown that is not an exception"},
      {std::function<int()>(), 2, "internal", "this should not happen: bad_function_call"},
  };
  for (const Row& row : rows)
    for (const bool fails : {false, true}) {
      printed.clear();
      printing_fails = fails;
      CHECK(cli::guarded(row.body, cli::Options()) == row.exit);
      if (fails) continue;
      INFO(row.message);
      REQUIRE(printed.size() == (row.id.empty() ? 0 : 1));
      if (printed.empty()) continue;
      CHECK(printed[0].id == row.id);
      CHECK(printed[0].message == row.message);
    }
}

TEST_CASE("what is thrown from a filesystem function names the file") {
  printed.clear();
  printing_fails = false;
  cli::guarded(
      []() -> int {
        throw std::filesystem::filesystem_error("stat", "a/b", std::make_error_code(std::errc::permission_denied));
      },
      cli::Options());
  REQUIRE(printed.size() == 1);
  CHECK(to_string(printed[0].place) == "a/b");
}
