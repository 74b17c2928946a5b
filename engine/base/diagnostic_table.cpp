// One row for each class of diagnostic, sorted by id.
#include "remap/diagnostic.h"

namespace remap {

const std::vector<DiagnosticRow>& diagnostic_table() {
  using enum Severity;
  static const std::vector<DiagnosticRow> rows = {
      {"io-read", error, "A file could not be opened or read."},
      {"io-truncated", error, "A file is shorter than its own headers say."},
      {"limit-exceeded", error, "The input exceeds a bound that remap holds untrusted input to."},
      {"manifest-duplicate-key", error, "A checkpoint names the same tensor twice."},
      {"tensor-shape-overflow", error, "A shape has a negative dimension or more elements than can be addressed."},
  };
  return rows;
}

}  // namespace remap
