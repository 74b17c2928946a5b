// A target schema, and after a line of "====" the fields of config.json: the tensors that each architecture demands, or
// an Error.
#include "lang/schema.h"

#include "formats/json_text.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  auto parts = fuzz::parts_of({reinterpret_cast<const char*>(data), size});
  parts.resize(2);
  Diagnostics diagnostics;
  const auto schema =
      lang::parse_schema(std::make_shared<lang::SourceText>("fuzz", std::string(parts[0])), diagnostics);
  if (!schema) return 0;
  Json config = {{"hidden_size", 4}, {"num_hidden_layers", 2}, {"vocab_size", 8}, {"list", {1, 2}}, {"name", "x"}};
  try {
    if (!parts[1].empty()) config = formats::parse_json(parts[1], {"config.json"});
    if (!config.is_object()) return 0;
    for (const auto& [architecture, tensors] : schema->architectures)
      lang::for_each_demanded(*schema, architecture, config, [](auto&&...) {});
    for (const auto& requirement : schema->require) (void)lang::holds(requirement, config);
  } catch (const Error&) {
  }
  return 0;
}
