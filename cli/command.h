// What the commands share. A command is one row: name, summary, examples, options, function.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "remap/diagnostic.h"

namespace CLI {
class App;
}

namespace cli {

// Exit codes: done, nothing found | ran, and the answer is no | could not | interrupted.
enum Exit { kDone = 0, kFound = 1, kFailed = 2, kInterrupted = 130 };

enum class Format { text, json };

struct Options {
  std::string rules;
  std::vector<std::string> inputs;           // PATH, or NAME=PATH; of 'rules': the command's words
  std::vector<std::string> set;              // NAME=VALUE
  std::string output, max_shard_size = "5GB", config, target, probe, family;
  std::vector<std::string> rules_dirs, manifests;
  std::vector<std::string> sources;          // --source: what is planned with both rule files
  std::string format = "text";
  const CLI::App* app = nullptr;             // of 'completion': the whole command line
  int threads = 0, layers = 0;
  bool force = false, full = false, metadata = false, quiet = false;
  bool verify = false, update = false, reverse = false, check = false;
  double atol = 0, verify_atol = 1e-3;
  Format output_format() const { return format == "json" ? Format::json : Format::text; }
};

struct Command {
  const char* name;      // "" : the default command
  const char* summary;
  const char* examples;
  std::function<void(CLI::App&, Options&)> add_options;
  std::function<int(const Options&)> run;
};
const std::vector<Command>& commands();

void add_rule_options(CLI::App& app, Options& options);
void add_plan_choices(CLI::App& app, Options& options);  // the same without --rules
void add_rules_dir_option(CLI::App& app, Options& options);
void add_full_option(CLI::App& app, Options& options);
int convert(const Options& options);
int plan(const Options& options);
int inspect(const Options& options);
int lint(const Options& options);
int format(const Options& options);
int completion(const Options& options);
// The rule files, schemas and forward passes of those inputs that are folders; other inputs as they are.
std::vector<std::string> rule_files(const std::vector<std::string>& inputs);
int compare(const Options& options);
int infer(const Options& options);
int rules(const Options& options);
int verify(const Options& options);
int diff(const Options& options);
int test(const Options& options);
int explain(const Options& options);
// `remap --rules FILE` alone: is the file right, and what does it need?
int describe_rules(const Options& options);

// To standard error, in the chosen form: as JSON all of them, as text folded unless --full asks for all. A command prints less
// than 60 lines of text there, whatever is found; `other_lines` of them are for what it prints beside the findings.
void print(const remap::Diagnostics& diagnostics, const Options& options, size_t other_lines = 10);
void print(const remap::Diagnostic& diagnostic, const Options& options);

}  // namespace cli
