#include "lang/rule_head.h"

#include <algorithm>
#include <array>

namespace remap::lang {

std::string head_of(std::string_view text, bool with_names) {
  // Everything that a condition under 'recognise' can depend on. The sections from kNames on are needed only if it
  // names a value that the file computes, and 'target' if there is no condition.
  constexpr std::array<std::string_view, 11> kHead = {
      "remap", "family", "title", "source", "sources", "recognise", "normalise", "target", "variants", "let", "maps"};
  constexpr size_t kNames = 7;
  const auto end_of_head = kHead.begin() + (with_names ? kHead.size() : kNames);
  std::string head;
  bool wanted = true;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view line = text.substr(at, end - at), name = line.substr(0, line.find(':'));
    at = end;
    const bool begins = name.size() < line.size() && name.find_first_of(" #-\"'\n") == std::string_view::npos;
    if (begins) wanted = std::find(kHead.begin(), end_of_head, name) != end_of_head;
    if (wanted)
      head += line;
    else
      head += begins && name == "rules" ? "rules: []\n" : "\n";
  }
  return head;
}

}  // namespace remap::lang
