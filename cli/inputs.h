// From what the user typed to what the library is asked.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "cli/command.h"
#include "remap/convert.h"

namespace cli {

class Progress;

// What --limit says. Throws remap::Error "usage".
remap::Limits limits_of(const Options& options);

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
// PATH or NAME=PATH each. Throws remap::Error "usage" if two have one name.
std::vector<NamedPath> parse_inputs(const Options& options);

// What the user asks of the library. Throws remap::Error "usage", and what reading --config throws.
remap::Request request_of(const Options& options);

// Opens the inputs and makes the plan; nullopt after reporting into `diagnostics`.
std::optional<remap::Conversion> open_and_plan(const Options& options, remap::Diagnostics& diagnostics);
// The same, and prints what there is to say.
std::optional<remap::Conversion> open_and_plan(const Options& options);
// Holds a value until the program has ended: to give back a million tensors piece by piece takes a tenth of the time
// that it takes to plan them.
template <typename T>
const T& kept(T value) {
  static auto& all = *new std::deque<T>;
  return all.emplace_back(std::move(value));
}

// Computes both forward passes and prints the report; kDone if they agree, kFound if not.
int verify_folder(const remap::Conversion& conversion, const std::string& folder, const Options& options,
                  Progress& progress);

}  // namespace cli
