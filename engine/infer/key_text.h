// Texts of keys: numbers in them, words, how alike two are. Private to infer.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/key_segments.h"
#include "base/text.h"
#include "infer/key_form.h"

namespace remap::infer {

// A key taken apart at its numbers: "layers.12.fc1.weight" -> texts {"layers.", ".fc", ".weight"}, numbers {"12", "1"}.
// A run of digits that begins with 0 and is longer, or is longer than nine digits, stays text.
template <typename Text>  // std::string or KeyForm
struct NumbersApart {
  std::vector<Text> texts;  // one more than numbers
  std::vector<std::string> numbers;
  Text joined() const;                     // as it was
  KeyForm shape() const;                   // any numbers in their places
  KeyForm prefix(size_t column) const;     // the shape of what stands before this number
  KeyForm with_open(size_t column) const;  // as it was, but for any word in this place
};
using Numbered = NumbersApart<std::string>;
using NumberedForm = NumbersApart<KeyForm>;
Numbered numbered(std::string_view key);
NumberedForm numbered(const KeyForm& form);

// Shapes of prefixes under which numbers count 0 … n-1 for some n > 1.
std::set<KeyForm> counted_prefixes(const std::vector<std::string>& keys);

std::string parent_of(std::string_view key);  // up to the last separator; "" if there is none

// "model.03.pt/a.b" -> "model.", "03", ".pt" and "a.b"; nullopt: no file stands before the key.
struct InFile {
  std::string before, number, after, key;
};
std::optional<InFile> in_file(const std::string& key);

// Keys that differ in one place only: what is before and after it, and what each has there. Cut at the borders of
// words.
template <typename Text>
struct PlaceIn {
  Text before, after;
  std::vector<std::string> names;
};
using Place = PlaceIn<std::string>;
using FormPlace = PlaceIn<KeyForm>;
std::optional<Place> differing_place(const std::vector<std::string>& keys);
// The same where the keys count there: 0, 1, 2 …, or from another number on if that stands alone between separators.
std::optional<Place> counting_place(const std::vector<std::string>& keys);
std::optional<FormPlace> counting_place(const std::vector<KeyForm>& forms);

// Whether a pattern of the rule language can say this key as it is.
bool can_be_written(const std::string& key);

}  // namespace remap::infer
