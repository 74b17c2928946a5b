// What a checkpoint says beside its tensors: what of it the output carries on, and what it leaves behind.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

struct LeftBehind {
  std::map<std::string, std::string> metadata;  // strings that the format of the output has a place for
  std::vector<std::string> lines;               // what is left behind, a line each
};

// `config`: as it is written. `facts`: the fields that the rules give: of a checkpoint's own config.json they know
// best.
LeftBehind find_left_behind(const PlanInput& input, const Json& config, const Json& facts);

// "config.json: 'auto_map', which would make …", for fields that were taken out of a file.
void note_code(const std::string& file, const std::vector<std::string>& names, std::vector<std::string>& lines);

}  // namespace remap::plan
