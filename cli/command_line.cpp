#include "cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "cli/inputs.h"
#include "remap/nearest.h"
#include "remap/text.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::did_you_mean;
using remap::Error;
using Words = std::vector<std::string>;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error("usage", {}, std::move(message), std::move(hint));
}

std::string full_name(const Command& command) {
  return *command.name == '\0' ? "remap" : fmt::format("remap {}", command.name);
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands())
    if (name == command.name && !name.empty()) return &command;
  return nullptr;
}

bool is_option(const std::string& word) { return word.size() > 1 && word[0] == '-'; }
bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string value_text(const Option& option) {
  return option.words.empty() ? option.value : fmt::format("{}", fmt::join(option.words, "|"));
}

std::string listed(const Words& words, const char* last) {
  if (words.size() < 2) return fmt::format("{}", fmt::join(words, ""));
  return fmt::format("{} {} {}", fmt::join(words.begin(), words.end() - 1, ", "), last, words.back());
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string arguments_text(const Arguments& arguments) {
  Words names;
  for (const Argument& one : arguments.each) names.emplace_back(one.name);
  const bool more = arguments.count == Arguments::all_and_more || arguments.count == Arguments::any;
  return fmt::format("{}{}", fmt::join(names, " "), more ? "..." : "");
}

bool may_be_absent(const Arguments& arguments) {
  return arguments.count == Arguments::any || arguments.count == Arguments::all_or_none;
}

// "remap infer SOURCE... --target OUT": what has to be there.
std::string synopsis(const Command& command, const std::string& options) {
  std::string text = full_name(command) + options;
  const std::string arguments = arguments_text(command.arguments);
  text += may_be_absent(command.arguments) ? fmt::format(" [{}]", arguments) : " " + arguments;
  for (const Option& option : command.options)
    if (option.required) text += fmt::format(" {} {}", names_of(option).back(), value_text(option));
  return text;
}

std::string how_to(const Command& command) {
  return fmt::format("{}; '{} --help' shows more", synopsis(command, ""), full_name(command));
}

// ------------------------------------------------------------ what is not there

// Words that other programs have as commands, and how to say them here.
struct Elsewhere {
  const char* word;
  const char* here;
};
constexpr Elsewhere kElsewhere[] = {
    {"help", "'remap --help', or 'remap COMMAND --help'"},
    {"version", "'remap --version'"},
    {"convert", "to convert takes no command: remap [--rules RULES] CHECKPOINT -o OUT"},
    {"list", "'remap rules' lists the rule files"},
    {"format", "'remap fmt FILE' lays out a rule file"},
    {"check", "'remap lint RULES' checks a rule file"},
    {"validate", "'remap lint RULES' checks a rule file"},
};

// The first word is a checkpoint, if it is not a command; but one that is not there may be a command that was mistyped.
void check_first_word(const std::string& word) {
  if (word.empty() || is_there(word) || word.find_first_of("/=") != std::string::npos) return;
  const auto refuse_word = [&](const std::string& hint) {
    refuse(fmt::format("there is no command and no file '{}'", word), hint);
  };
  for (const auto& [other, here] : kElsewhere)
    if (word == other) refuse_word(here);
  Words names;
  for (const Command& command : commands())
    if (*command.name != '\0') names.emplace_back(command.name);
  const std::string command = remap::nearest_name(word, names);
  if (command.empty()) return;
  const std::string file = remap::nearest_path(word);
  refuse_word(file.empty() ? did_you_mean(command)
                           : fmt::format("did you mean the command '{}' or the file '{}'?", command, file));
}

std::string without_dashes(const std::string& name) {
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

// The option of the command whose name is nearest; one letter is near to nothing but itself in the other case.
std::string nearest_option(const Command& command, const std::string& name) {
  const std::string word = without_dashes(name);
  Words all, bare;
  for (const Option& option : command.options)
    for (const auto& one : names_of(option)) {
      const std::string other = without_dashes(one);
      if (word.size() == 1 && other.size() == 1 &&
          std::tolower(static_cast<unsigned char>(word[0])) == std::tolower(static_cast<unsigned char>(other[0])))
        return one;
      if (word.size() == 1 || other.size() == 1) continue;
      all.push_back(one);
      bare.push_back(other);
    }
  const auto it = std::find(bare.begin(), bare.end(), remap::nearest_name(word, bare));
  return it == bare.end() ? "" : all[static_cast<size_t>(it - bare.begin())];
}

[[noreturn]] void refuse_option(const Command& command, const std::string& name) {
  const std::string message = fmt::format("'{}' has no option '{}'", full_name(command), name);
  Words owners, near_elsewhere;
  for (const Command& other : commands()) {
    const std::string owner = *other.name == '\0' ? "'remap' without a command" : quoted(full_name(other));
    if (find_option(other, name) != nullptr)
      owners.push_back(owner);
    else if (const auto near = nearest_option(other, name); !near.empty() && near_elsewhere.empty())
      near_elsewhere = {near, owner};
  }
  if (!owners.empty()) refuse(message, fmt::format("it is an option of {}", listed(owners, "and")));
  if (const std::string near = nearest_option(command, name); !near.empty()) refuse(message, did_you_mean(near));
  if (!near_elsewhere.empty())
    refuse(message, fmt::format("did you mean '{}', an option of {}?", near_elsewhere[0], near_elsewhere[1]));
  refuse(message, fmt::format("'{} --help' lists its options", full_name(command)));
}

// The part of the path that is there: "" if not even its first component is.
fs::path existing_part(const fs::path& path) {
  fs::path so_far;
  for (const fs::path& part : path) {
    if (!is_there((so_far / part).string())) break;
    so_far /= part;
  }
  return so_far;
}

// The first folder of the path that is not there; "" if only the last component is missing.
std::string missing_folder(const fs::path& path, const fs::path& existing) {
  const auto depth = [](const fs::path& p) { return std::distance(p.begin(), p.end()); };
  if (depth(existing) + 1 >= depth(path)) return "";
  auto part = path.begin();
  std::advance(part, depth(existing));
  return (existing / *part).string();
}

// `shown` goes before the path in a hint: "NAME=".
void check_path(const std::string& what, const std::string& path, const std::string& shown, bool folder) {
  if (path.empty())
    refuse(fmt::format("{} is an empty string", what), "if it comes from a variable of the shell, is that set?");
  std::error_code error;
  const auto status = fs::status(path, error);
  const remap::BytePlace place{path, {}, {}};
  if (folder && fs::exists(status) && !fs::is_directory(status))
    throw Error("io-read", place, "is not a folder; a folder was expected", "give the folder that it lies in");
  // Anything but a name at which there is nothing is for the one who opens it.
  if (status.type() != fs::file_type::not_found && error != std::errc::not_a_directory) return;
  const fs::path existing = existing_part(path);
  const std::string parent = missing_folder(path, existing);
  std::string near = remap::nearest_path(path);
  std::string message = fmt::format("there is no such {}", folder ? "folder" : "file or folder");
  if (!existing.empty() && !fs::is_directory(existing, error)) {
    message = fmt::format("'{}' is not a folder, and nothing lies below it", existing.string());
    near = existing.string();
  } else if (fs::is_symlink(fs::symlink_status(path, error))) {
    message = fmt::format("this is a link to '{}', which is not there", fs::read_symlink(path, error).string());
  } else if (!parent.empty()) {
    message = fmt::format("there is no folder '{}'", parent);
  }
  const std::string look = fmt::format("'ls{}' shows what is there", existing.empty() ? "" : " " + existing.string());
  throw Error("io-read", place, message, near.empty() ? look : did_you_mean(shown + near));
}

// `what`: the option, or the argument, as the command line has it.
void check_value(const std::string& what, const std::string& value, Kind kind, const Words& words) {
  switch (kind) {
    case Kind::word:
      if (std::find(words.begin(), words.end(), value) == words.end())
        refuse(fmt::format("{} {}: {} was expected", what, value, listed(words, "or")), did_you_mean(value, words));
      return;
    case Kind::assignment:
      if (const size_t equals = value.find('='); equals == std::string::npos || equals == 0)
        refuse(fmt::format("{} {}: NAME=VALUE was expected", what, value),
               std::string(what) == "--limit"
                   ? "for example --limit max_chunk_bytes=4GiB; 'man remap' lists the names"
                   : "for example --set dtype=float16; 'remap rules' lists the names for each family");
      if (!remap::is_utf8(value))
        refuse(fmt::format("{} {}: UTF-8 was expected", what, value), "the value may become a part of config.json");
      return;
    case Kind::size: parse_bytes(value); return;
    case Kind::source: {
      const NamedPath input = parse_input(value);
      check_path(what, input.path, input.name.empty() ? "" : input.name + "=", false);
      return;
    }
    case Kind::path:
      if (value != "-") check_path(what, value, "", false);
      return;
    case Kind::folder: check_path(what, value, "", true); return;
    case Kind::rules:
    case Kind::output:
      if (value.empty()) check_path(what, value, "", false);
      return;
    case Kind::text: return;
  }
}

// ------------------------------------------------------------ reading

// CLI11 takes the words apart; what it finds is held against the rows, so that what is wrong is said in remap's own
// form.
class Reader {
  static constexpr int kMaxValues = 1 << 20;  // of an option that takes every word up to the next one

 public:
  explicit Reader(const Words& words) : words_(words) {
    app_.require_subcommand(0, 1);
    for (const Command& command : commands())
      describe(command, *command.name == '\0' ? app_ : *app_.add_subcommand(command.name));
  }

  Options read() {
    try {
      app_.parse(Words(words_.rbegin(), words_.rend()));
    } catch (const CLI::ParseError& error) {
      refuse_value(error);
    }
    const Command& command = command_of();
    options_.command = &command;
    check_words(command);
    collect(command);
    if (options_.help || options_.version) return std::move(options_);
    check_count(command);
    check_alone(command);
    check_values(command);
    return std::move(options_);
  }

 private:
  struct Parsed {
    CLI::App* app = nullptr;
    std::vector<CLI::Option*> options;  // a row each
  };

  void describe(const Command& command, CLI::App& app) {
    Parsed& parsed = parsed_[&command];
    parsed.app = &app;
    app.set_help_flag();
    app.allow_extras();
    for (const Option& option : command.options) {
      CLI::Option* one = takes_value(option) ? app.add_option(option.names) : app.add_flag(option.names);
      if (!takes_value(option))
        one->disable_flag_override();
      else if (option.many)
        one->expected(1, kMaxValues);
      else
        one->expected(1);
      parsed.options.push_back(one->take_all());
    }
  }

  const Command& command_of() const {
    const auto chosen = app_.get_subcommands();
    const Command* named = chosen.empty() ? nullptr : find_command(chosen.front()->get_name());
    return named == nullptr ? commands().front() : *named;
  }

  // What CLI11 refuses: a value that is missing, at the end, or that a flag does not take.
  [[noreturn]] void refuse_value(const CLI::ParseError& error) const {
    const Command& command = command_of();
    for (const auto& word : words_) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
      const Option* option = find_option(command, name);
      if (option != nullptr && !takes_value(*option))
        refuse(fmt::format("'{}' takes no value; '{}' was given", name, value), fmt::format("write {} alone", name));
    }
    const std::string& last = words_.back();
    const std::string name = last.starts_with("--") || last.size() < 2 ? last : std::string{'-', last.back()};
    if (const Option* option = find_option(command, name)) refuse(needs_value(*option, name));
    refuse(error.what(), how_to(command));
  }

  static std::string needs_value(const Option& option, const std::string& name) {
    return fmt::format("'{}' needs a value: {} {}", name, name, value_text(option));
  }

  size_t place_of(const std::string& word) const {
    return static_cast<size_t>(std::find(words_.begin(), words_.end(), word) - words_.begin());
  }

  // What no row takes is an argument; or an option of another command, a mistyped one, a command that stands too late.
  void check_words(const Command& command) {
    const Command& first = commands().front();
    const bool named = &command != &first;
    Words rest = named ? parsed_.at(&command).app->remaining() : Words();
    for (const auto& word : app_.remaining()) rest.push_back(word);  // of a command: what follows "--"
    Words unknown;
    bool marked = false;
    for (const auto& word : rest) {
      if (!marked && word == "--")
        marked = true;
      else if (!marked && is_option(word) && place_of(word) < place_of("--"))
        unknown.push_back(word);
      else
        options_.inputs.push_back(word);
    }
    if (!named && !options_.inputs.empty()) {
      const size_t at = place_of(options_.inputs.front());
      if (at < place_of("--") && (unknown.empty() || at < place_of(unknown.front())))
        check_first_word(options_.inputs.front());
    }
    if (!unknown.empty()) refuse_option(command, unknown_name(command, unknown.front()));
    if (!named) return;
    for (const auto& word : app_.remaining())
      if (place_of(word) < place_of(command.name)) {
        check_first_word(word);
        refuse(fmt::format("'{}' stands behind '{}'; a command comes first", command.name, word),
               fmt::format("remap {} {}", command.name, word));
      }
    for (size_t i = 0; i < first.options.size(); ++i) {  // options before the command are meant for it
      const std::string name = names_of(first.options[i]).back();
      if (parsed_.at(&first).options[i]->count() > 0 && find_option(command, name) == nullptr)
        refuse_option(command, name);
    }
  }

  // "--x=y" -> "--x"; of several letters in one word, the first that the command does not have.
  static std::string unknown_name(const Command& command, const std::string& word) {
    const std::string name = word.substr(0, word.find('='));
    if (name.starts_with("--")) return name;
    for (size_t i = 1; i < name.size(); ++i) {
      const std::string letter = {'-', name[i]};
      const auto has = [&](const Command& other) { return find_option(other, letter) != nullptr; };
      if (has(command)) continue;
      return i == 1 && std::none_of(commands().begin(), commands().end(), has) ? name : letter;
    }
    return name;
  }

  void collect(const Command& command) {
    const Command& first = commands().front();
    for (size_t i = 0; i < command.options.size(); ++i) {
      const Option& option = command.options[i];
      Words values = parsed_.at(&command).options[i]->results();
      for (size_t f = 0; f < first.options.size() && &command != &first; ++f) {
        if (first.options[f].names != std::string_view(option.names)) continue;
        const Words before = parsed_.at(&first).options[f]->results();
        values.insert(values.begin(), before.begin(), before.end());
      }
      if (!values.empty()) set(option, values);
    }
  }

  void set(const Option& option, const Words& values) {
    const std::string name = names_of(option).back();
    const auto one = [&]() -> const std::string& {
      if (values.size() > 1) refuse(fmt::format("'{}' is given twice", name), "give it once");
      return values.front();
    };
    if (takes_value(option))
      for (const auto& value : values)
        if (value == "--" ||
            (is_option(value) && find_option(*options_.command, value.substr(0, value.find('='))) != nullptr))
          refuse(fmt::format("{}; the option '{}' follows", needs_value(option, name), value));
    std::visit(Overloaded{
                   [&](bool Options::*member) { options_.*member = true; },
                   [&](std::string Options::*member) { options_.*member = one(); },
                   [&](std::vector<std::string> Options::*member) { options_.*member = values; },
                   [&](int Options::*member) { options_.*member = whole_number(name, one(), option.most); },
                   [&](double Options::*member) { options_.*member = number(name, one()); },
               },
               option.member);
    set_.push_back({&option, values});
  }

  static int whole_number(const std::string& name, const std::string& value, int most) {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < 1 || number > most)
      refuse(fmt::format("{} {}: a whole number from 1 to {} was expected", name, value, most));
    return number;
  }

  static double number(const std::string& name, const std::string& value) {
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || !(number >= 0))
      refuse(fmt::format("{} {}: a number was expected, 0 or more", name, value), "for example 0.001, or 1e-3");
    return number;
  }

  bool is_set(const Option& option) const {
    return std::any_of(set_.begin(), set_.end(), [&](const auto& one) { return one.first == &option; });
  }

  // The option that took several words, if there is one: an argument may be among them.
  std::string taking_all() const {
    for (const auto& [option, values] : set_)
      if (option->many && values.size() > 1) return names_of(*option).back();
    return "";
  }

  void check_count(const Command& command) const {
    const Arguments& arguments = command.arguments;
    const Words& given = options_.inputs;
    const Option* alone = *arguments.alone == '\0' ? nullptr : find_option(command, arguments.alone);
    const bool is_alone = alone != nullptr && is_set(*alone);
    const size_t n = is_alone ? 1 : arguments.each.size();
    if (is_alone && given.size() != 1)
      refuse(fmt::format("'{} {}' takes {}; {} were given", full_name(command), arguments.alone,
                         arguments.each.front().name, given.size()),
             fmt::format("{} {} {}", full_name(command), arguments.alone, arguments.each.front().name));
    const bool more = arguments.count == Arguments::all_and_more || arguments.count == Arguments::any;
    if (given.size() > n && !more)
      refuse(fmt::format("'{}' takes {}; '{}' is one word too many", full_name(command), arguments_text(arguments),
                         given[n]),
             how_to(command));
    if (given.size() < n && !may_be_absent(arguments)) {
      Words missing;
      for (size_t i = given.size(); i < n; ++i) missing.emplace_back(arguments.each[i].name);
      const std::string names = listed(missing, "and"), taker = taking_all();
      const std::string message = fmt::format("'{}' takes {}; {} {} missing", full_name(command),
                                              arguments_text(arguments), names, missing.size() == 1 ? "is" : "are");
      refuse(message, taker.empty()
                          ? how_to(command)
                          : fmt::format("{} takes every word up to the next option: put {} before it", taker, names));
    }
    for (const Option& option : command.options)
      if (option.required && !is_set(option))
        refuse(fmt::format("'{}' needs {} {}", full_name(command), names_of(option).back(), value_text(option)),
               how_to(command));
  }

  // `remap CHECKPOINT OUT`: where to write stands behind -o.
  static void check_not_output(const std::string& word) {
    std::error_code ignored;
    if (parse_input(word).name.empty() && !word.empty() && !std::filesystem::exists(word, ignored) &&
        remap::nearest_path(word).empty())
      refuse(fmt::format("'{}': there is no such file or folder", word),
             fmt::format("the folder to write is given by an option: -o {}", word));
  }

  // An option that is about the arguments, and there are none.
  void check_alone(const Command& command) const {
    const auto& without = command.arguments.without;
    if (!options_.inputs.empty() || without.empty()) return;
    for (const auto& [option, values] : set_) {
      const std::string name = names_of(*option).back();
      if (std::find(without.begin(), without.end(), name) != without.end()) continue;
      const char* needed = command.arguments.each.front().name;
      refuse(fmt::format("'{}' needs a {}; none was given", name, needed),
             fmt::format("name the {}, or leave the option out", needed));
    }
  }

  void check_values(const Command& command) const {
    for (const auto& [option, values] : set_)
      for (const auto& value : values)
        if (takes_value(*option)) check_value(names_of(*option).back(), value, option->kind, option->words);
    const Arguments& arguments = command.arguments;
    for (size_t i = 0; i < options_.inputs.size(); ++i) {
      const Argument& argument = arguments.each[std::min(i, arguments.each.size() - 1)];
      if (i > 0 && *command.name == '\0' && options_.output.empty()) check_not_output(options_.inputs[i]);
      check_value(argument.name, options_.inputs[i], argument.kind, arguments.words);
    }
  }

  const Words& words_;
  CLI::App app_;
  std::map<const Command*, Parsed> parsed_;
  Options options_;
  std::vector<std::pair<const Option*, Words>> set_;  // those given, with their values
};

