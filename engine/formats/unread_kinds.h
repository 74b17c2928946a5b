// What a file or folder is that no reader takes: named for what it is by its content, with what its owner can do today.
// One table: a format that gets a reader loses its row.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "remap/diagnostic.h"
#include "remap/metadata.h"

namespace remap::formats {

struct Recognised {
  std::string what;                     // "a GGUF file"
  std::string way;                      // what can be done; may be empty
  std::vector<std::string> notes = {};  // the program that `way` speaks of
  bool tensors = false;                 // it holds tensors: in a folder, it is what was meant
};

// Files of this ending look like torch's own and are pieces: the name has to tell.
inline constexpr std::string_view kPartOfTorchCheckpoint = ".distcp";

// nullopt: nothing that is known.
std::optional<Recognised> recognise_file(const MappedFile& file);
std::optional<Recognised> recognise_json(const Json& root);
std::optional<Recognised> recognise_folder(const std::string& folder);

// Throws Error "source-unknown-format" saying what the file or folder is, or what its first bytes are.
[[noreturn]] void refuse_file(const MappedFile& file);
[[noreturn]] void refuse_json(const std::string& path, const Json& root);
[[noreturn]] void refuse_as(const std::string& path, std::string_view subject, const Recognised& kind);

// The text file `checkpoint` that TensorFlow keeps beside its own, and not T5X's file of that name.
bool is_tensorflow_state(const std::string& file);

}  // namespace remap::formats
