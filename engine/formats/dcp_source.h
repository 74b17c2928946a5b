// torch.distributed.checkpoint: '.metadata' (or one file '__R.metadata' a rank) and the files '*.distcp' of the ranks.
// The item of a chunk is a whole archive of torch.save, at any offset of a file, which holds one tensor: the chunk.
//
// The other form, of Hugging Face's writer: 'shard-R-model-N-of-M.safetensors', each with parts of tensors, whose
// "__metadata__" has in DCP_SHARDING_INFO where a part begins. How large the whole is stands nowhere: the parts have to
// tile a box.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap::formats {

// `files`: those of the folder. One that ends in '.distcp', or a '.metadata' of this kind.
bool looks_like_dcp(const std::string& folder, const std::vector<std::string>& files);
std::unique_ptr<Source> open_dcp(const std::string& folder, const OpenOptions& options);

// Whether there are parts of the other form.
bool looks_like_dcp_shards(const std::string& folder, const std::vector<std::string>& files);
// The other form; nullptr: it is not one.
std::unique_ptr<Source> open_dcp_shards(const std::string& folder, const std::vector<std::string>& files,
                                        const OpenOptions& options);

}  // namespace remap::formats
