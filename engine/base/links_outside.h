// Links in a checkpoint that lead out of its folder: one from someone else may be made so that files of this machine
// are read with it, and written into what is made of it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace remap {

class LinksOutside {
 public:
  // The folder as the paths begin that are asked for; "" is the working directory.
  explicit LinksOutside(std::string folder);

  // Whether a file or folder lies outside of the folder, by a link on the way to it. Of a path that is not below the
  // folder, that of the file alone counts. False where nothing is there. A hub's download cache keeps the files
  // themselves in 'blobs', beside its 'snapshots': that is the same checkpoint. Costs a system call; if many of a
  // folder's files are asked for, a listing of the folder.
  enum class Siblings { few, many };
  bool leads_outside(const std::string& path, Siblings siblings = Siblings::few);

  // The links that were met, each once: "'a' is a link to '/x/y', outside of the folder; so are 'b' and 'c'".
  bool empty() const { return names_.empty(); }
  std::string text() const;

 private:
  struct Folder {
    std::filesystem::path home;  // what its files may not lead out of
    bool outside = false;
    std::optional<std::set<std::string>> links = {};  // in it, once it was listed
  };
  Folder& folder_of(const std::string& path);
  Folder enter(const std::filesystem::path& path);
  bool follow(const std::filesystem::path& link, const std::filesystem::path& home);
  std::filesystem::path below_folder(const std::filesystem::path& path) const;

  const std::filesystem::path folder_, home_, blobs_;
  std::map<std::string, Folder, std::less<>> folders_;  // by path
  std::vector<std::string> names_;
  std::set<std::string> known_;  // the same
  std::string first_target_;
};

// What to do about links that were followed, and about those that were not.
inline constexpr const char* kLinkHint =
    "if the checkpoint is from someone else, see that this is what you mean to read";
inline constexpr const char* kCopyHint = "if it belongs to the checkpoint, put a copy of it in the link's place";

}  // namespace remap
