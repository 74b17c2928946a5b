// config.json and the further files of the output, and what the checkpoint says beside its tensors.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// The value of each field, as one object; those whose value is `omit` are not in it. What a manifest cannot tell is
// added to `open`.
Json evaluate_fields(const PlanInput& input, const std::vector<lang::Template::Field>& fields,
                     layout::CheckpointScope& scope, std::vector<std::string>& open, Diagnostics& diagnostics);

struct TargetConfig {
  std::string architecture;
  Json config;  // config.json, with the fields that the class implies
  std::vector<std::pair<std::string, Json>> files;
  std::map<std::string, std::string> metadata;  // carried over into the files of tensors
  std::vector<std::string> left_behind;
  std::vector<std::string> open;
};

// What the target class says by itself, then what the rules suggest, then what the user says, then what the checkpoint
// shows: each over the one before. `dtype` is a name in `scope` from then on.
TargetConfig make_config(const PlanInput& input, const Targets& targets, layout::CheckpointScope& scope,
                         Diagnostics& diagnostics);

// The fields that are not given, but known from what is written, one row each.
struct KnownField {
  std::string_view name;
  std::string_view set_from;
  // Whether it is an error if the rules say otherwise; else it is set only where nothing gives it.
  bool is_fixed;
  // nullopt: nothing is known of it.
  struct Known {
    const PlanInput& input;
    const Targets& targets;
    DType dtype;  // that most bytes of the targets have
    const std::string& architecture;
  };
  std::optional<Json> (*value)(const Known& known);
};
const std::vector<KnownField>& known_field_table();

}  // namespace remap::plan
