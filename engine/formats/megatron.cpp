#include "formats/megatron.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/json_members.h"
#include "base/text.h"
#include "formats/dcp_source.h"
#include "formats/folder_files.h"
#include "formats/limit.h"
#include "formats/pickle_text.h"
#include "formats/tiled_source.h"
#include "formats/torch_item.h"
#include "formats/unread_rows.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "latest_checkpointed_iteration.txt";
constexpr std::string_view kRank = "mp_rank_";
constexpr const char* kModelFiles[] = {"model_optim_rng.pt", "model_rng.pt"};

[[noreturn]] void fail_megatron(
    const std::string& path, const std::string& message,
    const std::string& hint = "the files are not of one run, or one is damaged: fetch them again") {
  throw Error("megatron", BytePlace{path, {}, {}}, message, hint);
}

// How tensor-parallel ranks cut a tensor whose name ends so, along which dimension. Gated: every rank has its part of
// the gate and then its part of what is gated, where the layer is gated at all.
struct Cut {
  std::string_view ending;
  size_t dim;
  bool gated = false;
};
constexpr Cut kCuts[] = {
    {"word_embeddings.weight", 0},
    {"word_embeddings_for_head.weight", 0},
    {"output_layer.weight", 0},
    {"output_layer.bias", 0},
    {"lm_head.bias", 0},
    {"linear_qkv.weight", 0},
    {"linear_qkv.bias", 0},
    {"linear_q.weight", 0},
    {"linear_q.bias", 0},
    {"linear_kv.weight", 0},
    {"linear_kv.bias", 0},
    {"query_key_value.weight", 0},
    {"query_key_value.bias", 0},
    {"query.weight", 0},
    {"query.bias", 0},
    {"key_value.weight", 0},
    {"key_value.bias", 0},
    {"linear_fc1.weight", 0, true},
    {"linear_fc1.bias", 0, true},
    {"dense_h_to_4h.weight", 0, true},
    {"dense_h_to_4h.bias", 0, true},
    {"linear_proj.weight", 1},
    {"attention.dense.weight", 1},
    {"inter_attention.dense.weight", 1},
    {"linear_fc2.weight", 1},
    {"dense_4h_to_h.weight", 1},
};
const Cut* cut_of(std::string_view key) {
  for (const Cut& cut : kCuts)
    if (key.ends_with(cut.ending) &&
        (key.size() == cut.ending.size() || key[key.size() - cut.ending.size() - 1] == '.' ||
         cut.ending.find("attention") == 0))
      return &cut;
  return nullptr;
}

// "mp_rank_01_002": rank 1 of the tensor, stage 2 of the pipeline.
struct RankFolder {
  std::string name;
  std::vector<int64_t> numbers;
};
std::vector<RankFolder> rank_folders(const std::string& folder) {
  std::vector<RankFolder> out;
  for (const std::string& name : list_folders(folder)) {
    if (!name.starts_with(kRank)) continue;
    RankFolder rank{name, {}};
    bool plain = true;
    for (std::string_view rest = std::string_view(name).substr(kRank.size()); plain;) {
      size_t n = 0;
      int64_t value = 0;
      for (; n < rest.size() && n < 6 && rest[n] >= '0' && rest[n] <= '9'; ++n) value = 10 * value + (rest[n] - '0');
      plain = n > 0 && (n == rest.size() || rest[n] == '_');
      rank.numbers.push_back(value);
      if (n == rest.size()) break;
      rest.remove_prefix(n + 1);
    }
    if (plain) out.push_back(std::move(rank));
  }
  return out;
}
std::optional<std::string> model_file(const fs::path& folder) {
  for (const char* name : kModelFiles)
    if (is_file(folder / name)) return name;
  return std::nullopt;
}
bool is_iteration(const std::string& folder) {
  for (const RankFolder& rank : rank_folders(folder))
    if (model_file(fs::path(folder) / rank.name)) return true;
  return false;
}
std::vector<std::string> iterations_below(const std::string& folder) {
  std::vector<std::string> out;
  for (const std::string& name : list_folders(folder))
    if ((name.starts_with("iter_") || name == "release") && is_iteration((fs::path(folder) / name).string()))
      out.push_back(name);
  return out;
}

