#include "infer/names.h"

#include <algorithm>

#include "infer/keys.h"

namespace remap::infer {
namespace {

// The field's words for the same things. Data: a new spelling is a row.
const std::map<std::string, std::vector<std::string>, std::less<>>& vocabulary() {
  static const std::map<std::string, std::vector<std::string>, std::less<>> rows = {
      {"attn", {"attention"}}, {"att", {"attention"}}, {"selfattention", {"attention"}}, {"self", {}}, {"multihead", {}}, {"mha", {"attention"}}, {"crossattention", {"cross", "attention"}}, {"encdecattention", {"cross", "attention"}},
      {"query", {"q"}}, {"queries", {"q"}}, {"key", {"k"}}, {"keys", {"k"}}, {"value", {"v"}}, {"values", {"v"}}, {"wq", {"q"}}, {"wk", {"k"}}, {"wv", {"v"}}, {"wo", {"o"}}, {"out", {"o"}}, {"output", {"o"}},
      {"proj", {}}, {"projection", {}}, {"dense", {}}, {"linear", {}}, {"kernel", {"weight"}}, {"scale", {"weight"}}, {"gamma", {"weight"}}, {"beta", {"bias"}}, {"embedding", {"embed", "weight"}},
      {"ln", {"norm"}}, {"layernorm", {"norm"}}, {"rmsnorm", {"norm"}}, {"embeddings", {"embed"}}, {"embed", {"embed"}}, {"emb", {"embed"}}, {"wte", {"embed", "token"}}, {"wpe", {"embed", "position"}},
      {"tokens", {"token"}}, {"tok", {"token"}}, {"word", {"token"}}, {"positional", {"position"}}, {"positions", {"position"}}, {"pos", {"position"}},
      {"layers", {"layer"}}, {"blocks", {"layer"}}, {"block", {"layer"}}, {"resblocks", {"layer"}}, {"h", {"layer"}}, {"ffn", {"mlp"}}, {"ff", {"mlp"}}, {"ffw", {"mlp"}},
      {"unembed", {"head"}}, {"lm", {}}, {"visual", {"vision"}}, {"image", {"vision"}}, {"img", {"vision"}}, {"tower", {}}, {"model", {}}, {"module", {}}, {"transformer", {}},
      {"experts", {"expert"}}, {"router", {"gate"}},
  };
  return rows;
}

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::vector<std::string> words_of(std::string_view key) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    const auto row = vocabulary().find(word);
    if (row == vocabulary().end()) words.push_back(word);
    else words.insert(words.end(), row->second.begin(), row->second.end());
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

double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto weight = [](const std::vector<std::string>& words, size_t i) { return 1.0 / (1.0 + 0.3 * static_cast<double>(words.size() - 1 - i)); };
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

NameGuide::NameGuide(const Problem& problem, const std::vector<Relation>& known) : problem_(problem) {
  for (const Relation& relation : known) {
    if (relation.kind != Relation::Kind::rename) continue;
    const std::string s = parent_of(problem.key(relation.sources[0])), t = parent_of(problem.info(relation.targets[0]).key);
    modules_.emplace(s, t);
    module_shapes_.emplace(numbered(s).shape(), numbered(t).shape());
  }
}

double NameGuide::score(Ref source, uint32_t target) const {
  const std::string &s = problem_.key(source), &t = problem_.info(target).key;
  if (s == t) return 10;
  double score = alikeness(words_of(s), words_of(t));
  const std::string s_module = parent_of(s), t_module = parent_of(t);
  if (s.substr(s_module.size()) == t.substr(t_module.size())) score += 1;
  if (modules_.contains({s_module, t_module})) score += 4;
  if (module_shapes_.contains({numbered(s_module).shape(), numbered(t_module).shape()})) score += 2;
  if (numbered(s).numbers == numbered(t).numbers) score += 1;
  return score;
}

Findings find_by_names(const Problem& problem) {
  Findings findings;
  for (uint32_t t = 0; t < problem.target->manifest().size(); ++t) findings.open_targets.push_back(t);
  return findings;
}

}  // namespace remap::infer
