#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/command.h"
#include "remap/report.h"

namespace cli {
namespace {

void add_format(CLI::App& app, Options& options, const std::vector<std::string>& formats) {
  app.add_option("--format", options.format, "How the result is printed")->check(CLI::IsMember(formats))->capture_default_str();
}

void add_convert_options(CLI::App& app, Options& options) {
  app.add_option("CHECKPOINT", options.inputs, "The checkpoint, and further sources as NAME=PATH (codebook=encoder.pkl, gin=config.gin)");
  add_rule_options(app, options);
  app.add_option("-o,--output", options.output, "The folder to write; must not exist")->type_name("OUT");
  app.add_option("--max-shard-size", options.max_shard_size, "Start a new file beyond this size")->type_name("SIZE")->capture_default_str();
  app.add_flag("--force", options.force, "Replace an existing output folder, once the new one is whole");
  app.add_option("--threads", options.threads, "Threads that copy (default: one a core)")->type_name("N")->check(CLI::Range(1, 1024));
  app.add_flag("--verify", options.verify, "Then compute the forward pass in both layouts and compare (see remap verify)");
  app.add_flag("-q,--quiet", options.quiet, "Print nothing but errors");
  add_format(app, options, {"text", "json"});
}

void add_plan_options(CLI::App& app, Options& options) {
  app.add_option("CHECKPOINT", options.inputs, "A checkpoint or a manifest of one, and further sources as NAME=PATH")->required();
  add_rule_options(app, options);
  app.add_flag("--full", options.full, "A line for every tensor; else layers that differ only in their indices are folded");
  add_format(app, options, {"text", "json", "markdown"});
}

void add_inspect_options(CLI::App& app, Options& options) {
  app.add_option("FILE", options.inputs, "A checkpoint: a file, or a folder of one")->required()->expected(1);
  app.add_flag("--full", options.full, "A line for every tensor");
  app.add_flag("--metadata", options.metadata, "All of the metadata, nothing cut short");
  add_format(app, options, {"text", "json", "manifest", "folded"});
}

void add_compare_options(CLI::App& app, Options& options) {
  app.add_option("A B", options.inputs, "Two checkpoints of any format")->required()->expected(2);
  app.add_option("--atol", options.atol, "Largest absolute difference that counts as equal; 0 compares bits")->capture_default_str()->check(CLI::NonNegativeNumber);
  add_format(app, options, {"text", "json"});
}

void add_verify_options(CLI::App& app, Options& options) {
  app.add_option("CHECKPOINT", options.inputs, "The checkpoint that was converted, and further sources as NAME=PATH")->required();
  app.add_option("--target", options.target, "The converted folder")->type_name("OUT")->required();
  add_rule_options(app, options);
  app.add_option("--atol", options.verify_atol, "Largest absolute difference that counts as equal")->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--layers", options.layers, "Compare only the first N recorded layers")->type_name("N")->check(CLI::Range(1, 1 << 20));
  app.add_option("--input", options.probe, "Inputs to compute with (default: a deterministic probe)")->type_name("FILE.safetensors");
  app.add_flag("-q,--quiet", options.quiet, "Print nothing if the two agree");
  add_format(app, options, {"text", "json"});
}

void add_diff_options(CLI::App& app, Options& options) {
  app.add_option("OLD NEW", options.inputs, "Two rule files; either may be of a git revision: HEAD~1:rules/mine.yaml")->required()->expected(2);
  app.add_option("--source", options.sources, "A checkpoint or manifest to plan; may be repeated, and followed by --source NAME=PATH (default: those in tests/ beside the rules)")->take_all()->expected(1);
  add_plan_choices(app, options);
  add_format(app, options, {"text", "json", "markdown"});
}

void add_test_options(CLI::App& app, Options& options) {
  app.add_option("PATH", options.inputs, "Rule files, or folders of them (default: rules)");
  app.add_flag("--update", options.update, "Write the plans as they are now");
  add_format(app, options, {"text", "json"});
}

void add_explain_options(CLI::App& app, Options& options) {
  app.add_option("KEY CHECKPOINT", options.inputs, "A key of the source or of the target; a checkpoint or manifest, and further sources as NAME=PATH")->required()->expected(2, 64);
  add_rule_options(app, options);
  add_format(app, options, {"text", "json"});
}

void add_infer_options(CLI::App& app, Options& options) {
  app.add_option("SOURCE", options.inputs, "The checkpoint, or a manifest of it, and further sources as NAME=PATH")->required();
  app.add_option("--target", options.target, "The converted checkpoint, or a manifest of it")->type_name("OUT")->required();
  app.add_option("-o,--output", options.output, "The rule file to write (default: standard output)")->type_name("RULES.yaml");
  app.add_option("--family", options.family, "The family the rules are for (default: the name of the rule file)")->type_name("NAME");
  app.add_flag("--force", options.force, "Replace an existing rule file");
}

void add_lint_options(CLI::App& app, Options& options) {
  app.add_option("RULES", options.inputs, "Rule files, names of built-in ones, or folders of rule files and schemas")->required();
  app.add_option("--manifest", options.manifests, "Manifests or checkpoints to try the rules on (NAME=PATH for a further source), beside those committed in tests/")->type_name("PATH");
  app.add_flag("--reverse", options.reverse, "Note what running a conversion backwards would not restore");
  add_plan_choices(app, options);
  add_format(app, options, {"text", "json", "github", "sarif"});
}

void add_fmt_options(CLI::App& app, Options& options) {
  app.add_option("FILE", options.inputs, "Rule files and schemas, or folders of them; '-' reads standard input and writes standard output")->required();
  app.add_flag("--check", options.check,
               "Write nothing; name the files whose layout is another, and show what differs");
}

void add_completion_options(CLI::App& app, Options& options) {
  app.add_option("SHELL", options.inputs, "The shell the script is for")->required()->expected(1)->check(CLI::IsMember(std::vector<std::string>{"bash", "zsh", "fish"}));
}

void add_rules_options(CLI::App& app, Options& options) {
  app.add_option("show NAME", options.inputs, "Print the rule file NAME")->expected(0, 2);
  add_rules_dir_option(app, options);
  add_format(app, options, {"text", "json"});
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> rows = {
      {"", "Converts model checkpoints from the layout they were saved in to the layout people load, by rules that are data.",
       "Examples:\n"
       "  remap model.pt -o OUT                                     recognise the family and convert\n"
       "  remap --rules rules/FAMILY.yaml model.pt -o OUT --set head=mnli\n"
       "  remap --rules switch checkpoint_1200 gin=config.gin -o OUT --max-shard-size 2GB\n"
       "  remap --rules rules/switch.yaml                           check a rule file and say what it needs\n"
       "\n"
       "Exit codes: 0 done; 1 ran, and the answer is no; 2 could not; 130 interrupted.",
       add_convert_options, convert},
      {"plan", "Show what a conversion would do to every tensor, without reading tensor data",
       "Examples:\n"
       "  remap plan model.pt                      folded: layer.{0..11}\n"
       "  remap plan --rules switch manifest.json  from a manifest; no weights needed\n"
       "  remap plan model.pt --full --format json",
       add_plan_options, plan},
      {"inspect", "Show a checkpoint's tensors and metadata; nothing in it is executed",
       "Examples:\n"
       "  remap inspect model.pt\n"
       "  remap inspect checkpoint_1200 --format json > manifest.json    a manifest, for 'remap plan'\n"
       "  remap inspect model.pt --format folded > rules/tests/mine/base.json   a short one, to commit",
       add_inspect_options, inspect},
      {"compare", "Compare two checkpoints tensor by tensor, bit for bit or within a tolerance",
       "Examples:\n"
       "  remap compare OUT expected/model.safetensors\n"
       "  remap compare a.pt b.safetensors --atol 1e-6",
       add_compare_options, compare},
      {"verify", "Compute the forward pass in both layouts and compare, layer by layer; no Python needed",
       "Examples:\n"
       "  remap verify model.pt --target OUT\n"
       "  remap verify model.pt --target OUT --input probe.safetensors --format json\n"
       "\n"
       "Exit codes: 0 they agree; 1 they do not; 2 could not.",
       add_verify_options, verify},
      {"diff", "Show what a change of rules does to the tensors and to config.json",
       "Examples:\n"
       "  remap diff HEAD:rules/mine.yaml rules/mine.yaml                        with the manifests in rules/tests/mine/\n"
       "  remap diff old.yaml new.yaml --source manifest.json --format markdown   for a pull request\n"
       "\n"
       "Exit codes: 0 no change; 1 there are changes; 2 could not.",
       add_diff_options, diff},
      {"test", "Plan the manifests that are committed beside rule files, and compare with the plans expected",
       "Examples:\n"
       "  remap test                       every rule file in rules/\n"
       "  remap test rules/mine.yaml --update\n"
       "\n"
       "rules/tests/mine/base.json is a manifest (remap inspect --format folded), base.plan what it gives; base+set.json holds\n"
       "choices {\"head\": \"mnli\"}, base+config.json what --config says, base+NAME.json a further source.\n"
       "Exit codes: 0 as expected; 1 not; 2 could not.",
       add_test_options, test},
      {"explain", "Say through which rule a key goes and why it has its size; or which rules came near, and where they failed",
       "Examples:\n"
       "  remap explain encoder.layer.0.output.dense.weight model.pt\n"
       "  remap explain model.encoder.layers.0.fc2.weight manifest.json --rules rules/mine.yaml",
       add_explain_options, explain},
      {"infer", "Propose a rule file from a checkpoint and its converted form, or from their manifests",
       "Examples:\n"
       "  remap infer model.pt --target OUT -o rules/mine.yaml        by the values: renamed, cast, permuted, cut, joined\n"
       "  remap infer a.tsv --target b.tsv                            by names and shapes; what is not certain is marked\n"
       "\n"
       "In the file, '# check: …' stands above a rule that is not certain, '# open: …' for a tensor that has none.\n"
       "\n"
       "Exit codes: 0 the plan of the proposal is the target; 1 some tensors are open; 2 could not.",
       add_infer_options, infer},
      {"lint", "Find mistakes in rule files, and what their author probably did not mean",
       "Examples:\n"
       "  remap lint rules/switch.yaml\n"
       "  remap lint rules schemas --format github              annotations on a pull request\n"
       "  remap lint my.yaml --manifest a.json b.tsv            also: what no manifest has\n"
       "\n"
       "Manifests in tests/RULES/ beside a rule file are tried too (see remap test).\n"
       "What 'remap plan' refuses is an error here, too.\n"
       "Exit codes: 0 nothing found (notes do not count); 1 there are findings; 2 could not.",
       add_lint_options, lint},
      {"fmt", "Lay out rule files and schemas in the one canonical way, comments kept",
       "Examples:\n"
       "  remap fmt rules/switch.yaml       in place\n"
       "  remap fmt rules schemas --check   shows what is not laid out so\n"
       "  remap fmt - < a.yaml > b.yaml\n"
       "\n"
       "Exit codes: 0 done; 1 with --check: some are laid out in another way; 2 could not.",
       add_fmt_options, format},
      {"rules", "List the rule files that are known, or show one",
       "Examples:\n"
       "  remap rules                 families, versions, variants\n"
       "  remap rules show switch     the file itself, to copy and change",
       add_rules_options, rules},
      {"completion", "Print a script that completes remap's command line in a shell",
       "Examples:\n"
       "  remap completion bash > ~/.local/share/bash-completion/completions/remap\n"
       "  remap completion zsh > ~/.zfunc/_remap                  with ~/.zfunc in $fpath\n"
       "  remap completion fish > ~/.config/fish/completions/remap.fish",
       add_completion_options, completion},
  };
  return rows;
}

void add_rule_options(CLI::App& app, Options& options) {
  app.add_option("--rules", options.rules, "A rule file, or the name of a built-in one (default: recognise the family)")->type_name("RULES");
  add_plan_choices(app, options);
}

void add_plan_choices(CLI::App& app, Options& options) {
  add_rules_dir_option(app, options);
  app.add_option("--config", options.config, "Fields of config.json that the checkpoint does not record; what contradicts it is refused")->type_name("FILE");
  app.add_option("--set", options.set, "Choose a variant, such as head=mnli or dtype=keep")->type_name("NAME=VALUE")->take_all()->expected(1);
}

void add_rules_dir_option(CLI::App& app, Options& options) {
  app.add_option("--rules-dir", options.rules_dirs, "A folder of further rule files (also: REMAP_RULES_DIR, separated by ':')")->type_name("DIR")->take_all()->expected(1);
}

void print(const remap::Diagnostic& diagnostic, Format format) {
  if (format == Format::json) fmt::print(stderr, "{}\n", remap::render_json(diagnostic).dump());
  else fmt::print(stderr, "{}", remap::render_text(diagnostic));
}

void print(const remap::Diagnostics& diagnostics, Format format) {
  for (const auto& d : diagnostics.items()) print(d, format);
}

namespace {

int run_command(const Command& command, const Options& options) {
  try {
    return command.run(options);
  } catch (const remap::Error& e) {
    if (e.diagnostic().id == "cancelled") {
      fmt::print(stderr, "interrupted; nothing was written\n");
      return kInterrupted;
    }
    print(e.diagnostic(), options.output_format());
    return kFailed;
  } catch (const std::bad_alloc&) {
    print({remap::Severity::error, "out-of-memory", {}, "not enough memory"}, options.output_format());
    return kFailed;
  } catch (const std::exception& e) {
    print({remap::Severity::error, "internal", {}, fmt::format("this should not happen: {}", e.what()), {}, "please report it, with the command"}, options.output_format());
    return kFailed;
  }
}

}  // namespace
}  // namespace cli

int main(int argc, char** argv) {
  CLI::App app;
  app.name("remap");
  app.set_version_flag("--version", std::string("remap ") + REMAP_VERSION);
  app.set_help_flag("-h,--help", "Show this help");
  cli::Options options;
  options.app = &app;
  const auto& rows = cli::commands();
  app.description(rows[0].summary);
  app.footer(rows[0].examples);
  rows[0].add_options(app, options);
  std::vector<CLI::App*> apps = {&app};
  for (size_t i = 1; i < rows.size(); ++i) {
    CLI::App* command = app.add_subcommand(rows[i].name, rows[i].summary);
    command->footer(rows[i].examples);
    rows[i].add_options(*command, options);
    apps.push_back(command);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const bool asked = e.get_exit_code() == 0;  // --help, --version
    const int code = app.exit(e);
    return asked ? code : cli::kFailed;
  }
  for (size_t i = 1; i < rows.size(); ++i)
    if (apps[i]->parsed()) return cli::run_command(rows[i], options);
  return cli::run_command(rows[0], options);
}
