// Any text laid out as a rule file: if it can be, laying the result out again changes nothing, and the rules it gives
// are those that the text gave.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "lang/yaml_tree.h"
#include "remap/format_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics;
  const auto once = format_rules("fuzz.yaml", text, diagnostics);
  if (!once) {
    if (!diagnostics.has_errors()) std::abort();
    return 0;
  }
  const auto twice = format_rules("fuzz.yaml", *once, diagnostics);
  if (!twice || *twice != *once) std::abort();
  const lang::SourceText before("fuzz.yaml", text), after("fuzz.yaml", *once);
  const auto tree = lang::parse_yaml(before, diagnostics), laid_out = lang::parse_yaml(after, diagnostics);
  if (!tree || !laid_out || nlohmann::json(lang::to_json(*tree)) != nlohmann::json(lang::to_json(*laid_out)))
    std::abort();
  return 0;
}
