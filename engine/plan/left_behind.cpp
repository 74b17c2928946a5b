#include "plan/left_behind.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_members.h"
#include "plan/config_layers.h"
#include "plan/given_config.h"

namespace remap::plan {
namespace {

const Json& object_in(const Json& metadata, const char* name) {
  static const Json kNone = Json::object();
  const auto it = metadata.find(name);
  return it != metadata.end() && it->is_object() ? *it : kNone;
}

// In config.json, or by the class itself.
bool is_written(const PlanInput& input, const JsonMembers<const Json>& config, const std::string& name,
                const Json& value) {
  if (const Json* known = config.find(name)) return same_value(*known, value);
  if (!input.schema) return false;
  const auto& implied = input.schema->implied;
  return std::any_of(implied.begin(), implied.end(), [&](const auto& field) {
    return field.name == name && field.value.kind == lang::Template::Kind::constant && field.value.constant == value;
  });
}

// Of one source. Names that would make a program load code are told apart from the rest.
class SourceMetadata {
 public:
  SourceMetadata(const NamedSource& source, LeftBehind& result)
      : metadata_(source.source->metadata()), of_(source.name.empty() ? "" : source.name + ": "), result_(result) {}

  void carry_strings() {
    std::vector<std::string> lost;
    for (const auto& [name, text] : object_in(metadata_, "__metadata__").items()) {
      if (name == "format" || !text.is_string()) continue;
      if (lang::common_fields().makes_code_load(name))
        code_.push_back(name);
      else if (result_.metadata.emplace(name, text.get<std::string>()).first->second != text.get<std::string>())
        lost.push_back(name);
    }
    say("metadata that another source has with another value", lost);
  }
  void leave_index() {
    std::vector<std::string> lost;
    for (const auto& [name, value] : object_in(metadata_, "index").items())
      if (name != "total_size" && name != "total_parameters") lost.push_back(name);
    say("metadata of the index of shards", lost);
  }
  void leave_config(const PlanInput& input, const Json& written, const Json& facts) {
    const Json& config = object_in(metadata_, "config");
    if (!config.contains("model_type") && !config.contains("architectures")) return;
    const JsonMembers in_output(written), of_rules(facts);
    std::vector<std::string> lost;
    for (const auto& [name, value] : config.items()) {
      if (lang::common_fields().makes_code_load(name))
        code_.push_back(name + " in config.json");
      else if (of_rules.find(name) == nullptr && lang::common_fields().left_out_because(name).empty() &&
               !is_written(input, in_output, name, value))
        lost.push_back(name);
    }
    say("of the checkpoint's config.json, which --config takes", lost);
  }
  void leave_code() { say("what would make a program look for code to run", code_); }

 private:
  void say(const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) result_.lines.push_back(fmt::format("{}{}: {}", of_, what, quoted_names(names)));
  }

  const Json& metadata_;
  const std::string of_;
  LeftBehind& result_;
  std::vector<std::string> code_;
};

}  // namespace

LeftBehind find_left_behind(const PlanInput& input, const Json& config, const Json& facts) {
  LeftBehind result;
  for (const auto& source : input.sources) {
    SourceMetadata metadata(source, result);
    metadata.carry_strings();
    metadata.leave_index();
    metadata.leave_config(input, config, facts);
    metadata.leave_code();
  }
  return result;
}

void note_code(const std::string& file, const std::vector<std::string>& names, std::vector<std::string>& lines) {
  for (const auto& name : names)
    lines.push_back(fmt::format("{}: '{}', which would make a program look for code to run", file, name));
}

}  // namespace remap::plan
