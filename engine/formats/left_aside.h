// What a source says of the files and folders beside those that it reads. Private to formats.
#pragma once

#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"

namespace remap::formats {

struct LeftAside {
  std::string folder;               // that holds them
  std::string of;                   // "files of tensors"
  std::string taken;                // "'model.safetensors'"
  std::string why;                  // ", the latest by the file 'checkpoint'"; may be empty
  std::vector<std::string> others;  // their names in the folder, at least one
};

// The note "source-left-aside": what of several things was taken, what was not, and how to take another. An index among
// the others speaks for its shards; what cannot be read as one is a file like others.
Diagnostic left_aside(const LeftAside& what, const Limits& limits = {});

// The files of tensors that an index names; none if it cannot be read.
std::vector<std::string> shards_of_index(const std::string& file, const Limits& limits);

// `all` without those that are in `taken`.
std::vector<std::string> names_without(const std::vector<std::string>& all, const std::vector<std::string>& taken);

}  // namespace remap::formats
