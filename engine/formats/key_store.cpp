#include "formats/key_store.h"

#include <filesystem>

namespace remap::formats {

namespace fs = std::filesystem;

std::optional<StoredValue> FolderStore::find(const std::string& key) const {
  const std::string path = path_of(key);
  std::error_code error;
  if (fs::status(path, error).type() == fs::file_type::not_found) return std::nullopt;
  MappedFile file(path);
  return StoredValue{file.bytes(), {path, {}, {}}, file};
}

bool FolderStore::contains(const std::string& key) const {
  std::error_code error;
  return fs::exists(path_of(key), error);
}

}  // namespace remap::formats
