#include "formats/deepspeed.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/text.h"
#include "formats/deepspeed_files.h"
#include "formats/deepspeed_masters.h"
#include "formats/folder_files.h"
#include "formats/limit.h"
#include "formats/pickle_text.h"
#include "formats/unread_rows.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

using namespace deepspeed;

// The folder's file that names the step; "" if it has none.
std::string note_of(const std::string& folder) {
  for (const char* name : {"latest", "latest_universal"})
    if (is_file(fs::path(folder) / name)) return name;
  return "";
}
std::string trimmed(std::string text) {
  text.erase(std::min(text.find_last_not_of(" \t\r\n") + 1, text.size()));
  return text;
}
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}
std::vector<std::string> steps_below(const std::string& folder) {
  std::vector<std::string> steps;
  for (const std::string& name : list_folders(folder))
    if (name.starts_with("global_step") && is_step((fs::path(folder) / name).string())) steps.push_back(name);
  return steps;
}

class StepOpener {
 public:
  StepOpener(const std::string& path, std::string step, const OpenOptions& options)
      : step_(std::move(step)), limits_(options.limits), files_(list_files(step_)) {
    contents_.path = path;
  }

  std::unique_ptr<Source> open() {
    if (has_universal(step_))
      read_universal();
    else
      read_ranks();
    add_document(contents_, contents_.path, "config.json", "config", limits_);
    for (auto& [key, tensor] : tensors_) contents_.tensors.push_back(std::move(tensor));
    return make_tiled_source(std::move(contents_));
  }

 private:
  std::string in(const std::string& name) const { return (fs::path(step_) / name).string(); }

  TorchItemPtr read(const std::string& name) {
    MappedFile file(in(name));
    contents_.files.push_back(file);
    TorchItemPtr item = read_torch_item(std::move(file), limits_);
    contents_.held.push_back(item);
    return item;
  }
  static const std::string& name_or_empty(const Json& value) {
    static const std::string empty;
    return value.is_string() ? value.get_ref<const std::string&>() : empty;
  }

  // --- the ranks' files ---

  void read_ranks() {
    refuse_other_parallelism();
    const auto models = state_files(files_, kModelStates), optims = state_files(files_, kOptimStates);
    if (models.empty())
      fail(step_, fmt::format("there is no '*{}', which has the names and shapes of the tensors", kModelStates),
           "fetch the missing file");
    model_ = read(models.front().name);
    JsonMembers metadata(contents_.metadata);
    for (const auto& [name, value] : model_->listing.metadata.items())
      if (name != "module" && name != "param_shapes" && name != "frozen_param_fragments" && name != "optimizer" &&
          name != "frozen_param_shapes")
        metadata.set(name, value);
    if (optims.empty()) {
      if (models.front().of_rank)
        fail(step_, fmt::format("there is no '*{}': of stage 3, they hold the weights", kOptimStates),
             "fetch the missing files");
      add_module(models.front().name);
      return summarise(0, 1, "the weights are those of 'module', in the training's dtype");
    }
    require_all(optims, kOptimStates);
    std::vector<TorchItemPtr> ranks;
    for (const StateFile& file : optims) ranks.push_back(read(file.name));
    const int64_t stage = stage_of(*ranks.front());
    check_partition_count(optims, ranks);
    if (stage == 3) {
      require_all(models, kModelStates);
      if (models.size() != ranks.size())
        fail(step_,
             fmt::format("there are model files of {} ranks, and optimizer files of {}", models.size(), ranks.size()),
             "fetch the missing files");
      add_masters_of_stage_3(*model_, ranks, limits_, tensors_);
    } else {
      add_masters_of_stage_2(*model_, ranks, limits_, tensors_);
    }
    add_buffers();
    add_frozen(models, stage);
    add_shared();
    add_rest(stage);
    summarise(stage, ranks.size(),
              stage == 3 ? "the values are the optimizer's float32 masters"
                         : fmt::format("the values are the optimizer's float32 masters; those in the training's dtype "
                                       "stand in '{}', below 'module'",
                                       models.front().name));
  }

