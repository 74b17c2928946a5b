// remap-provenance.json in an output folder: what it was made of, and the SHA-256 of every file, for those who receive
// the folder. Written on request only, since a file more is not the output that others write.
//
//   {"remap_provenance": 1, "remap": "0.1.0", "family": …, "architecture": …, "set": {NAME: VALUE},
//    "rules": {"file": NAME, "sha256": …},
//    "sources": [{"source": NAME, "file": NAME, "bytes": N, "sha256": …}], "outputs": [{"file": …, "bytes": …, …}]}
//
// Files are named without the folders they were in: nothing says where, when or by whom.
#pragma once

#include <string>
#include <vector>

#include "remap/limits.h"
#include "remap/metadata.h"
#include "remap/progress.h"

namespace remap {

inline constexpr const char* kProvenanceFile = "remap-provenance.json";

enum class FileCheck { same, other, missing, unlisted };

struct CheckedFile {
  std::string file;
  FileCheck check = FileCheck::same;
  std::string message;  // what is otherwise; "" if it is the same
  std::string sha256;   // as it is; "" if it is missing
};

struct CheckedFolder {
  Json provenance;                 // as written
  std::vector<CheckedFile> files;  // sorted by name
  bool holds() const;              // every file is the same: none missing, none more
};

// Reads every file of an output folder and compares it with what its provenance says; progress is counted in bytes.
// Whatever is in the folder and was not written with it is one more file, a folder too. Throws Error "io-read",
// "json-syntax", "limit-exceeded", "provenance" if it is none that can be read.
CheckedFolder check_provenance(const std::string& folder, const Limits& limits = {},
                               const ProgressFunction& progress = {});

}  // namespace remap