// "decoder.layers.3.mlp…": the part before the number, the number, the rest.
struct LayerKey {
  std::string_view before, after;
  int64_t layer = 0;
};
std::optional<LayerKey> layer_key(std::string_view key) {
  static constexpr std::string_view kLayers = "layers.";
  for (size_t at = key.find(kLayers); at != key.npos; at = key.find(kLayers, at + 1)) {
    if (at > 0 && key[at - 1] != '.') continue;
    const size_t begin = at + kLayers.size();
    size_t end = begin;
    int64_t layer = 0;
    for (; end < key.size() && end - begin < 6 && key[end] >= '0' && key[end] <= '9'; ++end)
      layer = 10 * layer + (key[end] - '0');
    if (end > begin && end < key.size() && key[end] == '.')
      return LayerKey{key.substr(0, begin), key.substr(end), layer};
  }
  return std::nullopt;
}

class IterationOpener {
 public:
  IterationOpener(const std::string& path, std::string iteration, const OpenOptions& options)
      : iteration_(std::move(iteration)), limits_(options.limits) {
    contents_.path = path;
  }

  std::unique_ptr<Source> open() {
    read_files();
    number_layers();
    for (const File& file : files_) add_file(file);
    for (auto& [key, parts] : parts_) join(key, parts);
    add_document(contents_, contents_.path, "config.json", "config", limits_);
    if (contents_.tensors.empty()) fail_megatron(iteration_, "its files have no tensors below 'model'");
    contents_.remarks = {fmt::format("Megatron, '{}': {}, {}", fs::path(iteration_).filename().string(),
                                     count_text(n_tensor_, "tensor-parallel rank"),
                                     count_text(n_stages_, "pipeline stage"))};
    if (n_left_ > 0)
      contents_.remarks.push_back(
          fmt::format("{} beside the model (the optimizer's, states of extensions) {} left aside",
                      count_text(n_left_, "tensor"), n_left_ == 1 ? "is" : "are"));
    return make_tiled_source(std::move(contents_));
  }

 private:
  struct File {
    int64_t tensor_rank = 0, stage = 0;
    TorchItemPtr item;
  };
  // What the files have of a key: by tensor-parallel rank, the copies of it (more than one if stages share it).
  struct Parts {
    std::vector<std::vector<std::pair<TorchItemPtr, const ListedTensor*>>> by_rank;
  };

