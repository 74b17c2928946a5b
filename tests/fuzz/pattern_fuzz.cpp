// Lines: a source pattern, a target pattern, and keys. What matches gives a key, and that is one the target can give.
#include "lang/pattern.h"

#include <re2/re2.h>

#include <cstdint>
#include <sstream>

#include "remap/text.h"

using namespace remap;
using namespace remap::lang;

namespace {

const Tables kTables = {{"qkv", {{"q", "query"}, {"k", "key"}}}, {"ff", {{"encoder", "1"}, {"decoder", "2"}}}};
const VariantValues kVariants = {{"head", "lm"}, {"none", ""}};

std::optional<KeyPattern> parsed(const std::string& text) {
  Diagnostics diagnostics;
  auto pattern =
      parse_pattern(text, {std::make_shared<SourceText>("fuzz", text), 1, 1, 1, text.size(), 0}, kTables, diagnostics);
  if (!pattern && !diagnostics.has_errors()) __builtin_trap();
  return diagnostics.has_errors() ? std::nullopt : pattern;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string line(reinterpret_cast<const char*>(data), size);
  if (!is_utf8(line)) return 0;
  std::istringstream lines(line);
  std::getline(lines, line);
  const auto from = parsed(line);
  std::getline(lines, line);
  const auto to = parsed(line);
  if (!from || !to) return 0;
  Diagnostics diagnostics;
  check_expansion(*to, *from, {}, kTables, diagnostics);
  if (diagnostics.has_errors()) return 0;
  try {
    const Matcher matcher(*from, kVariants);
    const RE2 target(regex_of_target(*to, *from, kTables, kVariants), RE2::Quiet);
    for (int n = 0; n < 20 && std::getline(lines, line); ++n) {
      Captures captures;
      if (!matcher.match(line, captures)) continue;
      const std::string key = expand(*to, *from, captures, kTables, kVariants);
      if (target.ok() && !RE2::FullMatch(key, target)) __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
