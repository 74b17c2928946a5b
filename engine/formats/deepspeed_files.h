// The files of a DeepSpeed step by their names, and the flat tensors in them. Private to the readers of DeepSpeed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tiled_source.h"
#include "formats/torch_item.h"

namespace remap::formats::deepspeed {

inline constexpr std::string_view kModelStates = "_model_states.pt", kOptimStates = "_optim_states.pt";

// Throws Error "deepspeed".
[[noreturn]] void fail(const std::string& path, const std::string& message,
                       const std::string& hint = "the files are not of one run, or one is damaged: fetch them again");

// "bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt": rank 3, model-parallel rank 0.
struct StateFile {
  std::string name;
  int64_t rank = 0, model_rank = 0;
  bool of_rank = false;  // the name has a rank
};
// Those that end so, by rank.
std::vector<StateFile> state_files(const std::vector<std::string>& files, std::string_view ending);
std::optional<int64_t> number_after(const std::string& name, std::string_view text);
// What the file of this rank is called, by the name of another rank's.
std::string name_of_rank(const std::string& other, int64_t rank);

// The folder of a universal checkpoint's step; of any step.
bool has_universal(const std::string& folder);
bool is_step(const std::string& folder);

// A member of a JSON object; null if there is none.
const Json& member(const Json& tree, std::string_view name);

// Names and shapes in the order in which the parameters lie in a flat tensor.
using Shapes = std::vector<std::pair<std::string, Shape>>;
Shapes shapes_of(const Json& tree, const char* what, const std::string& file, const Limits& limits);
// 'param_shapes' of a model file, a group each.
std::vector<Shapes> groups_of(const TorchItem& model, const Limits& limits);
int64_t elements_of(const Shapes& shapes);

// Values one after the other, of several flat tensors.
struct FlatStream {
  struct Segment {
    int64_t begin = 0, length = 0;
    TileView view;
  };
  std::vector<Segment> segments = {};
  int64_t length = 0;
  DType dtype = DType::f32;
  std::string file = {};  // of the last

  void append(const TorchItem& item, const ListedTensor& tensor);
  // The elements [from, from + count) are those of the tensor from `at` on.
  void add_tiles(TiledTensor& tensor, int64_t from, int64_t count, int64_t at) const;
};

}  // namespace remap::formats::deepspeed
