// What only a terminal gets: colours and a pager. Elsewhere the text is as it is.
#pragma once

#include <cstdio>
#include <string>

namespace cli {

// The stream is a terminal that is not "dumb".
bool is_terminal(std::FILE* stream);

// And NO_COLOR is not set (https://no-color.org).
bool takes_colours(std::FILE* stream);

enum class Paint {
  plan,      // what a tensor comes from, and the rule
  diff,      // lines by their sign: - + !
  patch,     // those of 'diff -u'
  findings,  // error[…], warning[…], note[…]
};
std::string painted(const std::string& text, Paint paint);

// To standard output: painted, and through $PAGER (or less) if it is longer than the terminal is high.
void show(const std::string& text, Paint paint);

}  // namespace cli
