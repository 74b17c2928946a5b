// How long something may take at most, on any machine and with any sanitizer: said in multiples of what an ordinary
// input takes there, never in seconds.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "remap/source.h"
#include "support/child.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"

namespace remap::test {

// Processor seconds for reading a harmless checkpoint whose metadata fills the limits, and for writing that out.
inline double full_checkpoint_seconds() {
  static const double seconds = [] {
    const TempFolder folder;
    const std::string nones(Limits{}.max_metadata_nodes - 10, 'N');
    Pickle pickle;
    pickle << "}(";
    pickle.text("w").tensor({}).text("x") << "](" << nones << "eu";
    const std::string path = folder.write("full.pt", build_torch_zip(pickle.stop()));
    double longest = 0;
    for (int i = 0; i < 2; ++i) {
      const ChildResult result = in_child([&] { return std::to_string(open_source(path)->metadata().dump().size()); });
      if (result.text != std::to_string(nones.size() * 5 + 27))
        throw std::runtime_error("the yardstick is broken: " + result.text);
      longest = std::max(longest, result.seconds);
    }
    return longest;
  }();
  return seconds;
}

}  // namespace remap::test
