// One torch file a rank, whose tensors are DTensors or ShardedTensors: parts of tensors that only all files together
// hold ('model_world_size_4_rank_0.pt' …). Tensors that are none of the two are whole in every file, and have to be
// the same in all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap::formats {

// Of the folder's files of tensors, those that are ranks of one checkpoint: they differ in numbers only, and the first
// of them holds parts of tensors. Of several such groups, the one of the model ('optim_world_size_4_rank_0.pt' … beside
// it is the optimizer's). Empty: there is none, or no telling.
std::vector<std::string> find_rank_files(const std::string& folder, const std::vector<std::string>& tensor_files,
                                         const OpenOptions& options);

// Throws Error "rank-files", "source-parts", "source-tiles", and what torch's reader throws.
std::unique_ptr<Source> open_rank_files(const std::string& folder, const std::vector<std::string>& names,
                                        const OpenOptions& options);

}  // namespace remap::formats
