// What ends a program from outside, as a question that long work asks: then it can remove what it has begun.
#pragma once

#include <atomic>

namespace cli {

// From here on the first SIGINT, SIGTERM or SIGHUP sets what is returned; a second one ends the program. One that is
// ignored stays so (nohup).
const std::atomic<bool>& catch_signals();

// They end the program again.
void release_signals();

}  // namespace cli
