#include <algorithm>
#include <csignal>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/guard.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "remap/report.h"

namespace cli {

namespace {

using Rows = std::vector<Option>;

const Option kHelp = {"-h,--help", "", "Show this help", &Options::help};

Option format_option(std::vector<std::string> words) {
  return {"--format", "", "How the result is printed", &Options::format, Kind::word, std::move(words)};
}

Option atol(double Options::*member, const char* help) { return {"--atol", "X", help, member}; }

Option full(const char* help = "Show every finding; else those of one kind are folded") {
  return {"--full", "", help, &Options::full};
}
Option quiet(const char* help) { return {"-q,--quiet", "", help, &Options::quiet}; }

const Option kLimit = {"--limit", "NAME=VALUE",
                       "Change a bound that what is read is held to, such as max_chunk_bytes=4GiB (see the manual)",
                       &Options::limits, Kind::assignment};
const Option kRulesDir = {"--rules-dir", "DIR",
                          "A folder of further rule files (also: REMAP_RULES_DIR, separated by ':')",
                          &Options::rules_dirs, Kind::folder};

Rows joined(const std::vector<Rows>& parts) {
  Rows all;
  for (const Rows& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// What is chosen beside the rules.
Rows plan_choices() {
  return {
      kRulesDir,
      kLimit,
      {"--config", "FILE", "Fields of config.json that the checkpoint does not record; what contradicts it is refused",
       &Options::config, Kind::path},
      {"--set", "NAME=VALUE", "Choose a variant, such as head=mnli or dtype=keep", &Options::set, Kind::assignment}};
}

Rows rule_options() {
  return joined({{{"--rules", "RULES", "A rule file, or the name of a built-in one (default: recognise the family)",
                   &Options::rules, Kind::rules}},
                 plan_choices()});
}

Rows convert_options() {
  return joined(
      {{kHelp, {"--version", "", "Show the version", &Options::version}},
       rule_options(),
       {{"-o,--output", "OUT", "The folder to write; must not exist", &Options::output, Kind::output},
        {"--max-shard-size", "SIZE", "Start a new file beyond this size", &Options::max_shard_size, Kind::size},
        {"--force", "", "Replace an existing output folder, once the new one is whole", &Options::force},
        {"--shard", "K/N", "Write only the K-th of N parts; 'remap finish OUT' joins them", &Options::shard},
        {"--resume", "", "Go on with what a run left that was killed; if this one is interrupted, leave it likewise",
         &Options::resume},
        {"--provenance", "", "Also write remap-provenance.json: SHA-256 of sources, rules and outputs",
         &Options::provenance},
        {"--no-sync", "", "Do not wait until what is written is on the disk", &Options::no_sync},
        {"--clone", "", "Share data with the checkpoint where the file system can; pads the files' headers for it",
         &Options::clone},
        {"--threads",
         "N",
         "Threads that copy, 1 to 1024 (default: one a core)",
         &Options::threads,
         Kind::text,
         {},
         false,
         1024},
        {"--verify", "", "Then compute the forward pass in both layouts and compare (see remap verify)",
         &Options::verify},
        full(),
        quiet("Print nothing but errors"),
        format_option({"text", "json"})}});
}

Rows planning_options() {
  return joined({{kHelp},
                 rule_options(),
                 {full("A line for every tensor and all findings; else what differs only in layers' indices and the "
                       "like is folded"),
                  format_option({"text", "json", "markdown", "html"})}});
}

Rows inspect_options() {
  return {kHelp,
          full("A line for every tensor"),
          {"--metadata", "", "All of the metadata, nothing cut short", &Options::metadata},
          kLimit,
          format_option({"text", "json", "manifest", "folded", "html"})};
}

Rows compare_options() {
  return {kHelp,
          atol(&Options::atol, "Largest absolute difference that counts as equal; 0 compares bits"),
          {"--checksums", "", "Check every file of the folder A against its remap-provenance.json; there is no B",
           &Options::checksums},
          kLimit,
          format_option({"text", "json", "html"})};
}

Rows finish_options() {
  return {kHelp,
          kLimit,
          {"--no-sync", "", "Do not wait until what is written is on the disk", &Options::no_sync},
          quiet("Print nothing but errors"),
          format_option({"text", "json"})};
}

Rows verify_options() {
  return joined(
      {{kHelp, {"--target", "OUT", "The converted folder", &Options::target, Kind::path, {}, true}},
       rule_options(),
       {atol(&Options::verify_atol, "Largest absolute difference that counts as equal"),
        {"--layers", "N", "Compare only the first N recorded layers", &Options::layers, Kind::text, {}, false, 1 << 20},
        {"--input", "FILE.safetensors", "Inputs to compute with (default: a deterministic probe)", &Options::probe,
         Kind::path},
        full(),
        quiet("Print nothing if the two agree"),
        format_option({"text", "json", "html"})}});
}

Rows diff_options() {
  Option source = {
      "--source", "PATH...",
      "Checkpoints or manifests to plan, each followed by its further sources as NAME=PATH (default: those in "
      "tests/ beside the rules)",
      &Options::sources, Kind::source};
  source.many = true;
  return joined({{kHelp, source}, plan_choices(), {full(), format_option({"text", "json", "markdown", "html"})}});
}

Rows test_options() {
  return {kHelp,
          {"--update", "", "Write the plans as they are now", &Options::update},
          full(),
          format_option({"text", "json"})};
}

Rows doctor_options() { return joined({{kHelp}, rule_options(), {full()}}); }

Rows explain_options() { return joined({{kHelp}, rule_options(), {full(), format_option({"text", "json"})}}); }

Rows infer_options() {
  return {kHelp,
          {"--target", "OUT", "The converted checkpoint, or a manifest of it", &Options::target, Kind::path, {}, true},
          {"-o,--output", "RULES.yaml", "The rule file to write (default: standard output)", &Options::output,
           Kind::output},
          {"--family", "NAME", "The family the rules are for (default: the name of the rule file)", &Options::family},
          {"--schema", "FILE", "Also write a first target schema: the tensors of OUT by the fields of its config.json",
           &Options::schema},
          {"--force", "", "Replace an existing rule file", &Options::force},
          kLimit,
          full()};
}

Rows lint_options() {
  Option manifest = {"--manifest", "PATH...",
                     "Manifests or checkpoints to try the rules on (NAME=PATH for a further source), "
                     "beside those committed in tests/",
                     &Options::manifests, Kind::source};
  manifest.many = true;
  return joined({{kHelp,
                  manifest,
                  {"--reverse", "", "Note what running a conversion backwards would not restore", &Options::reverse},
                  {"--fix", "", "Mend what is certain, in place: the rules say the same afterwards", &Options::fix},
                  {"--diff", "", "Show what --fix would do as a patch, and change nothing", &Options::show_fix}},
                 plan_choices(),
                 {full(), format_option({"text", "json", "github", "sarif"})}});
}

Rows fmt_options() {
  return {
      kHelp,
      {"--check", "", "Write nothing; name the files whose layout is another, and show what differs", &Options::check},
      full()};
}

Rows rules_options() { return {kHelp, kRulesDir, format_option({"text", "json"})}; }

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> rows = {
      {"",
       "Converts model checkpoints from the layout they were saved in to the layout people load, by rules that are "
       "data.",
       "Examples:\n"
       "  remap model.pt -o OUT                                     recognise the family and convert\n"
       "  remap --rules rules/FAMILY.yaml model.pt -o OUT --set head=mnli\n"
       "  remap --rules switch checkpoint_1200 gin=config.gin -o OUT --max-shard-size 2GB\n"
       "  remap --rules rules/switch.yaml                           check a rule file and say what it needs\n"
       "\n"
       "Exit codes: 0 done; 1 ran, and the answer is no; 2 could not; 130 interrupted.",
       {{{"CHECKPOINT", Kind::source}},
        Arguments::any,
        "The checkpoint, and further sources as NAME=PATH (codebook=encoder.pkl, gin=config.gin)",
        {},
        {"--rules", "--rules-dir", "--limit", "--full", "--quiet", "--format"}},
       convert_options(),
       convert},
      {"plan",
       "Show what a conversion would do to every tensor, without reading tensor data",
       "Examples:\n"
       "  remap plan model.pt                      folded: layer.{0..11}\n"
       "  remap plan --rules switch manifest.json  from a manifest; no weights needed\n"
       "  remap plan model.pt --full --format json",
       {{{"CHECKPOINT", Kind::source}},
        Arguments::all_and_more,
        "A checkpoint or a manifest of one, and further sources as NAME=PATH"},
       planning_options(),
       plan},
      {"inspect",
       "Show a checkpoint's tensors and metadata; nothing in it is executed",
       "Examples:\n"
       "  remap inspect model.pt\n"
       "  remap inspect checkpoint_1200 --format json > manifest.json    a manifest, for 'remap plan'\n"
       "  remap inspect model.pt --format folded > rules/tests/mine/base.json   a short one, to commit",
       {{{"FILE", Kind::path}}, Arguments::all, "A checkpoint: a file, or a folder of one"},
       inspect_options(),
       inspect},
      {"compare",
       "Compare two checkpoints tensor by tensor, bit for bit or within a tolerance",
       "Examples:\n"
       "  remap compare OUT expected/model.safetensors\n"
       "  remap compare a.pt b.safetensors --atol 1e-6\n"
       "  remap compare --checksums OUT       is the folder as it was written with --provenance?",
       {{{"A", Kind::path}, {"B", Kind::path}}, Arguments::all, "Two checkpoints of any format", {}, {}, "--checksums"},
       compare_options(),
       compare},
      {"verify",
       "Compute the forward pass in both layouts and compare, layer by layer; no Python needed",
       "Examples:\n"
       "  remap verify model.pt --target OUT\n"
       "  remap verify model.pt --target OUT --input probe.safetensors --format json\n"
       "\n"
       "Exit codes: 0 they agree; 1 they do not; 2 could not.",
       {{{"CHECKPOINT", Kind::source}},
        Arguments::all_and_more,
        "The checkpoint that was converted, and further sources as NAME=PATH"},
       verify_options(),
       verify},
      {"diff",
       "Show what a change of rules does to the tensors and to config.json",
       "Examples:\n"
       "  remap diff HEAD:rules/mine.yaml rules/mine.yaml                        with the manifests in "
       "rules/tests/mine/\n"
       "  remap diff old.yaml new.yaml --source manifest.json --format markdown   for a pull request\n"
       "\n"
       "Exit codes: 0 no change; 1 there are changes; 2 could not.",
       {{{"OLD", Kind::rules}, {"NEW", Kind::rules}},
        Arguments::all,
        "Two rule files; either may be of a git revision: HEAD~1:rules/mine.yaml"},
       diff_options(),
       diff},
      {"test",
       "Plan the manifests that are committed beside rule files, and compare with the plans expected",
       "Examples:\n"
       "  remap test                       every rule file in rules/\n"
       "  remap test rules/mine.yaml --update\n"
       "\n"
       "rules/tests/mine/base.json is a manifest (remap inspect --format folded), base.plan what it gives; "
       "base+set.json holds\n"
       "choices {\"head\": \"mnli\"}, base+config.json what --config says, base+NAME.json a further source.\n"
       "Exit codes: 0 as expected; 1 not; 2 could not.",
       {{{"PATH", Kind::path}}, Arguments::any, "Rule files, or folders of them (default: rules)"},
       test_options(),
       test},
      {"explain",
       "Say through which rule a key goes and why it has its size; or which rules came near, and where they failed",
       "Examples:\n"
       "  remap explain encoder.layer.0.output.dense.weight model.pt\n"
       "  remap explain model.encoder.layers.0.fc2.weight manifest.json --rules rules/mine.yaml\n"
       "  remap explain plan-unmatched-key          what error[plan-unmatched-key] means, and what to do",
       {{{"KEY", Kind::text}, {"CHECKPOINT", Kind::source}},
        Arguments::any,
        "A key of the source or of the target; a checkpoint or manifest, and further sources as NAME=PATH. Or the id "
        "of "
        "a diagnostic alone"},
       explain_options(),
       explain},
      {"doctor",
       "Say what a file is, what can be done with it, and what the next command is",
       "Examples:\n"
       "  remap doctor model.pt\n"
       "  remap doctor checkpoints/       a folder\n"
       "\n"
       "Exit codes: 0 it can be converted; 1 not as it is; 2 could not tell.",
       {{{"CHECKPOINT", Kind::source}},
        Arguments::all_and_more,
        "A checkpoint or a manifest of one, and further sources as NAME=PATH"},
       doctor_options(),
       doctor},
      {"infer",
       "Propose a rule file from a checkpoint and its converted form, or from their manifests",
       "Examples:\n"
       "  remap infer model.pt --target OUT -o rules/mine.yaml        by the values: renamed, cast, permuted, cut, "
       "joined\n"
       "  remap infer a.tsv --target b.tsv                            by names and shapes; what is not certain is "
       "marked\n"
       "\n"
       "In the file, '# check: …' stands above a rule that is not certain, '# open: …' for a tensor that has none.\n"
       "--schema also writes the target's schema, which lists what the target class demands.\n"
       "\n"
       "Exit codes: 0 the plan of the proposal is the target; 1 some tensors are open; 2 could not.",
       {{{"SOURCE", Kind::source}},
        Arguments::all_and_more,
        "The checkpoint, or a manifest of it, and further sources as NAME=PATH"},
       infer_options(),
       infer},
      {"lint",
       "Find mistakes in rule files, and what their author probably did not mean",
       "Examples:\n"
       "  remap lint rules/switch.yaml\n"
       "  remap lint rules schemas --format github              annotations on a pull request\n"
       "  remap lint my.yaml --manifest a.json b.tsv            also: what no manifest has\n"
       "  remap lint rules --diff                               what --fix would mend\n"
       "\n"
       "Manifests in tests/RULES/ beside a rule file are tried too (see remap test).\n"
       "What 'remap plan' refuses is an error here, too.\n"
       "Exit codes: 0 nothing found (notes do not count); 1 there are findings; 2 could not.",
       {{{"RULES", Kind::rules}},
        Arguments::all_and_more,
        "Rule files, names of built-in ones, or folders of rule files and schemas"},
       lint_options(),
       lint},
      {"fmt",
       "Lay out rule files and schemas in the one canonical way, comments kept",
       "Examples:\n"
       "  remap fmt rules/switch.yaml       in place\n"
       "  remap fmt rules schemas --check   shows what is not laid out so\n"
       "  remap fmt - < a.yaml > b.yaml\n"
       "\n"
       "Exit codes: 0 done; 1 with --check: some are laid out in another way; 2 could not.",
       {{{"FILE", Kind::path}},
        Arguments::all_and_more,
        "Rule files and schemas, or folders of them; '-' reads standard input and writes standard output"},
       fmt_options(),
       format},
      {"rules",
       "List the rule files that are known, or show one",
       "Examples:\n"
       "  remap rules                 families, versions, variants\n"
       "  remap rules show switch     the file itself, to copy and change",
       {{{"show", Kind::text}, {"NAME", Kind::rules}}, Arguments::all_or_none, "Print the rule file NAME"},
       rules_options(),
       rules},
      {"finish",
       "Join what several runs wrote with --shard K/N, once all of it is there",
       "Example:\n"
       "  for k in 1 2 3; do remap model.pt -o OUT --shard $k/3; done; remap finish OUT",
       {{{"OUT", Kind::output}}, Arguments::all, "The output folder that the runs were given"},
       finish_options(),
       finish},
      {"completion",
       "Print a script that completes remap's command line in a shell",
       "Examples:\n"
       "  remap completion bash > ~/.local/share/bash-completion/completions/remap\n"
       "  remap completion zsh > ~/.zfunc/_remap                  with ~/.zfunc in $fpath\n"
       "  remap completion fish > ~/.config/fish/completions/remap.fish",
       {{{"SHELL", Kind::word}},
        Arguments::all,
        "The shell the script is for: bash, zsh or fish",
        {"bash", "zsh", "fish"}},
       {kHelp},
       completion},
  };
  return rows;
}

namespace {

constexpr auto kReplace = remap::Json::error_handler_t::replace;  // file names can be any bytes

// How the command that runs shows what is left out.
std::string way_to_all(const Options& options) {
  const auto has = [&](const char* name) {
    return options.command == nullptr || find_option(*options.command, name) != nullptr;
  };
  if (!has("--format")) return "--full shows all";
  return has("--full") ? "--full shows all, --format json has them" : "--format json has them";
}

}  // namespace

void print(const remap::Diagnostics& all, const Options& options, size_t other_lines) {
  Progress::make_room();
  remap::Diagnostics diagnostics;
  for (const auto& d : all.items())
    if (!options.quiet || d.severity == remap::Severity::error) diagnostics.add(d);
  if (options.output_format() == Format::json) {
    for (const auto& d : diagnostics.items())
      fmt::print(stderr, "{}\n", remap::render_json(d).dump(-1, ' ', false, kReplace));
    return;
  }
  constexpr size_t kMaxLines = 59, kLeast = 4;
  static size_t printed = 0;
  const size_t left = kMaxLines - std::min(kMaxLines, printed + other_lines);
  const std::string text = remap::render_text(diagnostics, {options.full, std::max(kLeast, left), way_to_all(options)});
  printed += static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  fmt::print(stderr, "{}", takes_colours(stderr) ? painted(text, Paint::findings) : text);
}

void print(const remap::Diagnostic& diagnostic, const Options& options) {
  remap::Diagnostics one;
  one.add(diagnostic);
  print(one, options, 0);
}

}  // namespace cli

// A file that is opened while a standard stream is closed would take its place, and be written to.
static void keep_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream)
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);  // the lowest number that is free: this one
}

int main(int argc, char** argv) {
  keep_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is an error of write(), not the end of the program
  cli::Options options;
  return cli::guarded(
      [&] {
        const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
        options.format = cli::format_asked_for(words) == cli::Format::json ? "json" : "text";
        options = cli::parse_command_line(words);
        const cli::Command& command = *options.command;
        if (options.help) return fmt::print("{}", cli::help_text(command)), static_cast<int>(cli::kDone);
        if (options.version) return fmt::print("remap {}\n", REMAP_VERSION), static_cast<int>(cli::kDone);
        return command.run(options);
      },
      options);
}
