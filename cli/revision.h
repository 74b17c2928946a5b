// Rule files as they were: "HEAD~1:rules/family.yaml".
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "remap/diagnostic.h"

namespace cli {

// The rule file with what it may need beside it (other rule files, schemas), in a folder that goes with this object.
class Revision {
 public:
  // nullopt if `text` is no REVISION:PATH: there is no colon, or a file of that whole name. Throws remap::Error
  // "revision" if git has no such file.
  static std::optional<Revision> find(const std::string& text);
  Revision(Revision&& other) noexcept
      : folder_(std::move(other.folder_)), file_(std::move(other.file_)), shown_(std::move(other.shown_)) {
    other.folder_.clear();
  }
  Revision& operator=(Revision&&) = delete;
  ~Revision();

  std::string file() const { return file_; }
  // Places in the folder as the user knows them: "HEAD~1:rules/family.yaml".
  std::string shown(const std::string& path) const;
  remap::Diagnostics shown(const remap::Diagnostics& diagnostics) const;

 private:
  Revision() = default;
  std::filesystem::path folder_;
  std::string file_, shown_;
};

}  // namespace cli
