// The sections of a rule file that say which checkpoints it is for.
#pragma once

#include <string>
#include <string_view>

namespace remap::lang {

// The text of a rule file without its rules and what follows from them; what is left stands on its own lines. Parsing
// takes a fraction of the time: a checkpoint whose family nobody named is held against every rule file there is. The
// text is taken as fmt lays it out: a section begins with its name at the beginning of a line. `with_names`: also
// the sections that define what conditions name, and the target; most conditions of recognition name nothing.
std::string head_of(std::string_view text, bool with_names);

}  // namespace remap::lang
