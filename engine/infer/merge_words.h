// Rules that differ in one word become one, with alternatives or a table. Private to infer.
#pragma once

#include <vector>

#include "infer/key_pairs.h"

namespace remap::infer {

// A run of at most three words of a key, as the place where rules may differ.
struct WordCut {
  KeyForm before, word, after;
};
std::vector<WordCut> cuts_of(const KeyForm& form);

// Merges again and again what saves most lines.
std::vector<PatternRule> with_words(std::vector<PatternRule> rules, Operations& operations);

}  // namespace remap::infer
