// What the commands share. A command is one row: name, summary, examples, arguments, options, function. Reading the
// command line, --help and completion are made from the rows (cli/command_line.h).
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "remap/diagnostic.h"

namespace cli {

// Exit codes: done, nothing found | ran, and the answer is no | could not | interrupted.
enum Exit { kDone = 0, kFound = 1, kFailed = 2, kInterrupted = 130 };

enum class Format { text, json };

struct Options {
  std::string rules;
  std::vector<std::string> inputs;  // PATH, or NAME=PATH; of 'rules': the command's words
  std::vector<std::string> set;     // NAME=VALUE
  std::string output, max_shard_size = "5GB", shard, config, target, probe, family, schema;
  std::vector<std::string> rules_dirs, manifests;
  std::vector<std::string> limits;   // NAME=VALUE
  std::vector<std::string> sources;  // --source: what is planned with both rule files
  std::string format = "text";
  int threads = 0, layers = 0;
  bool force = false, full = false, metadata = false, quiet = false;
  bool clone = false, verify = false, update = false, reverse = false, check = false;
  bool resume = false, no_sync = false, provenance = false, checksums = false;
  bool fix = false, show_fix = false;
  bool help = false, version = false;
  double atol = 0, verify_atol = 1e-3;
  const struct Command* command = nullptr;  // that runs
  Format output_format() const { return format == "json" ? Format::json : Format::text; }
};

// What a value is: how it is checked before a command starts, and what a shell offers for it.
enum class Kind {
  text,
  word,        // one of `words`
  assignment,  // NAME=VALUE
  size,        // "5GB"
  source,      // a checkpoint or manifest that is there, or NAME=PATH of one
  path,        // a file or folder that is there
  folder,      // a folder that is there
  rules,       // a rule file, or the name of one that is known; the command looks for it
  output,      // a file or folder that need not be there
};

// Where a value goes: a vector takes the option more than once, a bool has no value.
using Member = std::variant<bool Options::*, std::string Options::*, std::vector<std::string> Options::*,
                            int Options::*, double Options::*>;

struct Option {
  const char* names;  // "-o,--output"
  const char* value;  // "OUT", as --help calls it
  const char* help;
  Member member;
  Kind kind = Kind::text;
  std::vector<std::string> words = {};
  bool required = false;
  int most = 0;       // of an int: it is 1 to this
  bool many = false;  // takes every word up to the next option
};

struct Argument {
  const char* name;  // "CHECKPOINT"; lower case: this very word
  Kind kind;
};

// What stands on the command line without an option's name.
struct Arguments {
  std::vector<Argument> each;
  enum Count { all_or_none, all, all_and_more, any } count = all;  // and more: the last one may be repeated
  const char* help = "";
  std::vector<std::string> words = {};
  // Where there may be none: the options that mean something then, too (empty: all do).
  std::vector<std::string> without = {};
  const char* alone = "";  // an option with which there is only the first
};

struct Command {
  const char* name;  // "" : the default command
  const char* summary;
  const char* examples;
  Arguments arguments;
  std::vector<Option> options;
  std::function<int(const Options&)> run;
};
const std::vector<Command>& commands();

int convert(const Options& options);
int doctor(const Options& options);
int plan(const Options& options);
int inspect(const Options& options);
int lint(const Options& options);
int format(const Options& options);
int completion(const Options& options);
// The rule files, schemas and forward passes of those inputs that are folders; other inputs as they are.
std::vector<std::string> rule_files(const std::vector<std::string>& inputs);
int compare(const Options& options);
int finish(const Options& options);
int infer(const Options& options);
int rules(const Options& options);
int verify(const Options& options);
int diff(const Options& options);
int test(const Options& options);
int explain(const Options& options);
// `remap --rules FILE` alone: is the file right, and what does it need?
int describe_rules(const Options& options);

// To standard error, in the chosen form: as JSON all of them, as text folded unless --full asks for all. A command
// prints less than 60 lines of text there, whatever is found; `other_lines` of them are for what it prints beside the
// findings.
void print(const remap::Diagnostics& diagnostics, const Options& options, size_t other_lines = 10);
void print(const remap::Diagnostic& diagnostic, const Options& options);

}  // namespace cli
