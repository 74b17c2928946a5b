// The words of keys, and how alike two keys are. Private to infer.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace remap::infer {

// The words of a key in a common vocabulary: "encoder.layer.0.attention.self.query.weight" -> {encoder, layer, 0,
// attention, q, weight}.
std::vector<std::string> words_of(std::string_view key);

// The same, with what the module does where its words and those around it tell. `exists`: whether there is a key of
// this text.
std::vector<std::string> roles_of(const std::string& text, const std::function<bool(const std::string&)>& exists);
// What a word says about the part of a fused tensor that it names: q, k, v, gate, up.
std::vector<std::string> part_roles(const std::string& word);

bool has_word(const std::vector<std::string>& words, std::string_view word);

// 0 … 1: how much of the words of both keys is the same; those near the end count more, the more the greater `decay`.
double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b, double decay);

}  // namespace remap::infer
