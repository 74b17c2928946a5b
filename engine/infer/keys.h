// Texts of keys: numbers in them, words, how alike two are. Private to infer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remap::infer {

// "layers.12.fc1.weight" -> texts {"layers.", ".fc", ".weight"}, numbers {"12", "1"}. A run of digits that begins with
// 0 and is longer, or is longer than nine digits, stays text.
struct Numbered {
  std::vector<std::string> texts;  // one more than numbers
  std::vector<std::string> numbers;
  std::string shape() const;  // "layers.#.fc#.weight"
};
Numbered numbered(std::string_view key);

bool is_separator(char c);                                   // '.' or '/'
std::vector<std::string> segments_of(std::string_view key);  // at separators
std::string parent_of(std::string_view key);                 // up to the last separator; "" if there is none

// "model.03.pt/a.b" -> "model.", "03", ".pt" and "a.b"; nullopt: no file stands before the key.
struct InFile {
  std::string before, number, after, key;
};
std::optional<InFile> in_file(const std::string& key);

// Keys that differ in one place only: what is before and after it, and what each has there. Cut at the borders of
// words.
struct Place {
  std::string before, after;
  std::vector<std::string> names;
};
std::optional<Place> differing_place(const std::vector<std::string>& keys);
// The same where the keys count there: 0, 1, 2 …, or from another number on if that stands alone between separators.
std::optional<Place> counting_place(const std::vector<std::string>& keys);

}  // namespace remap::infer
