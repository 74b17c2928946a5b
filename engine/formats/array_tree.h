// Which key each array of an Orbax checkpoint has in the tree that was saved. Private to formats.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "remap/limits.h"
#include "remap/metadata.h"
#include "remap/source.h"

namespace remap::formats {

inline constexpr const char* kOrbaxTree = "_METADATA";

struct ArrayTree {
  bool found = false;                       // there is a file that says so
  std::map<std::string, std::string> keys;  // array's name ("a.b.w") -> key ("a/b/w")
  std::vector<std::string> required;        // names of arrays that must be there
  bool leaves_out_fill = false;             // chunks of the fill value need not be there
  std::string file;                         // that says so
};

// Reads `_METADATA` in the folder or, without one, the msgpack file `checkpoint` of Orbax before 0.6. Throws Error
// "orbax-tree" if it is damaged or two leaves have one name. Files are added to `read`.
ArrayTree read_array_tree(const std::string& folder, const Limits& limits, std::vector<FileRead>& read);

}  // namespace remap::formats