// ------------------------------------------------------------ help

void add_row(std::string& text, const std::string& label, const std::string& help) {
  constexpr size_t kColumn = 30;
  std::string line = "  " + label;
  if (line.size() + 1 > kColumn) text += line + "\n", line.clear();
  text += fmt::format("{:<{}}{}\n", line, kColumn, help);
}

std::string default_of(const Option& option) {
  static const Options defaults;
  return std::visit(Overloaded{
                        [&](std::string Options::*member) {
                          return (defaults.*member).empty() ? "" : fmt::format(" (default: {})", defaults.*member);
                        },
                        [&](double Options::*member) { return fmt::format(" (default: {})", defaults.*member); },
                        [&](auto) { return std::string(); },
                    },
                    option.member);
}

}  // namespace

const Option* find_option(const Command& command, const std::string& name) {
  for (const Option& option : command.options)
    for (const auto& one : names_of(option))
      if (one == name) return &option;
  return nullptr;
}

std::vector<std::string> names_of(const Option& option) {
  const std::string names = option.names;
  const size_t comma = names.find(',');
  return comma == std::string::npos ? Words{names} : Words{names.substr(0, comma), names.substr(comma + 1)};
}

bool takes_value(const Option& option) { return !std::holds_alternative<bool Options::*>(option.member); }

