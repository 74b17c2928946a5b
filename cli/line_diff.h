// Two texts, line by line.
#pragma once

#include <string>
#include <vector>

namespace cli {

using Lines = std::vector<std::string>;
Lines lines_of(const std::string& text);

// The lines that differ, "- " before and "+ " after, in order: the longest common subsequence stays. One line that says
// how many, where the texts are too large to compare.
Lines changes(const Lines& before, const Lines& after);

// The same with the lines around them, as `diff -u` prints it: "@@ -3,4 +3,5 @@", then "-…", "+…" and " …".
Lines unified_changes(const Lines& before, const Lines& after);

// A patch as `diff -u` writes it, which `patch -p0` takes; "" if nothing differs.
std::string patch(const std::string& file, const std::string& before, const std::string& after);

}  // namespace cli
