#include "report/structure.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/report.h"

namespace remap::report {
namespace {

// ---- What names mean

struct Meaning {
  std::string_view name, meaning;
};
constexpr const char *kOptimizer = "state of the optimizer", *kTraining = "state of the training",
                     *kAveraged = "a copy of the weights, averaged over the training";
// Of a key's first part, in the files of training programs.
constexpr Meaning kFirstNames[] = {
    {"optimizer", kOptimizer},
    {"optimizers", kOptimizer},
    {"optimizer_state", kOptimizer},
    {"optimizer_states", kOptimizer},
    {"optimizer_state_dict", kOptimizer},
    {"last_optimizer_state", kOptimizer},
    {"optim", kOptimizer},
    {"opt_state", kOptimizer},
    {"lr_scheduler", kTraining},
    {"lr_schedulers", kTraining},
    {"rng_state", kTraining},
    {"cuda_rng_state", kTraining},
    {"ema", kAveraged},
    {"model_ema", kAveraged},
    {"ema_state_dict", kAveraged},
};

// Of a key's last part, or a part inside of it: what an optimizer keeps beside a variable.
constexpr std::string_view kSlotNames[] = {
    ".OPTIMIZER_SLOT", "adam_m", "adam_v", "Adam",   "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "Ftrl",
    "Ftrl_1",          "LAMB",   "LAMB_1", "lamb_m", "lamb_v", "slot_v",   "slot_vr", "slot_vc",   "slot_m"};

bool is_slot(std::string_view key) {
  for (size_t slash = key.find('/'); slash != key.npos; slash = key.find('/')) {
    key.remove_prefix(slash + 1);
    const std::string_view name = key.substr(0, key.find('/'));
    if (std::find(std::begin(kSlotNames), std::end(kSlotNames), name) != std::end(kSlotNames)) return true;
  }
  return false;
}

std::string_view first_name(std::string_view key) { return key.substr(0, key.find_first_of("./")); }

std::string_view meaning_of(std::string_view name) {
  for (const Meaning& row : kFirstNames)
    if (row.name == name) return row.meaning;
  return {};
}

// ---- The tree

// Numbers as a set: "{0..11}".
struct Numbers {
  std::set<uint64_t> all;
  std::string text() const {
    if (all.size() == 1) return std::to_string(*all.begin());
    const bool contiguous = *all.rbegin() - *all.begin() + 1 == all.size();
    if (contiguous) return fmt::format("{{{}..{}}}", *all.begin(), *all.rbegin());
    return fmt::format("{{{}, …, {}: {} numbers}}", *all.begin(), *all.rbegin(), all.size());
  }
};

constexpr int kMostNameLevels = 6;
constexpr size_t kMostNameNodes = 2000;
constexpr size_t kMostIndexDigits = 9;

struct NameNode {
  size_t n_tensors = 0;
  uint64_t bytes = 0;
  Numbers numbers;                                              // of a part that is one
  std::map<std::string, std::unique_ptr<NameNode>> below = {};  // "" for numbers; a name ends with its separator
  bool cut = false;                                             // there is more below than is told
};

class NameTree {
 public:
  void add(std::string_view key, uint64_t bytes) {
    NameNode* at = &root_;
    count(*at, bytes);
    for (int level = 0; level < kMostNameLevels && !key.empty(); ++level) {
      const size_t end = std::min(key.find_first_of("./"), key.size());
      const std::string_view name = key.substr(0, end), separator = key.substr(end, 1);
      key.remove_prefix(std::min(end + 1, key.size()));
      const bool number = is_number(name, kMostIndexDigits);
      name_ = number ? "#" : "=";
      if (!number) name_ += name;
      name_ += separator;
      auto it = at->below.find(name_);
      if (it == at->below.end()) {
        if (n_nodes_ == kMostNameNodes) {
          at->cut = true;
          return;
        }
        ++n_nodes_;
        it = at->below.emplace(name_, std::make_unique<NameNode>()).first;
      }
      at = it->second.get();
      if (number) at->numbers.all.insert(std::stoull(std::string(name)));
      count(*at, bytes);
    }
  }

  Part whole() const { return part_of("", root_, 0); }

 private:
  static void count(NameNode& node, uint64_t bytes) {
    ++node.n_tensors;
    node.bytes += bytes;
  }
  // A chain of names without a branch is one name.
  static Part part_of(std::string name, const NameNode& first, int depth) {
    const NameNode* node = &first;
    // What a part is shows by its name alone.
    const bool is_known = depth == 1 && !meaning_of(first_name(name)).empty();
    while (depth > 0 && !is_known && node->below.size() == 1 && !node->cut) {
      name += name_of(*node->below.begin());
      node = node->below.begin()->second.get();
    }
    if (name.size() > 1 && (name.back() == '.' || name.back() == '/')) name.pop_back();
    Part part{std::move(name), "", node->n_tensors, node->bytes};
    if (node->cut) return part;
    for (const auto& entry : node->below) part.parts.push_back(part_of(name_of(entry), *entry.second, depth + 1));
    std::sort(part.parts.begin(), part.parts.end(),
              [](const Part& a, const Part& b) { return natural_less(a.name, b.name); });
    return part;
  }
  static std::string name_of(const std::pair<const std::string, std::unique_ptr<NameNode>>& entry) {
    return entry.first.front() == '#' ? entry.second->numbers.text() + entry.first.substr(1) : entry.first.substr(1);
  }

