// A file beside a checkpoint, as JSON, YAML and lines: a value, or an Error; a value that is written is read as itself.
#include <cstdlib>

#include "formats/json_text.h"
#include "fuzz/fuzz_input.h"
#include "remap/document.h"
#include "remap/report.h"
#include "remap/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  for (const char* format : {"json", "yaml", "lines"}) {
    try {
      const std::string written = json_file_text(read_document(file.path(), format));  // NaN is not equal to itself
      if (json_file_text(formats::parse_python_json(written, {"again"})) != written) std::abort();
    } catch (const Error&) {
    }
  }
  return 0;
}
