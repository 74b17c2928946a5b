#include "cli/revision.h"

#include <fstream>

#include <stdlib.h>

#include <fmt/format.h>

#include "cli/process.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

fs::path make_folder() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  std::string pattern = (parent / "remap-XXXXXX").string();
  if (error || mkdtemp(pattern.data()) == nullptr)
    throw Error("io-write", {}, "no temporary folder can be made", "set TMPDIR to a folder that can be written to");
  return pattern;
}

std::vector<std::string> names_listed(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

std::optional<Revision> Revision::find(const std::string& text) {
  std::error_code ignored;
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || text.front() == '-' || fs::exists(text, ignored)) return std::nullopt;
  const std::string revision = text.substr(0, colon),
                    path = fs::path(text.substr(colon + 1)).lexically_normal().string();
  // "./rules/x.yaml" is relative to this folder, as git has it; anything else to the top of the work tree.
  if (run({"git", "cat-file", "-e", text}, true).exit_code != 0)
    throw Error("revision", {}, fmt::format("git has no '{}' here", text),
                "REVISION:PATH, with PATH from the top of the repository: HEAD~1:rules/mine.yaml");
  Revision found;
  found.folder_ = make_folder();
  found.file_ = (found.folder_ / path).string();
  found.shown_ = revision + ":";
  const fs::path folder = fs::path(path).parent_path(), schemas = folder.parent_path() / "schemas";
  const std::string top = names_listed(run({"git", "rev-parse", "--show-toplevel"}).output).at(0);
  const Ran listed = run({"git", "-C", top, "ls-tree", "-r", "--name-only", "--full-tree", revision, "--",
                          folder.empty() ? "." : folder.string() + "/", schemas.string() + "/"},
                         true);
  for (const auto& name : names_listed(listed.output)) {
    const fs::path parent = fs::path(name).parent_path();
    if (fs::path(name).extension() != ".yaml" || (parent != folder && parent != schemas)) continue;
    fs::create_directories((found.folder_ / name).parent_path());
    std::ofstream(found.folder_ / name, std::ios::binary)
        << run({"git", "-C", top, "show", revision + ":" + name}).output;
  }
  return found;
}

Revision::~Revision() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

std::string Revision::shown(const std::string& path) const {
  const std::string prefix = folder_.string() + "/";
  return path.starts_with(prefix) ? shown_ + path.substr(prefix.size()) : path;
}

remap::Diagnostics Revision::shown(const remap::Diagnostics& diagnostics) const {
  remap::Diagnostics renamed;
  for (remap::Diagnostic d : diagnostics.items()) {
    if (auto* place = std::get_if<remap::TextPlace>(&d.place)) place->file = shown(place->file);
    renamed.add(std::move(d));
  }
  return renamed;
}

}  // namespace cli
