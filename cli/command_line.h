// The command line, read by the table of commands: what is wrong with it is an Error "usage" in remap's own words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"

namespace cli {

// `words` without the program's own name. With --help or --version among them nothing else is asked for.
// Throws remap::Error: "usage", or "io-read" for a path at which there is nothing.
Options parse_command_line(const std::vector<std::string>& words);

// The form that errors are to have, also those of a command line that cannot be read.
Format format_asked_for(const std::vector<std::string>& words);

// What --help prints.
std::string help_text(const Command& command);

// "-o,--output" -> {"-o", "--output"}
std::vector<std::string> names_of(const Option& option);
bool takes_value(const Option& option);
// nullptr: the command has none of this name.
const Option* find_option(const Command& command, const std::string& name);

// "5GB", "200MB", "1000" -> bytes (powers of 1000; GiB and the like are powers of 1024). Throws remap::Error "usage".
uint64_t parse_bytes(const std::string& text);

}  // namespace cli