  void read_files() {
    auto folders = rank_folders(iteration_);
    for (const RankFolder& folder : folders) {
      const fs::path path = fs::path(iteration_) / folder.name;
      const auto name = model_file(path);
      if (!name)
        throw Error("source-parts", BytePlace{iteration_, {}, {}},
                    fmt::format("'{}/{}' is not there", folder.name, kModelFiles[0]), "fetch the missing file");
      MappedFile file((path / *name).string());
      contents_.files.push_back(file);
      files_.push_back({folder.numbers[0], folder.numbers.size() > 1 ? folder.numbers[1] : 0,
                        read_torch_item(std::move(file), limits_)});
      contents_.held.push_back(files_.back().item);
    }
    const Json& metadata = files_.front().item->listing.metadata;
    JsonMembers taken(contents_.metadata);
    for (const auto& [name, value] : metadata.items())
      if (!name.starts_with("model") && name != "optimizer" && name != "rng_state" && name != "opt_param_scheduler")
        taken.set(name, value);
    const Json args = metadata.contains("args") && metadata["args"].is_object() ? metadata["args"] : Json::object();
    refuse_experts(args, folders);
    n_tensor_ = size_of(args, "tensor_model_parallel_size", "model_parallel_size", &File::tensor_rank);
    n_stages_ = size_of(args, "pipeline_model_parallel_size", nullptr, &File::stage);
    for (const char* name : {"swiglu", "gated_linear_unit", "geglu", "reglu", "liglu"})
      gated_ = gated_ || (args.contains(name) && args[name].is_boolean() && args[name].get<bool>());
    if (args.contains("glu_activation") && args["glu_activation"].is_string()) gated_ = true;
    require_all(folders);
  }
  void refuse_experts(const Json& args, const std::vector<RankFolder>& folders) const {
    const bool said = args.contains("expert_model_parallel_size") &&
                      args["expert_model_parallel_size"].is_number_integer() &&
                      args["expert_model_parallel_size"].get<int64_t>() > 1;
    const auto third = std::find_if(folders.begin(), folders.end(),
                                    [](const RankFolder& folder) { return folder.numbers.size() > 2; });
    if (!said && third == folders.end()) return;
    fail_megatron(iteration_,
                  fmt::format("'{}' is of an expert-parallel rank: such checkpoints of Megatron are not read",
                              third == folders.end() ? folders.back().name : third->name),
                  "save it again with an expert-parallel size of 1, or as torch_dist");
  }
  // What the arguments say, or else the ranks that there are.
  int64_t size_of(const Json& args, const char* name, const char* older, int64_t File::*rank) const {
    for (const char* field : {name, older})
      if (field != nullptr && args.contains(field) && args[field].is_number_integer() &&
          args[field].get<int64_t>() > 0 && args[field].get<int64_t>() < 1'000'000)
        return args[field].get<int64_t>();
    int64_t most = 0;
    for (const File& file : files_) most = std::max(most, file.*rank);
    return most + 1;
  }
  void require_all(const std::vector<RankFolder>& folders) const {
    std::set<std::pair<int64_t, int64_t>> there;
    for (size_t f = 0; f < files_.size(); ++f) {
      const File& file = files_[f];
      if (file.tensor_rank >= n_tensor_ || file.stage >= n_stages_)
        fail_megatron(iteration_,
                      fmt::format("'{}' is one too many: by 'args', the tensor-parallel size is {}, the pipeline's {}",
                                  folders[f].name, n_tensor_, n_stages_),
                      "move the folders of the other run away");
      if (!there.emplace(file.tensor_rank, file.stage).second)
        fail_megatron(iteration_, fmt::format("'{}' is there twice, spelt in two ways", folders[f].name));
    }
    const bool staged = folders.front().numbers.size() > 1;
    for (int64_t t = 0; t < n_tensor_; ++t)
      for (int64_t p = 0; p < n_stages_; ++p)
        if (!there.contains({t, p}))
          throw Error("source-parts", BytePlace{iteration_, {}, {}},
                      fmt::format("'{}{:02}{}' is not there: the tensor-parallel size is {}, the pipeline's {}", kRank,
                                  t, staged || n_stages_ > 1 ? fmt::format("_{:03}", p) : "", n_tensor_, n_stages_),
                      "fetch the missing folder");
  }

  // The key without "model." or "model1."; which chunk of a virtual pipeline it is of. nullopt: not the model's.
  static std::optional<std::pair<int64_t, std::string>> model_key(const std::string& key) {
    static constexpr std::string_view kModel = "model";
    if (!key.starts_with(kModel)) return std::nullopt;
    size_t at = kModel.size();
    int64_t chunk = 0;
    for (; at < key.size() && at < 10 && key[at] >= '0' && key[at] <= '9'; ++at) chunk = 10 * chunk + (key[at] - '0');
    if (at == key.size() || key[at] != '.' || key.ends_with("_extra_state")) return std::nullopt;
    return std::pair{chunk, key.substr(at + 1)};
  }

