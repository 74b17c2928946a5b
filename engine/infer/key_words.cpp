#include "infer/key_words.h"

#include <algorithm>

#include "infer/key_text.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

bool has_word(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<std::string> words_of(std::string_view key) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    if (const auto* common = common_words(word))
      words.insert(words.end(), common->begin(), common->end());
    else
      words.push_back(word);
    word.clear();
  };
  for (size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    if (is_separator(c) || c == '_' || c == '-') {
      flush();
      continue;
    }
    const bool turn = i > 0 && ((is_upper(c) && is_lower(key[i - 1])) || is_digit(c) != is_digit(key[i - 1]));
    if (turn && !(word == "w" && is_digit(c))) flush();
    word += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
  }
  flush();
  return words;
}

std::vector<std::string> part_roles(const std::string& word) {
  std::vector<std::string> roles;
  for (const auto& w : words_of(word))
    if (auto part = fused_part(w); !part.empty()) roles.push_back(std::move(part));
  return roles;
}

std::vector<std::string> roles_of(const std::string& text, const std::function<bool(const std::string&)>& exists) {
  auto words = words_of(text);
  const auto has = [&](const std::string& word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  std::vector<std::string> roles;
  for (const RoleRow& row : role_rows()) {
    if (!std::all_of(row.words.begin(), row.words.end(),
                     [&](const std::string& w) { return w[0] == '!' ? !has(w.substr(1)) : has(w); }))
      continue;
    for (const auto& role : row.roles) {
      // A feed-forward part of two matrices has no gate.
      std::string own = role;
      const size_t at = text.find(kFirstMatrix);
      if (role == "gate" && at != std::string::npos) {
        std::string third = text;
        third.replace(at, kFirstMatrix.size(), kThirdMatrix);
        if (!exists(third)) own = "up";
      }
      // Norms after each part: the one after attention comes first.
      if (role == "second" && has("post") && has("attention")) {
        for (const auto& part : names_after_mlp()) {
          std::string other = text;
          const size_t begin = other.find(kAfterAttention), end = other.find(kEndOfNorm, begin);
          if (begin != std::string::npos && end != std::string::npos && exists(other.replace(begin, end - begin, part)))
            own = "first";
        }
      }
      if (std::find(roles.begin(), roles.end(), own) == roles.end()) roles.push_back(own);
    }
  }
  // The part of the module stays last, the role before it.
  std::erase_if(roles, has);
  words.insert(words.empty() ? words.end() : words.end() - 1, roles.begin(), roles.end());
  return words;
}

double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b, double decay) {
  const auto weight = [&](const std::vector<std::string>& words, size_t i) {
    return 1.0 / (1.0 + decay * static_cast<double>(words.size() - 1 - i));
  };
  double common = 0, all = 0;
  std::vector<bool> taken(b.size(), false);
  for (size_t i = 0; i < a.size(); ++i) {
    all += weight(a, i);
    for (size_t j = b.size(); j-- > 0;) {
      if (taken[j] || a[i] != b[j]) continue;
      taken[j] = true;
      common += weight(a, i) + weight(b, j);
      break;
    }
  }
  for (size_t j = 0; j < b.size(); ++j) all += weight(b, j);
  return all == 0 ? 1 : common / all;
}

}  // namespace remap::infer