  void refuse_other_parallelism() const {
    struct Sign {
      const char* text;
      const char* what;
    };
    constexpr Sign kSigns[] = {{"expert_", "experts of a mixture"}, {"expp_rank_", "experts of a mixture"}};
    for (const std::string& name : files_) {
      for (const auto& [text, what] : kSigns)
        if (name.find(text) != name.npos && name.ends_with(".pt"))
          fail(step_, fmt::format("'{}' holds {}: such checkpoints of DeepSpeed are not read", name, what),
               "let DeepSpeed save it with zero_to_fp32, or as a universal checkpoint");
      if (name.starts_with("layer_") && name.ends_with("model_states.pt"))
        fail(step_, fmt::format("'{}' is a layer of a pipeline: such checkpoints of DeepSpeed are not read", name),
             "let DeepSpeed save it as a universal checkpoint (ds_to_universal.py)");
      if (const auto rank = number_after(name, "mp_rank_"); rank && *rank > 0 && name.ends_with("_states.pt"))
        fail(step_,
             fmt::format("'{}' is of a second model-parallel rank: such checkpoints of DeepSpeed are not read", name),
             "let DeepSpeed save it as a universal checkpoint (ds_to_universal.py)");
    }
  }

  // Ranks count from 0 without a gap.
  void require_all(const std::vector<StateFile>& files, std::string_view ending) const {
    for (size_t i = 0; i < files.size(); ++i) {
      if (!files[i].of_rank) fail(step_, fmt::format("'{}' does not say of which rank it is", files[i].name));
      if (i > 0 && files[i].rank == files[i - 1].rank)
        fail(step_, fmt::format("'{}' and '{}' are both of rank {}", files[i - 1].name, files[i].name, files[i].rank),
             "move those of the other run away");
      if (files[i].rank != static_cast<int64_t>(i)) refuse_missing(files[i].name, static_cast<int64_t>(i), ending);
    }
  }
  [[noreturn]] void refuse_missing(const std::string& other, int64_t rank, std::string_view) const {
    throw Error("source-parts", BytePlace{step_, {}, {}},
                fmt::format("'{}' is not there, though '{}' is", name_of_rank(other, rank), other),
                "fetch the missing file");
  }

  int64_t stage_of(const TorchItem& optimizer) const {
    const Json& stage = member(member(optimizer.listing.metadata, "optimizer_state_dict"), "zero_stage");
    if (!stage.is_number_integer() || stage.get<int64_t>() < 1 || stage.get<int64_t>() > 3)
      fail(optimizer.path(),
           fmt::format("its 'zero_stage' should be 1, 2 or 3; it is {}", stage.is_null() ? "not there" : stage.dump()));
    return stage.get<int64_t>();
  }

  // A number, or one a group.
  void check_partition_count(const std::vector<StateFile>& files, const std::vector<TorchItemPtr>& ranks) const {
    for (size_t r = 0; r < ranks.size(); ++r) {
      const Json& said = member(member(ranks[r]->listing.metadata, "optimizer_state_dict"), "partition_count");
      int64_t count = 0;
      for (const Json& one : said.is_array() ? said : Json::array({said}))
        if (one.is_number_integer()) count = std::max(count, one.get<int64_t>());
      if (count > static_cast<int64_t>(files.size()))
        refuse_missing(files[r].name, static_cast<int64_t>(files.size()), kOptimStates);
      if (count != 0 && count < static_cast<int64_t>(files.size()))
        fail(ranks[r]->path(),
             fmt::format("it is one of {} ranks, by its 'partition_count'; there are files of {}", count, files.size()),
             "move the files of the other run away");
    }
  }

  void add_as_it_is(const std::string& key, const TorchItem& item, const ListedTensor& tensor) {
    TiledTensor out{info_of(key, tensor.tensor)};
    if (const auto* spec = std::get_if<TensorSpec>(&tensor.tensor))
      for (Box& box : whole_tensor_tile(stored_form(spec->dtype, spec->shape).shape))
        out.tiles.push_back({std::move(box), item.view(*spec, tensor.key)});
    tensors_.try_emplace(key, std::move(out));
  }

  void add_module(const std::string& file) {
    const std::string_view root = "module.";
    for (const ListedTensor& tensor : model_->listing.tensors)
      if (tensor.key.starts_with(root)) add_as_it_is(tensor.key.substr(root.size()), *model_, tensor);
    if (tensors_.empty()) fail(in(file), "it has no tensors below 'module'");
    add_shared();
  }

