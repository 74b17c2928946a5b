// Any text as a forward pass written as data: its steps, or its mistakes.
#include "verify/model_file.h"

#include <cstdint>

#include "remap/report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  Diagnostics diagnostics;
  const auto text =
      std::make_shared<lang::SourceText>("fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size));
  if (!forward::parse_model_file(text, diagnostics) && !diagnostics.has_errors()) __builtin_trap();
  for (const auto& d : diagnostics.items()) render_text(d);
  return 0;
}