Options parse_command_line(const std::vector<std::string>& words) { return Reader(words).read(); }

Format format_asked_for(const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i)
    if (words[i] == "--format=json" || (words[i] == "--format" && i + 1 < words.size() && words[i + 1] == "json"))
      return Format::json;
  return Format::text;
}

uint64_t parse_bytes(const std::string& text) {
  static const std::map<std::string, uint64_t> kUnits = {{"", 1},
                                                         {"B", 1},
                                                         {"kB", 1000},
                                                         {"KB", 1000},
                                                         {"MB", 1000'000},
                                                         {"GB", 1000'000'000},
                                                         {"TB", 1000'000'000'000},
                                                         {"KiB", 1024},
                                                         {"MiB", uint64_t{1} << 20},
                                                         {"GiB", uint64_t{1} << 30},
                                                         {"TiB", uint64_t{1} << 40}};
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  uint64_t bytes = 0;
  if (error != std::errc() || unit == kUnits.end() || number == 0 ||
      __builtin_mul_overflow(number, unit->second, &bytes))
    throw Error("usage", {}, fmt::format("'{}' is not a size", text), "for example 5GB, 500MB or 2GiB");
  return bytes;
}

std::string help_text(const Command& command) {
  std::string text = fmt::format("{}\nUsage: {}\n", command.summary, synopsis(command, " [OPTIONS]"));
  const bool is_default = *command.name == '\0';
  if (is_default) text += "       remap COMMAND ...\n";
  text += "\nPositionals:\n";
  add_row(text, arguments_text(command.arguments), command.arguments.help);
  text += "\nOptions:\n";
  for (const Option& option : command.options)
    add_row(text, option.names + (takes_value(option) ? " " + value_text(option) : ""),
            option.help + default_of(option));
  if (is_default) {
    text += "\nSubcommands:\n";
    for (const Command& other : commands())
      if (*other.name != '\0') add_row(text, other.name, other.summary);
  }
  return text + fmt::format("\n{}\n", command.examples);
}

}  // namespace cli
