// The files that an operation reads, held to be the same at its end as when they were opened: what was made of a file
// that changed meanwhile, or of a folder of which one half is older than the other, is not to be trusted.
#pragma once

#include <vector>

#include "remap/source.h"

namespace remap {

class FilesRead {
 public:
  FilesRead() = default;
  // Of every source: the files that opening it read, as they were then, and those that loading its data will read, as
  // they are now. The sources must outlive this.
  explicit FilesRead(const std::vector<const Source*>& sources);
  void add(const Source& source);
  void add(FileRead file) { files_.push_back(std::move(file)); }

  // Calls `body` for every file, in an order that depends on the sources alone.
  void visit(const std::function<void(const std::string& path, const FileStamp& stamp)>& body) const;

  // Throws Error, for the first file concerned: "io-truncated" if it is shorter now, "io-changed" if its size, its time
  // of modification or the file of that name is another, "io-read" if its storage failed. Costs a system call a file.
  void require_unchanged() const;
  // What `body` makes of the files. If one of them changed meanwhile, that is the Error, whatever `body` made of it.
  template <typename Body>
  auto unchanged_during(const Body& body) const {
    try {
      auto result = body();
      require_unchanged();
      return result;
    } catch (const Error& error) {
      if (error.diagnostic().id != "cancelled") require_unchanged();
      throw;
    }
  }

 private:
  struct OfSource {
    const Source* source;
    std::vector<FileStamp> stamps;  // in the order of visit_files()
  };
  std::vector<OfSource> sources_;
  std::vector<FileRead> files_;
};

}  // namespace remap