  NameNode root_;
  size_t n_nodes_ = 0;
  std::string name_;  // kept for its memory
};

// ---- The step

std::optional<int64_t> as_step(const Json& value) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
    return std::nullopt;
  return value.get<int64_t>() < 0 ? std::nullopt : std::optional(value.get<int64_t>());
}

// As training programs name it; at the top of the metadata, or in a part of theirs that is about the training.
std::optional<int64_t> step_of(const Json& metadata) {
  constexpr const char* kSteps[] = {"step", "global_step", "global_steps", "iteration", "num_updates"};
  constexpr const char* kAbout[] = {"train_state", "trainer_state", "training_state", "optimizer_history", "args"};
  const auto in = [&](const Json& object) -> std::optional<int64_t> {
    if (!object.is_object()) return std::nullopt;
    for (const char* name : kSteps)
      if (const auto it = object.find(name); it != object.end())
        if (const auto step = as_step(*it)) return step;
    return std::nullopt;
  };
  if (const auto step = in(metadata)) return step;
  for (const char* name : kAbout)
    if (const auto it = metadata.find(name); it != metadata.end())
      if (const auto step = in(it->is_array() && !it->empty() ? it->back() : *it)) return step;
  return std::nullopt;
}

// ---- The files

class Shares {
 public:
  explicit Shares(const Source& source) : source_(source) {}

  void add(size_t index) {
    if (!source_.in_place(index)) return static_cast<void>(++n_elsewhere);  // its chunks may be millions
    const TensorInfo& tensor = source_.manifest()[index];
    const StoredForm stored = stored_form(tensor);
    std::map<const std::string*, int64_t> elements;  // by file
    const auto boxes = source_.tile_boxes(index);
    for (size_t t = 0; t < boxes.size(); ++t) {
      const std::string* const file = source_.file_of(index, t);
      if (file == nullptr) return static_cast<void>(++n_elsewhere);
      elements[file] += element_count(boxes[t].extent);
    }
    if (elements.empty()) return;  // a tensor without elements is nowhere
    std::map<std::string_view, int64_t> by_name;
    for (const auto& [file, n] : elements) by_name[*file] += n;
    for (const auto& [file, n] : by_name) {
      FileShare& share = shares_[std::string(file)];
      ++share.n_tensors;
      share.n_partly += by_name.size() > 1 ? 1 : 0;
      share.bytes += static_cast<uint64_t>(n * size_bytes(stored.dtype));
    }
  }

  std::vector<FileShare> files() {
    std::vector<FileShare> files;
    for (auto& [path, share] : shares_) {
      share.file = below_folder(path);
      files.push_back(std::move(share));
    }
    std::sort(files.begin(), files.end(),
              [](const FileShare& a, const FileShare& b) { return natural_less(a.file, b.file); });
    return files;
  }

  size_t n_elsewhere = 0;

 private:
  std::string below_folder(const std::string& path) const {
    std::string folder = source_.path();
    if (!folder.ends_with('/')) folder += '/';
    return path.starts_with(folder) ? path.substr(folder.size()) : std::filesystem::path(path).filename().string();
  }

  const Source& source_;
  std::map<std::string, FileShare> shares_;
};

}  // namespace

Structure structure_of(const Source& source) {
  const Manifest& manifest = source.manifest();
  Structure out;
  out.step = step_of(source.metadata());
  NameTree tree;
  std::set<std::string> aliases;
  Shares shares(source);
  for (size_t t = 0; t < manifest.size(); ++t) {
    const TensorInfo& tensor = manifest[t];
    const bool first = tensor.alias.empty() || aliases.insert(tensor.alias).second;
    tree.add(tensor.key, first ? static_cast<uint64_t>(data_bytes(tensor)) : 0);
    if (is_slot(tensor.key)) ++out.n_slots, out.slot_bytes += static_cast<uint64_t>(data_bytes(tensor));
    if (tensor.unread == nullptr && source.has_data() && first) shares.add(t);
  }
  out.whole = tree.whole();
  const bool is_train_state = std::any_of(out.whole.parts.begin(), out.whole.parts.end(),
                                          [](const Part& part) { return first_name(part.name) == "target"; });
  for (Part& part : out.whole.parts) {
    const std::string_view name = first_name(part.name);
    part.meaning = is_train_state && name == "state" ? kOptimizer : meaning_of(name);
    out.has_known = out.has_known || !part.meaning.empty();
  }
  if (auto files = shares.files(); files.size() > 1) {
    out.files = std::move(files);
    out.n_elsewhere = shares.n_elsewhere;
  }
  return out;
}

namespace {

Json part_json(const Part& part) {
  Json out{{"name", part.name}, {"tensors", part.n_tensors}, {"bytes", part.bytes}};
  if (!part.meaning.empty()) out["meaning"] = part.meaning;
  for (const Part& below : part.parts) out["parts"].push_back(part_json(below));
  return out;
}

}  // namespace

Json structure_json(const Structure& structure) {
  Json out = Json::object();
  if (structure.step) out["step"] = *structure.step;
  if (const Json whole = part_json(structure.whole); whole.contains("parts")) out["parts"] = whole["parts"];
  for (const FileShare& file : structure.files)
    out["files"].push_back(
        {{"file", file.file}, {"tensors", file.n_tensors}, {"in_part", file.n_partly}, {"bytes", file.bytes}});
  if (structure.n_slots > 0) out["optimizer_slots"] = {{"tensors", structure.n_slots}, {"bytes", structure.slot_bytes}};
  if (!structure.files.empty() && structure.n_elsewhere > 0) out["tensors_not_located"] = structure.n_elsewhere;
  return out;
}

}  // namespace remap::report
