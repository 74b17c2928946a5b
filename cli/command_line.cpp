#include "cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/inputs.h"
#include "remap/nearest.h"

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

const Option* find_option(const Command& command, const std::string& name) {
  for (const Option& option : command.options)
    for (const auto& one : names_of(option))
      if (one == name) return &option;
  return nullptr;
}

// Some command's, since what follows is a value or is not, whoever the option belongs to.
const Option* find_option(const std::string& name) {
  for (const Command& command : commands())
    if (const Option* option = find_option(command, name)) return option;
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

// The first word is a checkpoint, if it is no command; but one that is not there may be a command that was mistyped.
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
        refuse(fmt::format("{} {}: {} was expected", what, value, listed(words, "or")),
               did_you_mean(remap::nearest_name(value, words)));
      return;
    case Kind::assignment:
      if (const size_t equals = value.find('='); equals == std::string::npos || equals == 0)
        refuse(fmt::format("{} {}: NAME=VALUE was expected", what, value),
               "for example --set dtype=float16; 'remap rules' lists the names for each family");
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

class Reader {
 public:
  explicit Reader(const Words& words) : words_(words) {}

  CommandLine read() {
    const size_t first = first_argument();
    line_.command = first < words_.size() ? find_command(words_[first]) : nullptr;
    const bool named = line_.command != nullptr;
    if (!named) line_.command = &commands().front();
    if (!named && first < words_.size() && words_[first] != "--") check_first_word(words_[first]);
    if (asks_for_help()) {
      line_.options.help = true;
      return std::move(line_);
    }
    for (at_ = 0; at_ < words_.size(); ++at_)
      if (!named || at_ != first) read_word();
    if (line_.options.version) return std::move(line_);
    check_count();
    check_values();
    return std::move(line_);
  }

 private:
  // Past the options and their values; at "--", no command follows.
  size_t first_argument() const {
    size_t i = 0;
    for (; i < words_.size() && is_option(words_[i]) && words_[i] != "--"; ++i) {
      const auto follows = value_follows(words_[i]);
      if (follows)
        i += *follows ? 1 : 0;
      else if (i + 1 < words_.size() && find_command(words_[i + 1]) == nullptr)
        return words_.size();  // it may be the value of an unknown option
    }
    return std::min(i, words_.size());
  }

  // nullopt: no command has this option.
  static std::optional<bool> value_follows(const std::string& word) {
    if (word[1] == '-') {
      const Option* option = find_option(word.substr(0, word.find('=')));
      return option == nullptr ? std::nullopt
                               : std::optional(takes_value(*option) && word.find('=') == std::string::npos);
    }
    for (size_t i = 1; i < word.size(); ++i) {
      const Option* option = find_option(std::string{'-', word[i]});
      if (option == nullptr) return std::nullopt;
      if (takes_value(*option)) return i + 1 == word.size();
    }
    return false;
  }

  bool asks_for_help() const {
    for (const auto& word : words_) {
      if (word == "--") return false;
      if (word == "-h" || word == "--help") return true;
    }
    return false;
  }

  void read_word() {
    const std::string& word = words_[at_];
    if (options_ended_ || !is_option(word))
      line_.options.inputs.push_back(word);
    else if (word == "--")
      options_ended_ = true;
    else if (word[1] == '-')
      read_long(word);
    else
      read_short(word);
  }

  void read_long(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Option* option = find_option(*line_.command, name);
    if (option == nullptr) refuse_option(*line_.command, name);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);
    if (takes_value(*option))
      set_values(*option, name, value);
    else if (value)
      refuse(fmt::format("'{}' takes no value; '{}' was given", name, *value), fmt::format("write {} alone", name));
    else
      set(*option, name, "");
  }

  // "-q", "-qo OUT", "-oOUT"
  void read_short(const std::string& word) {
    for (size_t i = 1; i < word.size(); ++i) {
      const std::string name = {'-', word[i]};
      const Option* option = find_option(*line_.command, name);
      if (option == nullptr)
        refuse_option(*line_.command, i == 1 && find_option(name) == nullptr ? word.substr(0, word.find('=')) : name);
      if (!takes_value(*option)) {
        set(*option, name, "");
        continue;
      }
      const std::string rest = word.substr(i + 1);
      return set_values(*option, name,
                        rest.empty() ? std::nullopt : std::optional(rest.substr(rest[0] == '=' ? 1 : 0)));
    }
  }

  void set_values(const Option& option, const std::string& name, const std::optional<std::string>& given) {
    set(option, name, given ? *given : next_value(option, name));
    while (option.many && at_ + 1 < words_.size() && !is_option(words_[at_ + 1])) set(option, name, words_[++at_]);
  }

  std::string next_value(const Option& option, const std::string& name) {
    const std::string what = fmt::format("'{}' needs a value: {} {}", name, name, value_text(option));
    if (at_ + 1 == words_.size()) refuse(what);
    const std::string& next = words_[at_ + 1];
    if (next == "--" || find_option(next.substr(0, next.find('='))) != nullptr)
      refuse(fmt::format("{}; the option '{}' follows", what, next));
    return words_[++at_];
  }

  void set(const Option& option, const std::string& name, const std::string& value) {
    const bool first = seen_.insert(&option).second;
    const auto once = [&] {
      if (!first) refuse(fmt::format("'{}' is given twice", name), "give it once");
    };
    std::visit(
        Overloaded{
            [&](bool Options::*member) { line_.options.*member = true; },
            [&](std::string Options::*member) { once(), line_.options.*member = value; },
            [&](std::vector<std::string> Options::*member) { (line_.options.*member).push_back(value); },
            [&](int Options::*member) { once(), line_.options.*member = whole_number(name, value, option.most); },
            [&](double Options::*member) { once(), line_.options.*member = number(name, value); },
        },
        option.member);
    values_.push_back({name, value, &option});
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

  // The option that took several words, if there is one: an argument may be among them.
  std::string taking_all() const {
    for (size_t i = 1; i < values_.size(); ++i)
      if (values_[i].option->many && values_[i - 1].option == values_[i].option) return values_[i].name;
    return "";
  }

  void check_count() const {
    const Command& command = *line_.command;
    const Arguments& arguments = command.arguments;
    const Words& given = line_.options.inputs;
    const size_t n = arguments.each.size();
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
      if (option.required && !seen_.contains(&option))
        refuse(fmt::format("'{}' needs {} {}", full_name(command), names_of(option).back(), value_text(option)),
               how_to(command));
    if (*command.name != '\0') return;
    for (size_t i = 1; i < given.size(); ++i)
      if (find_command(given[i]) != nullptr && !is_there(given[i]))
        refuse(fmt::format("'{}' stands behind '{}'; a command comes first", given[i], given[0]),
               fmt::format("remap {} {}", given[i], given[0]));
  }

  void check_values() const {
    for (const auto& [name, value, option] : values_)
      if (takes_value(*option)) check_value(name, value, option->kind, option->words);
    const Arguments& arguments = line_.command->arguments;
    for (size_t i = 0; i < line_.options.inputs.size(); ++i) {
      const Argument& argument = arguments.each[std::min(i, arguments.each.size() - 1)];
      check_value(argument.name, line_.options.inputs[i], argument.kind, arguments.words);
    }
  }

  struct Value {
    std::string name, value;
    const Option* option;
  };

  const Words& words_;
  size_t at_ = 0;
  bool options_ended_ = false;
  CommandLine line_;
  std::set<const Option*> seen_;
  std::vector<Value> values_;
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

std::vector<std::string> names_of(const Option& option) {
  const std::string names = option.names;
  const size_t comma = names.find(',');
  return comma == std::string::npos ? Words{names} : Words{names.substr(0, comma), names.substr(comma + 1)};
}

bool takes_value(const Option& option) { return !std::holds_alternative<bool Options::*>(option.member); }

CommandLine parse_command_line(const std::vector<std::string>& words) { return Reader(words).read(); }

Format format_asked_for(const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i)
    if (words[i] == "--format=json" || (words[i] == "--format" && i + 1 < words.size() && words[i + 1] == "json"))
      return Format::json;
  return Format::text;
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
