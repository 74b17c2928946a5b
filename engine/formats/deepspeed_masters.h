// The float32 masters of a DeepSpeed optimizer as tensors that lie in the ranks' flat partitions. Private to the
// readers of DeepSpeed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/deepspeed_files.h"

namespace remap::formats::deepspeed {

using Tensors = std::map<std::string, TiledTensor>;
// A tensor without tiles. Throws Error "deepspeed" at `file` if there is one of the name, "limit-exceeded".
TiledTensor& new_tensor(Tensors& tensors, const std::string& name, DType dtype, const Shape& shape,
                        const std::string& file, const Limits& limits);

// Stage 1 and 2: each group of parameters is cut among the ranks. Throws Error "deepspeed".
void add_masters_of_stage_2(const TorchItem& model, const std::vector<TorchItemPtr>& ranks, const Limits& limits,
                            Tensors& tensors);
// Stage 3: each parameter is cut among the ranks, and a rank's groups are one stream. Throws Error "deepspeed".
void add_masters_of_stage_3(const TorchItem& model, const std::vector<TorchItemPtr>& ranks, const Limits& limits,
                            Tensors& tensors);

}  // namespace remap::formats::deepspeed
