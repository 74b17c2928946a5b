// Completion scripts for shells, made from the command line's own description: what --help shows is what is completed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command_line.h"

namespace cli {
namespace {

// What stands after an option, or at a place of its own.
struct Values {
  enum class Kind { nothing, words, files, folders, rules } kind = Kind::nothing;  // rules: their names, or files
  std::vector<std::string> words;
};

struct Completed {
  std::vector<std::string> names;  // "--output", "-o"
  std::string description;
  bool takes_value = false;
  Values values;
};

struct Part {  // the default command, or another
  std::string name, description;
  std::vector<Completed> options;
  Values arguments;
};

Values values_of(Kind kind, const std::vector<std::string>& words) {
  switch (kind) {
    case Kind::word: return {Values::Kind::words, words};
    case Kind::rules: return {Values::Kind::rules, words};
    case Kind::folder: return {Values::Kind::folders, {}};
    case Kind::source:
    case Kind::path:
    case Kind::output: return {Values::Kind::files, {}};
    case Kind::text:
    case Kind::assignment:
    case Kind::size: return {};
  }
  return {};
}

Part part_of(const Command& command) {
  Part part{command.name, command.summary, {}, {}};
  for (const Option& option : command.options)
    part.options.push_back({names_of(option), option.help, takes_value(option), values_of(option.kind, option.words)});
  // The last argument stands for all: a word before it is offered beside.
  const Arguments& arguments = command.arguments;
  std::vector<std::string> words = arguments.words;
  if (arguments.each.front().kind == Kind::text &&
      std::islower(static_cast<unsigned char>(*arguments.each.front().name)))
    words = {arguments.each.front().name};
  part.arguments = values_of(arguments.each.back().kind, words);
  return part;
}

std::vector<Part> parts() {
  std::vector<Part> all;
  for (const Command& command : commands()) all.push_back(part_of(command));
  return all;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

constexpr const char* kRuleNames = "remap rules 2>/dev/null | sed -n 's/^\\([A-Za-z0-9_.-]*\\): .*/\\1/p'";

std::vector<std::string> command_names(const std::vector<Part>& parts) {
  std::vector<std::string> names;
  for (size_t i = 1; i < parts.size(); ++i) names.push_back(parts[i].name);
  return names;
}

// ------------------------------------------------------------ bash

// The call that completes a value.
std::string bash_call(const Values& values) {
  const std::string words = fmt::format("{}", fmt::join(values.words, " "));
  switch (values.kind) {
    case Values::Kind::nothing: return ":";
    case Values::Kind::words: return fmt::format("_remap_reply -W '{}'", words);
    case Values::Kind::files: return "_remap_reply -f";
    case Values::Kind::folders: return "_remap_reply -d";
    case Values::Kind::rules:
      return fmt::format("_remap_reply -f -W \"{}$(_remap_rule_names)\"", words.empty() ? "" : words + " ");
  }
  return ":";
}

std::string bash(const std::vector<Part>& parts) {
  std::string options, values, arguments;
  for (const Part& part : parts) {
    std::vector<std::string> names;
    for (const Completed& option : part.options) {
      names.insert(names.end(), option.names.begin(), option.names.end());
      if (!option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const auto& name : option.names) patterns.push_back(part.name + ":" + name);
      values += fmt::format("    {}) {}; return ;;\n", fmt::join(patterns, "|"), bash_call(option.values));
    }
    options += fmt::format("    {}) options='{}' ;;\n", part.name.empty() ? "''" : part.name, fmt::join(names, " "));
    if (!part.name.empty()) arguments += fmt::format("    {}) {} ;;\n", part.name, bash_call(part.arguments));
  }
  const auto names = command_names(parts);
  return fmt::format(
      "# Completion of remap for bash: source this, or put it into ~/.local/share/bash-completion/completions/remap\n"
      "_remap_rule_names() {{ {}; }}\n"
      "_remap_reply() {{ mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\"); }}\n"
      "_remap() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command='' options='' i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case ${{COMP_WORDS[i]}} in {}) command=${{COMP_WORDS[i]}}; break ;; esac\n"
      "  done\n"
      "  if [[ $cur == '=' ]]; then cur=''\n"
      "  elif [[ $prev == '=' ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi\n"
      "  case $command in\n{}  esac\n"
      "  case $command:$prev in\n{}  esac\n"
      "  if [[ $cur == -* ]]; then _remap_reply -W \"$options\"; return; fi\n"
      "  case $command in\n"
      "    '') _remap_reply -f -W '{}' ;;\n{}  esac\n"
      "}}\n"
      "complete -o filenames -F _remap remap\n",
      kRuleNames, fmt::join(names, "|"), options, values, fmt::join(names, " "), arguments);
}

// ------------------------------------------------------------ zsh

std::string zsh_quoted(const std::string& text) { return "'" + replaced(text, "'", "'\\''") + "'"; }

std::string zsh_action(const Values& values) {
  switch (values.kind) {
    case Values::Kind::nothing: return " ";
    case Values::Kind::words: return fmt::format("({})", fmt::join(values.words, " "));
    case Values::Kind::files: return "_files";
    case Values::Kind::folders: return "_files -/";
    case Values::Kind::rules: return values.words.empty() ? "_remap_rules" : "_remap_show";
  }
  return " ";
}

std::string zsh_specs(const Part& part) {
  std::string text;
  for (const Completed& option : part.options) {
    std::string description = option.description;
    for (const char* special : {"\\", "[", "]", ":"})
      description = replaced(description, special, std::string("\\") + special);
    for (const auto& name : option.names)
      text += " \\\n        " + zsh_quoted("*" + name + "[" + description + "]" +
                                           (option.takes_value ? ":value:" + zsh_action(option.values) : ""));
  }
  return text + " \\\n        " +
         zsh_quoted("*: :" + (part.name.empty() ? std::string("_remap_first") : zsh_action(part.arguments)));
}

std::string zsh(const std::vector<Part>& parts) {
  std::string commands, cases;
  for (size_t i = 1; i < parts.size(); ++i)
    commands += " \\\n    " + zsh_quoted(parts[i].name + ":" + replaced(parts[i].description, ":", "\\:"));
  for (const Part& part : parts)
    cases += fmt::format("    {})\n      _arguments -s{} ;;\n", part.name.empty() ? "''" : part.name, zsh_specs(part));
  return fmt::format(
      "#compdef remap\n"
      "# Completion of remap for zsh: put this into a folder of $fpath as _remap\n"
      "_remap_names() {{ local -a names; names=(${{(f)\"$({})\"}}); compadd -a names; }}\n"
      "_remap_rules() {{ _alternative 'rules:rule file:_remap_names' 'files:file:_files'; }}\n"
      "_remap_show() {{ compadd show; _remap_names; }}\n"
      "_remap_commands() {{\n  local -a commands\n  commands=({})\n  _describe command commands\n}}\n"
      "_remap_first() {{ _alternative 'commands:command:_remap_commands' 'files:checkpoint:_files'; }}\n"
      "_remap() {{\n"
      "  local command='' word\n"
      "  for word in ${{words[2,CURRENT-1]}}; do\n"
      "    case $word in ({}) command=$word; break ;; esac\n"
      "  done\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _remap \"$@\"; else compdef _remap remap; fi\n",
      kRuleNames, commands, fmt::join(command_names(parts), "|"), cases);
}

// ------------------------------------------------------------ fish

std::string fish_quoted(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

// -f: no files; -r: a value is needed; -a: what it can be.
std::string fish_values(const Values& values) {
  switch (values.kind) {
    case Values::Kind::nothing: return " -x";
    case Values::Kind::words: return " -x -a " + fish_quoted(fmt::format("{}", fmt::join(values.words, " ")));
    case Values::Kind::files: return " -r -F";
    case Values::Kind::folders: return " -x -a '(__fish_complete_directories)'";
    case Values::Kind::rules: return " -r -F -a '(__remap_rule_names)'";
  }
  return "";
}

std::string fish(const std::vector<Part>& parts) {
  const auto names = command_names(parts);
  std::string text = fmt::format(
      "# Completion of remap for fish: put this into ~/.config/fish/completions/remap.fish\n"
      "function __remap_rule_names\n  {}\nend\n",
      kRuleNames);
  const std::string none = fmt::format("not __fish_seen_subcommand_from {}", fmt::join(names, " "));
  for (const Part& part : parts) {
    const std::string condition = fish_quoted(part.name.empty() ? none : "__fish_seen_subcommand_from " + part.name);
    if (!part.name.empty())
      text += fmt::format("complete -c remap -n {} -a {} -d {}\n", fish_quoted(none), part.name,
                          fish_quoted(part.description));
    for (const Completed& option : part.options) {
      text += fmt::format("complete -c remap -n {}", condition);
      for (const auto& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      text += (option.takes_value ? fish_values(option.values) : "") + " -d " + fish_quoted(option.description) + "\n";
    }
    if (part.arguments.kind == Values::Kind::words)
      text += fmt::format("complete -c remap -n {} -f -a {}\n", condition,
                          fish_quoted(fmt::format("{}", fmt::join(part.arguments.words, " "))));
    if (part.arguments.kind == Values::Kind::rules)
      text += fmt::format("complete -c remap -n {} -a {}\n", condition,
                          fish_quoted(fmt::format("{} (__remap_rule_names)", fmt::join(part.arguments.words, " "))));
  }
  return text;
}

}  // namespace

int completion(const Options& options) {
  const std::string& shell = options.inputs.front();
  fmt::print("{}", shell == "bash" ? bash(parts()) : shell == "zsh" ? zsh(parts()) : fish(parts()));
  return kDone;
}

}  // namespace cli
