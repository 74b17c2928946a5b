// Text files: read whole, and written whole or not at all.
#pragma once

#include <string>

namespace cli {

// Throws remap::Error "io-read".
std::string read_file(const std::string& path);

// Whether the file may, or may not, be there before.
enum class Existing { replace, refuse };

// Whether write_file() would refuse, before there is anything to write: throws what it would.
void check_file(const std::string& path, Existing existing);

// Through a new file beside it, which takes its name when it is whole; a file that is replaced keeps its mode. Throws
// remap::Error "output-exists", "output-not-replaceable" (a link, a folder, a pipe, a file that is not writable) or
// "io-write"; then nothing has changed.
void write_file(const std::string& path, const std::string& text, Existing existing);

}  // namespace cli
