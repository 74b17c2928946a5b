// DeepSpeed: a folder whose file 'latest' names the folder of a step, or that folder. In it
//
//   mp_rank_00_model_states.pt                        stages 0 to 2: 'module' (weights in the training's dtype), shapes
//   zero_pp_rank_R_mp_rank_00_model_states.pt         stage 3: the same of rank R, partitioned parameters empty
//   [bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt  rank R's part of the float32 masters, flat, a group after another
//
// What is listed is what DeepSpeed's zero_to_fp32 makes: the masters of what was trained; buffers, of those that are
// bfloat16 or float16 as float32; what was frozen, as it is stored. Stage 1 and 2: the ranks' partitions of a group,
// joined, are the group's parameters one after the other. Stage 3: every parameter is cut into equal parts, one a rank.
// A universal checkpoint ('zero/NAME/fp32.pt') has a file for each tensor.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "remap/source.h"

namespace remap::formats {

// Whether the folder, or the step that it names, is one.
bool looks_like_deepspeed(const std::string& folder);
// Throws Error "deepspeed", "source-parts", and what torch's reader throws.
std::unique_ptr<Source> open_deepspeed(const std::string& folder, const OpenOptions& options);

}  // namespace remap::formats