  // How many layers the chunks before each have, for each list of layers.
  void number_layers() {
    std::map<std::string, std::map<std::pair<int64_t, int64_t>, int64_t>> counts;  // by list: (chunk, stage)
    for (const File& file : files_)
      for (const ListedTensor& tensor : file.item->listing.tensors)
        if (const auto key = model_key(tensor.key))
          if (const auto layer = layer_key(key->second)) {
            int64_t& count = counts[std::string(layer->before)][{key->first, file.stage}];
            count = std::max(count, layer->layer + 1);
          }
    for (const auto& [list, of_chunks] : counts) {
      int64_t before = 0;
      for (const auto& [chunk, count] : of_chunks) {
        first_layer_[list][chunk] = before;
        before += count;
      }
    }
  }

  void add_file(const File& file) {
    for (const ListedTensor& tensor : file.item->listing.tensors) {
      const auto key = model_key(tensor.key);
      if (!key) {
        ++n_left_;
        continue;
      }
      std::string whole = key->second;
      if (const auto layer = layer_key(whole)) {
        const int64_t first = first_layer_.at(std::string(layer->before)).at({key->first, file.stage});
        whole = fmt::format("{}{}{}", layer->before, first + layer->layer, layer->after);
      }
      auto& parts = parts_[whole];
      parts.by_rank.resize(static_cast<size_t>(n_tensor_));
      parts.by_rank[static_cast<size_t>(file.tensor_rank)].emplace_back(file.item, &tensor);
    }
    check_limit(parts_.size(), limits_.max_tensors, "max_tensors", BytePlace{contents_.path, {}, {}}, "tensors");
  }

  void join(const std::string& key, const Parts& parts) {
    const auto& [first_item, first] = parts.by_rank.front().empty() ? any_of(parts) : parts.by_rank.front().front();
    const TensorInfo info = info_of(key, first->tensor);
    for (const auto& copies : parts.by_rank) {
      if (copies.empty())
        fail_megatron(iteration_,
                      fmt::format("'{}' is not on every tensor-parallel rank; '{}' holds it", key, first_item->path()));
      for (const auto& [item, tensor] : copies) {
        const TensorInfo other = info_of(key, tensor->tensor);
        if (other.dtype != info.dtype || other.shape != info.shape ||
            (other.unread == nullptr) != (info.unread == nullptr))
          fail_megatron(item->path(), fmt::format("'{}' is {} {} here, {} {} in '{}'", tensor->key, name(other.dtype),
                                                  to_string(other.shape), name(info.dtype), to_string(info.shape),
                                                  first_item->path()));
      }
    }
    TiledTensor out{info};
    if (info.unread == nullptr) {
      const Cut* cut = n_tensor_ > 1 ? cut_of(key) : nullptr;
      const Shape part = stored_form(info).shape;
      if (cut != nullptr && cut->dim < part.size() && !is_sub_byte(info.dtype))
        join_cut(*cut, part, parts, out);
      else
        join_copies(part, parts, out);
    }
    contents_.tensors.push_back(std::move(out));
  }
  static const std::pair<TorchItemPtr, const ListedTensor*>& any_of(const Parts& parts) {
    for (const auto& copies : parts.by_rank)
      if (!copies.empty()) return copies.front();
    return parts.by_rank.front().front();
  }
  static Replica replica_of(const std::pair<TorchItemPtr, const ListedTensor*>& part) {
    return {part.first->view(std::get<TensorSpec>(part.second->tensor), part.second->key), part.first->path()};
  }

  void join_copies(const Shape& shape, const Parts& parts, TiledTensor& out) const {
    std::vector<Replica> replicas;
    for (const auto& copies : parts.by_rank)
      for (const auto& copy : copies) replicas.push_back(replica_of(copy));
    for (const Box& box : whole_tensor_tile(shape)) out.tiles.push_back(tile_of_replicas(out.info, box, replicas));
  }

