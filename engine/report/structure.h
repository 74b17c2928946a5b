// What a checkpoint consists of, for a person who has never seen it: what `remap inspect` says before its tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap::report {

// The tensors below one name. Names that are numbers are told together: "layers.{0..11}".
struct Part {
  std::string name;     // of the key's parts below the parent's, with their separators
  std::string meaning;  // "state of the optimizer"; "" for what is not known
  size_t n_tensors = 0;
  uint64_t bytes = 0;  // tensors that are tied count once
  std::vector<Part> parts = {};
};

// What a file holds of the tensors, as far as it can be told without reading them.
struct FileShare {
  std::string file;      // its path below the checkpoint's folder
  size_t n_tensors = 0;  // of which elements lie in it
  size_t n_partly = 0;   // of these: not all of their elements
  uint64_t bytes = 0;
};

struct Structure {
  std::optional<int64_t> step;   // of the training, where the metadata say it
  Part whole;                    // its name is ""
  bool has_known = false;        // a part has a meaning
  std::vector<FileShare> files;  // in natural order; if the tensors lie in more than one
  size_t n_elsewhere = 0;        // tensors that are unpacked, joined or compared when they are read: in no file above
  size_t n_slots = 0;            // tensors that an optimizer keeps beside those of the model, by their names
  uint64_t slot_bytes = 0;
};

Structure structure_of(const Source& source);

// What there is of "step", "parts", "files" …: see render_inspect_json().
Json structure_json(const Structure& structure);

}  // namespace remap::report