  void add_buffers() {
    for (const Json& said : member(model_->listing.metadata, "buffer_names")) {
      const std::string& key = name_or_empty(said);
      const ListedTensor* tensor = model_->find("module." + key);
      if (tensor == nullptr || tensors_.contains(key)) continue;
      const auto* spec = std::get_if<TensorSpec>(&tensor->tensor);
      if (spec == nullptr || (spec->dtype != DType::bf16 && spec->dtype != DType::f16)) {
        add_as_it_is(key, *model_, *tensor);
        continue;
      }
      TiledTensor& wide = new_tensor(tensors_, key, DType::f32, spec->shape, model_->path(), limits_);
      wide.tiles = widened_tiles(wide.info, spec->dtype, model_->view(*spec, tensor->key));
    }
  }

  // Whole in stage 2; of stage 3, every rank has a part of each, flat.
  void add_frozen(const std::vector<StateFile>& models, int64_t stage) {
    const Shapes shapes = shapes_of(member(model_->listing.metadata, "frozen_param_shapes"), "frozen_param_shapes",
                                    model_->path(), limits_);
    if (shapes.empty()) return;
    std::vector<TorchItemPtr> items = {model_};
    if (stage == 3)
      for (size_t r = 1; r < models.size(); ++r) items.push_back(read(models[r].name));
    for (const auto& [name, shape] : shapes) {
      if (tensors_.contains(name)) fail(model_->path(), fmt::format("'{}' is both trained and frozen", name));
      const std::string key = "frozen_param_fragments." + name;
      const ListedTensor* first = model_->find(key);
      if (first == nullptr) continue;  // of 'module', if it is there
      if (stage != 3) {
        add_as_it_is(name, *model_, *first);
        if (tensors_.at(name).info.shape != shape)
          fail(model_->path(), fmt::format("'{}' is {}, by 'frozen_param_shapes' {}", key,
                                           to_string(tensors_.at(name).info.shape), to_string(shape)));
        continue;
      }
      FlatStream joined;
      for (const TorchItemPtr& item : items) {
        const ListedTensor* part = item->find(key);
        if (part == nullptr) fail(item->path(), fmt::format("it does not hold '{}', which rank 0 does", key));
        joined.append(*item, *part);
      }
      const int64_t count = element_count(shape);
      if (joined.length < count)
        fail(model_->path(),
             fmt::format("the ranks' parts of '{}' have {} values, it has {}", key, joined.length, count));
      joined.add_tiles(new_tensor(tensors_, name, joined.dtype, shape, model_->path(), limits_), 0, count, 0);
    }
  }

  // {alias: name}, or pairs of them.
  void add_shared() {
    const Json& shared = member(model_->listing.metadata, "shared_params");
    const auto add = [&](const std::string& alias, const std::string& name) {
      const auto whole = tensors_.find(name);
      if (alias.empty() || whole == tensors_.end()) return;
      whole->second.info.alias = name;
      if (tensors_.contains(alias)) return;
      TiledTensor twin = whole->second;
      twin.info.key = alias;
      tensors_.emplace(alias, std::move(twin));
    };
    if (shared.is_object())
      for (const auto& [alias, name] : shared.items()) add(alias, name_or_empty(name));
    else if (shared.is_array())
      for (const Json& pair : shared)
        if (pair.is_array() && pair.size() == 2) add(name_or_empty(pair[0]), name_or_empty(pair[1]));
  }

  // What 'module' has and nothing above gave: parameters that stage 1 leaves out when they are frozen.
  void add_rest(int64_t stage) {
    const std::string_view root = "module.";
    for (const ListedTensor& tensor : model_->listing.tensors) {
      if (!tensor.key.starts_with(root)) continue;
      const std::string key = tensor.key.substr(root.size());
      if (tensors_.contains(key)) continue;
      const TensorInfo info = info_of(key, tensor.tensor);
      if (stage == 3 && info.unread == nullptr && info.shape == Shape{0})
        tensors_.try_emplace(key, TiledTensor{unread_tensor(key, "a parameter whose values no rank has",
                                                            std::string(long_name(info.dtype)))});
      else
        add_as_it_is(key, *model_, tensor);
    }
  }

