// From a checkpoint to a folder that people load, as the command line does it:
//
//   remap::Diagnostics found;
//   if (auto conversion = remap::prepare({.checkpoint = "model.pt", .set = {{"dtype", "float16"}}}, found))
//     remap::write(*conversion, "out");
//   std::cerr << remap::render_text(found);
//
// What is wrong with a checkpoint or with rules is reported into Diagnostics, all of it at once; what stops the work
// where it stands (a file that cannot be read, a disk that is full) is thrown as remap::Error. Nothing here prints,
// asks, reads the environment or keeps state: calls with different objects may run in different threads.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/execute.h"
#include "remap/files_read.h"
#include "remap/limits.h"
#include "remap/output.h"
#include "remap/plan.h"
#include "remap/values.h"

namespace remap {

struct Request {
  std::string checkpoint;                          // a file or a folder
  std::map<std::string, std::string> inputs = {};  // further files by name: what the rules ask for, and companions()
  std::string rules = {};                          // a rule file, or the name of one; "": the checkpoint tells
  std::optional<Rules> loaded = {};                // rules that are loaded, in place of `rules`
  std::vector<std::string> rule_folders = {};      // where further rule files are looked for, before those built in
  std::map<std::string, std::string> set = {};     // variants, and what can be chosen for any rules
  Json config = Json::object();                    // fields of config.json that the checkpoint does not record
  std::string config_file = {};                    // where these are from, for messages
  Limits limits = {};                              // of what is read and planned
  bool needs_data = false;                         // a manifest, which lists tensors and holds none, is refused
  bool notices = true;                             // look for what a user should know though it is not an error
};

// Names of files that a reader takes beside the checkpoint, whatever the rules: {"gin"}.
const std::vector<std::string>& companions();

// A checkpoint that is open, with the rules that convert it. Holds every file it names open (or mapped); may be moved.
struct Checkpoint {
  Rules rules;
  std::vector<std::unique_ptr<Source>> owned;
  std::vector<NamedSource> sources;  // point into `owned`
  PlanOptions options;               // complete: facts about values are answered from the sources
  std::vector<std::string> files;    // everything that was read, or may be: an output must replace none of it
  FilesRead read = {};               // all but the rules, as they were when they were opened
  // Files that lie beside the checkpoint and are written as they are: names and contents.
  std::vector<std::pair<std::string, std::string>> carried = {};
};

// What a user should know of a source though it is not an error: which of several checkpoints was taken, data that is
// missing and reads as a fill value. May look at every file.
void add_notices(const Source& source, Diagnostics& diagnostics);

// Finds the rules, opens the checkpoint and what belongs to it. nullopt if `diagnostics` has errors: no rules fit, or
// more than one ("family-unknown", "family-ambiguous"), or a rule file is not right. Throws Error: "usage" for a name
// in `inputs` that neither the rules nor the readers know, "source-without-data", what opening throws, and "io-changed"
// if a file became another one meanwhile.
std::optional<Checkpoint> open_checkpoint(const Request& request, Diagnostics& diagnostics);

// open_checkpoint() and make_plan(): what will be written, and from what. Of the data only what facts ask for is read.
struct Conversion : Checkpoint {
  Plan plan;
};
std::optional<Conversion> prepare(const Request& request, Diagnostics& diagnostics);

// What write() can say when it is done.
struct Outcome {
  std::optional<ParameterSums> sums;  // where the rules ask for them and nothing was rounded; they agree
};

// Copies every tensor, writes config.json and the other files of the plan, and gives the folder its name when it is
// whole: before, and after an Error, nothing is at `folder` that was not there; nor is anything left beside it, but for
// `output.resume` after "cancelled". `output.inputs`, `metadata`, `made_of` and `limits` are completed from the
// conversion. Throws Error: those of OutputFolder and execute(), "parameter-sum"; "io-changed",
// "io-truncated" if a file that was read is not the one any more that was opened.
Outcome write(const Conversion& conversion, const std::string& folder, const OutputOptions& output = {},
              const ExecOptions& exec = {});

}  // namespace remap