  void join_cut(const Cut& cut, const Shape& part, const Parts& parts, TiledTensor& out) const {
    Shape whole = out.info.shape;
    const auto size = checked_mul<int64_t>(whole[cut.dim], n_tensor_);
    if (!size) fail_megatron(iteration_, fmt::format("'{}' has more rows than can be counted", out.info.key));
    whole[cut.dim] = *size;
    data_bytes(out.info.dtype, whole, iteration_ + ": '" + out.info.key + "'");
    const int64_t n_halves = cut.gated && gated_ ? 2 : 1;
    if (part[cut.dim] % n_halves != 0)
      fail_megatron(iteration_,
                    fmt::format("'{}' is {} on each rank: an odd number of rows cannot be a gate and what it gates",
                                out.info.key, to_string(part)));
    out.info.shape = whole;
    const int64_t half = part[cut.dim] / n_halves;
    for (int64_t t = 0; t < n_tensor_; ++t)
      for (int64_t h = 0; h < n_halves; ++h) {
        Box from{Shape(part.size(), 0), part}, to = from;
        from.origin[cut.dim] = h * half;
        from.extent[cut.dim] = to.extent[cut.dim] = half;
        to.origin[cut.dim] = h * half * n_tensor_ + t * half;
        if (is_empty(to)) continue;
        std::vector<Replica> replicas;
        const Box all{Shape(part.size(), 0), part};
        for (const auto& copy : parts.by_rank[static_cast<size_t>(t)]) {
          Replica replica = replica_of(copy);
          replica.view = part_of_view(replica.view, all, from, out.info.dtype);
          replicas.push_back(std::move(replica));
        }
        out.tiles.push_back(tile_of_replicas(out.info, to, std::move(replicas)));
      }
  }

  const std::string iteration_;
  const Limits limits_;
  TiledContents contents_;
  std::vector<File> files_;
  int64_t n_tensor_ = 1, n_stages_ = 1;
  bool gated_ = false;
  uint64_t n_left_ = 0;
  std::map<std::string, std::map<std::pair<int64_t, int64_t>, int64_t>> first_layer_;  // by list; (chunk, stage)
  std::map<std::string, Parts> parts_;
};

}  // namespace

bool looks_like_megatron(const std::string& folder) {
  return is_iteration(folder) || is_file(fs::path(folder) / kNote) || !iterations_below(folder).empty();
}

std::unique_ptr<Source> open_megatron(const std::string& folder, const OpenOptions& options) {
  if (is_iteration(folder)) return IterationOpener(folder, folder, options).open();
  const auto iterations = iterations_below(folder);
  const std::string give = iterations.empty() ? ""
                                              : fmt::format("give the folder of one, such as '{}'",
                                                            (fs::path(folder) / iterations.back()).string());
  const std::string note = (fs::path(folder) / kNote).string();
  std::string iteration;
  if (is_file(note)) {
    std::string text = head_of(note);
    text.erase(std::min(text.find_last_not_of(" \t\r\n") + 1, text.size()));
    const bool number = !text.empty() && text.size() < 12 && text.find_first_not_of("0123456789") == text.npos;
    if (!number && text != "release")
      fail_megatron(note, fmt::format("it says '{}', which is neither an iteration nor 'release'", one_word(text)),
                    give);
    iteration = number ? fmt::format("iter_{:0>7}", text) : text;
    const std::string path = (fs::path(folder) / iteration).string();
    if (!is_folder(path)) fail_megatron(note, fmt::format("it names '{}', which is not there", iteration), give);
    if (looks_like_dcp(path, list_files(path))) return open_dcp(path, options);  // "torch_dist"
    if (!is_iteration(path))
      fail_megatron(path, fmt::format("the folder has neither '{}…/{}' nor files '*.distcp'", kRank, kModelFiles[0]),
                    give);
  } else if (iterations.size() == 1) {
    iteration = iterations.front();
  } else {
    fail_megatron(
        folder,
        fmt::format("it holds several checkpoints, {}, and no '{}' that names one", quoted_list(iterations), kNote),
        give);
  }
  return IterationOpener(folder, (fs::path(folder) / iteration).string(), options).open();
}

}  // namespace remap::formats
