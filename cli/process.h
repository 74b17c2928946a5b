// Other programs that remap asks: git, for older versions of a rule file.
#pragma once

#include <string>
#include <vector>

namespace cli {

struct Ran {
  int exit_code = 0;   // 127 if there is no such program
  std::string output;  // its standard output; its standard error goes where ours goes unless `quiet`
};
// Runs arguments[0], found in PATH, without a shell. Throws remap::Error "io-read" if no process can be made.
Ran run(const std::vector<std::string>& arguments, bool quiet = false);

}  // namespace cli