  void summarise(int64_t stage, size_t n_ranks, const std::string& values) {
    const Json& step = member(model_->listing.metadata, "global_steps");
    contents_.remarks.push_back(fmt::format("DeepSpeed, ZeRO stage {}, {}, step {} ('{}')", stage,
                                            count_text(n_ranks, "rank"), step.is_number() ? step.dump() : "unknown",
                                            fs::path(step_).filename().string()));
    contents_.remarks.push_back(values);
  }

  // --- universal checkpoints ---

  void read_universal() {
    const std::string zero = in("zero");
    for (const std::string& name : list_folders(zero)) {
      const std::string file = (fs::path("zero") / name / "fp32.pt").string();
      if (!is_file(in(file))) fail(in("zero/" + name), "the folder of a tensor has no file 'fp32.pt'");
      const TorchItemPtr item = read(file);
      const ListedTensor* tensor = item->find("param");
      if (tensor == nullptr) tensor = item->find("");
      if (tensor == nullptr) fail(in(file), "it holds neither a tensor nor a dict with 'param'");
      add_as_it_is(name, *item, *tensor);
    }
    check_limit(tensors_.size(), limits_.max_tensors, "max_tensors", BytePlace{contents_.path, {}, {}}, "tensors");
    const auto models = state_files(files_, kModelStates);
    if (!models.empty()) {
      model_ = read(models.front().name);
      for (const Shapes& group : groups_of(*model_, limits_))
        for (const auto& [name, shape] : group)
          if (!tensors_.contains(name))
            fail(zero, fmt::format("there is no folder for '{}', which '{}' lists", name, models.front().name));
      for (const char* name : {"ds_config", "ds_version", "global_steps", "dp_world_size"})
        if (!member(model_->listing.metadata, name).is_null())
          contents_.metadata[name] = member(model_->listing.metadata, name);
    }
    contents_.remarks.push_back(fmt::format(
        "a universal checkpoint of DeepSpeed ('{}'): the float32 tensors as they are stored; buffers and, of stage 3, "
        "frozen parameters and shapes stand in the model files",
        fs::path(step_).filename().string()));
  }

  const std::string step_;
  const Limits limits_;
  const std::vector<std::string> files_;
  TiledContents contents_;
  TorchItemPtr model_;  // that of the first rank
  Tensors tensors_;
};

}  // namespace

bool looks_like_deepspeed(const std::string& folder) {
  if (is_step(folder)) return true;
  const std::string note = note_of(folder);
  if (note.empty()) return !steps_below(folder).empty();
  const std::string step = trimmed(head_of(fs::path(folder) / note));
  if (is_plain_name(step) && is_folder(fs::path(folder) / step)) return is_step((fs::path(folder) / step).string());
  return step.starts_with("global_step") || !steps_below(folder).empty();
}

std::unique_ptr<Source> open_deepspeed(const std::string& folder, const OpenOptions& options) {
  if (is_step(folder)) return StepOpener(folder, folder, options).open();
  const auto steps = steps_below(folder);
  const std::string note = note_of(folder);
  const std::string give = steps.empty() ? ""
                                         : fmt::format("give the folder of a step, such as '{}'",
                                                       (fs::path(folder) / steps.back()).string());
  std::string step;
  if (!note.empty()) {
    const std::string path = (fs::path(folder) / note).string();
    step = trimmed(head_of(path));
    if (!is_plain_name(step))
      fail(path, fmt::format("it names '{}', which is not a folder beside it", one_word(step)), give);
    if (!is_folder(fs::path(folder) / step))
      fail(path, fmt::format("it names '{}', which is not there", one_word(step)), give);
    if (!is_step((fs::path(folder) / step).string()))
      fail(path, fmt::format("it names '{}', which does not hold files of DeepSpeed", one_word(step)), give);
  } else if (steps.size() == 1) {
    step = steps.front();
  } else {
    fail(folder,
         fmt::format("it holds several checkpoints, {}, and no file 'latest' that names one", quoted_list(steps)),
         give);
  }
  return StepOpener(folder, (fs::path(folder) / step).string(), options).open();
}

}  // namespace remap::formats
