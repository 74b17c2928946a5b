// The table of folders that are not read. A row: how it is recognised, what it is, what to do.
#include <algorithm>

#include <fmt/format.h>

#include "formats/folder_files.h"
#include "formats/known_kinds.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

struct FolderView {
  fs::path path;
  std::vector<std::string> files, folders;

  explicit FolderView(const std::string& folder)
      : path(folder), files(list_files(folder)), folders(list_folders(folder)) {}
  bool has(const std::string& name) const { return std::find(files.begin(), files.end(), name) != files.end(); }
  bool has_folder(const std::string& name) const {
    return std::find(folders.begin(), folders.end(), name) != folders.end();
  }
  Found file(std::string_view begin, std::string_view end) const {
    for (const auto& name : files)
      if (name.size() >= begin.size() + end.size() && name.starts_with(begin) && name.ends_with(end)) return name;
    return std::nullopt;
  }
  Found folder_with(std::string_view file) const {
    for (const auto& name : folders)
      if (is_file(path / name / file)) return name;
    return std::nullopt;
  }
  Found folder(std::string_view begin) const {
    for (const auto& name : folders)
      if (name.starts_with(begin)) return name;
    return std::nullopt;
  }
};

Found deepspeed(const FolderView& f) {
  if (const auto states = f.file("", "_optim_states.pt")) return states;
  if (const auto states = f.file("", "_model_states.pt")) return states;
  const auto step = f.folder("global_step");
  return step && (f.has("latest") || FolderView((f.path / *step).string()).file("", "_states.pt")) ? step
                                                                                                   : std::nullopt;
}
// The weights in the training's dtype, which all stages but the third keep whole in one file; without an optimizer's
// states (stage 0) there are no others.
void add_deepspeed_module(const FolderView& f, Recognised& kind) {
  std::string latest = head_of(f.path / "latest");
  latest.erase(std::min(latest.find_last_not_of(" \t\r\n") + 1, latest.size()));
  const FolderView step(f.has_folder(latest) ? (f.path / latest).string() : f.path.string());
  if (!step.has("mp_rank_00_model_states.pt") || step.has("mp_rank_01_model_states.pt")) return;
  const std::string give =
      fmt::format("give '{}', whose weights stand below 'module'", (step.path / "mp_rank_00_model_states.pt").string());
  kind.way =
      step.file("", "_optim_states.pt") ? fmt::format("{}; or {}, in the dtype of the training", kind.way, give) : give;
}
Found megatron(const FolderView& f) {
  if (const auto rank = f.folder("mp_rank_")) return rank;
  const auto iteration = f.folder("iter_");
  if (iteration && FolderView((f.path / *iteration).string()).folder("mp_rank_")) return *iteration;
  return f.has_folder("release") && FolderView((f.path / "release").string()).folder("mp_rank_") ? Found("release")
                                                                                                 : std::nullopt;
}

// The folder of a universal checkpoint's tensors.
Found universal(const FolderView& f) {
  const auto holds = [&](const std::string& name) {
    return is_folder(f.path / name) && FolderView((f.path / name).string()).folder_with("fp32.pt");
  };
  if (holds("zero")) return "zero";
  const auto step = f.folder("global_step");
  for (const auto& name : f.folders)
    if (step && holds(name + "/zero")) return name + "/zero";
  return std::nullopt;
}

struct FolderKind {
  Found (*test)(const FolderView&);
  const char *what, *way;
};
constexpr FolderKind kFolderKinds[] = {
    {[](const FolderView& f) {
       return f.file("", ".distcp") && (f.has(".metadata") || f.file("__", ".metadata")) ? f.file("", ".distcp")
                                                                                         : std::nullopt;
     },
     "a torch.distributed.checkpoint", kDistributedWay},
    {[](const FolderView& f) { return f.file("", ".distcp"); },
     "a torch.distributed.checkpoint without its file '.metadata'",
     "copy that file too (its name begins with a dot), then merge: python -m torch.distributed.checkpoint.format_utils "
     "dcp_to_torch FOLDER OUT.pt, and give OUT.pt"},
    {universal, "a universal checkpoint of DeepSpeed ('$FOUND')",
     "save its tensors with torch, as the note shows, and give that\n"
     "import pathlib, torch\n"
     "files = pathlib.Path('FOLDER/$FOUND').glob('*/fp32.pt')\n"
     "torch.save({file.parent.name: torch.load(file, weights_only=False)['param'] for file in files}, 'OUT.pt')"},
    {deepspeed, "a DeepSpeed checkpoint ('$FOUND')",
     "merge it: in the folder that holds 'latest', python zero_to_fp32.py . OUT, and give OUT"},
    {megatron, "a Megatron checkpoint, with a folder for each model-parallel rank ('$FOUND')",
     "copy the ranks' files into one folder as rank.0.pt, rank.1.pt …: rules with 'files: \"rank.{rank}.pt\"' in "
     "'source' "
     "join them; a single rank's file can be given as it is"},
    {[](const FolderView& f) { return yes(f.has("Manifest.json") && is_folder(f.path / "Data" / "com.apple.CoreML")); },
     "a Core ML package", "take the checkpoint that it was made of"},
};

}  // namespace

std::optional<Recognised> recognise_folder(const std::string& folder) {
  const FolderView view(folder);
  for (const FolderKind& kind : kFolderKinds) {
    const auto found = kind.test(view);
    if (!found) continue;
    Recognised result = recognised(kind.what, kind.way, *found, folder, true, true);
    if (kind.test == deepspeed) add_deepspeed_module(view, result);
    return result;
  }
  return std::nullopt;
}

}  // namespace remap::formats
