// Megatron-LM's "torch" checkpoints: 'latest_checkpointed_iteration.txt' names 'iter_0000100' (or 'release'), which has
// a folder a model-parallel rank: 'mp_rank_TT', or 'mp_rank_TT_PPP' with a pipeline. The file in it has 'args' and,
// below 'model' ('model0', 'model1' … of a virtual pipeline), the rank's part of the tensors.
//
// Tensor-parallel ranks cut tensors by their role in a transformer layer, which their names say: a table. What the
// table does not name is whole on every rank, and has to be the same there. Layers count from 0 on every stage of the
// pipeline; here they count over all of them.
#pragma once

#include <memory>
#include <string>

#include "remap/source.h"

namespace remap::formats {

// Whether the folder, or the iteration that it names, has folders 'mp_rank_…' with files of Megatron's.
bool looks_like_megatron(const std::string& folder);
// Throws Error "megatron", "source-parts", "source-replicas", and what torch's reader throws.
std::unique_ptr<Source> open_megatron(const std::string& folder, const OpenOptions& options);

}  // namespace remap::formats
