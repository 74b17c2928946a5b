// From what the user typed to rules and open sources.
#pragma once

#include <memory>

#include "cli/command.h"
#include "remap/plan.h"

namespace cli {

struct Inputs {
  std::optional<remap::Rules> rules;
  std::vector<std::unique_ptr<remap::Source>> sources;
  std::vector<remap::NamedSource> named;
  std::map<std::string, remap::Json> documents;
  remap::Json config = remap::Json::object();  // --config
};

// Opens a checkpoint as a whole and prints what was noticed: which of several in a folder was taken, data that is
// missing.
std::unique_ptr<remap::Source> open_whole(const std::string& path, const Options& options);

// Where the user keeps rule files: --rules-dir, then REMAP_RULES_DIR.
std::vector<std::string> rule_folders(const Options& options);

// NAME=PATH, unless a file of that whole name exists; a path alone has the name "".
struct NamedPath {
  std::string name, path;
};
NamedPath parse_input(const std::string& text);
// Whether NAME=PATH belongs to the reader of the first source, whatever the rules: gin=config.gin.
bool is_companion(const std::string& name);
// Throws remap::Error "usage": the rules have no source of this name, and which was probably meant. `option` stands
// before it: "--manifest ".
[[noreturn]] void refuse_source(const NamedPath& input, const remap::Rules& rules, const std::string& option = {});
// PATH or NAME=PATH each. Throws remap::Error "usage" if two have one name.
std::vector<NamedPath> parse_inputs(const Options& options);

// Opens the sources; without --rules, recognises the family. `loaded`: the rules, if they have been read before.
// nullopt after reporting into `diagnostics`. Throws remap::Error.
std::optional<Inputs> open_inputs(const Options& options, remap::Diagnostics& diagnostics,
                                  std::optional<remap::Rules> loaded = {});

// Opens the inputs, makes the plan and prints what there is to say; nullopt if that were errors.
struct Planned {
  Inputs inputs;
  remap::Plan plan;
};
std::optional<Planned> open_and_plan(const Options& options);
// The same, but what there is to say is left in `diagnostics`.
std::optional<Planned> open_and_plan(const Options& options, remap::Diagnostics& diagnostics);

// What the user said beside the sources.
remap::PlanOptions plan_options(const Inputs& inputs, const Options& options);

// The plan, or nullopt with `diagnostics`.
std::optional<remap::Plan> plan_inputs(const Inputs& inputs, const Options& options, remap::Diagnostics& diagnostics);

// Computes both forward passes and prints the report; kDone if they agree, kFound if not.
int verify_folder(const Inputs& inputs, const remap::Plan& plan, const std::string& folder, const Options& options);

// "5GB", "200MB", "1000" -> bytes (powers of 1000; GiB and the like are powers of 1024). Throws remap::Error "usage".
uint64_t parse_bytes(const std::string& text);

}  // namespace cli
