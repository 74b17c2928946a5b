#include "infer/names.h"

#include <algorithm>

#include "infer/keys.h"

namespace remap::infer {
namespace {

// The field's words for the same things. Data: a new spelling is a row.
const std::map<std::string, std::vector<std::string>, std::less<>>& vocabulary() {
  static const std::map<std::string, std::vector<std::string>, std::less<>> rows = {
      {"attn", {"attention"}},
      {"att", {"attention"}},
      {"selfattention", {"attention"}},
      {"self", {}},
      {"multihead", {}},
      {"mha", {"attention"}},
      {"crossattention", {"cross", "attention"}},
      {"encdecattention", {"cross", "attention"}},
      {"query", {"q"}},
      {"queries", {"q"}},
      {"key", {"k"}},
      {"keys", {"k"}},
      {"value", {"v"}},
      {"values", {"v"}},
      {"wq", {"q"}},
      {"wk", {"k"}},
      {"wv", {"v"}},
      {"wo", {"o"}},
      {"out", {"o"}},
      {"output", {"o"}},
      {"proj", {}},
      {"projection", {}},
      {"dense", {}},
      {"linear", {}},
      {"kernel", {"weight"}},
      {"scale", {"weight"}},
      {"gamma", {"weight"}},
      {"beta", {"bias"}},
      {"embedding", {"embed"}},
      {"embedder", {"embed"}},
      {"sentence", {}},
      {"classification", {"classifier"}},
      {"heads", {"head"}},
      {"score", {"classifier"}},
      {"ln", {"norm"}},
      {"layernorm", {"norm"}},
      {"rmsnorm", {"norm"}},
      {"embeddings", {"embed"}},
      {"embed", {"embed"}},
      {"emb", {"embed"}},
      {"wte", {"embed", "token"}},
      {"wpe", {"embed", "position"}},
      {"tokens", {"token"}},
      {"tok", {"token"}},
      {"word", {"token"}},
      {"positional", {"position"}},
      {"positions", {"position"}},
      {"pos", {"position"}},
      {"layers", {"layer"}},
      {"blocks", {"layer"}},
      {"block", {"layer"}},
      {"resblocks", {"layer"}},
      {"h", {"layer"}},
      {"ffn", {"mlp"}},
      {"ff", {"mlp"}},
      {"ffw", {"mlp"}},
      {"unembed", {"head"}},
      {"lm", {}},
      {"visual", {"vision"}},
      {"image", {"vision"}},
      {"img", {"vision"}},
      {"tower", {}},
      {"model", {}},
      {"module", {}},
      {"transformer", {}},
      {"experts", {"expert"}},
      {"router", {"gate"}},
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
    if (row == vocabulary().end())
      words.push_back(word);
    else
      words.insert(words.end(), row->second.begin(), row->second.end());
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

namespace {

// Where the words alone do not say what a module does, those around it do. Data: pattern (words that must all be there,
// in any order; ! for one that must not), and the words that stand for it.
struct RoleRow {
  std::vector<std::string> words;
  std::vector<std::string> roles;
};
const std::vector<RoleRow>& role_table() {
  static const std::vector<RoleRow> rows = {
      // norms inside a layer: before attention, or before the feed-forward part
      {{"norm", "layer", "input"}, {"first"}},
      {{"norm", "layer", "before"}, {"first"}},
      {{"norm", "layer", "norm1"}, {"first"}},
      {{"norm", "layer", "1"}, {"first"}},
      {{"norm", "layer", "operator"}, {"first"}},
      {{"norm", "layer", "sa"}, {"first"}},
      {{"norm", "layer", "attention", "!post", "!q", "!k", "!v", "!self", "!second"}, {"first"}},
      {{"norm", "layer", "after"}, {"second"}},
      {{"norm", "layer", "2"}, {"second"}},
      {{"norm", "layer", "mlp"}, {"second"}},
      {{"norm", "layer", "post", "attention"}, {"second"}},
      {{"norm", "layer", "final"}, {"second"}},
      {{"norm", "layer", "o", "!attention"}, {"second"}},
      {{"norm", "!layer", "f"}, {"last"}},
      {{"norm", "!layer", "final"}, {"last"}},
      {{"norm", "!layer", "post"}, {"last"}},
      {{"norm", "!layer", "pre"}, {"start"}},
      // feed-forward
      {{"fc", "mlp"}, {"up"}},
      {{"fc", "1"}, {"up", "mlp"}},
      {{"fc", "2"}, {"down", "mlp"}},
      {{"intermediate"}, {"up", "mlp"}},
      {{"layer", "o", "!attention", "!norm"}, {"down", "mlp"}},
      {{"wi"}, {"up"}},
      {{"c", "mlp", "!fc"}, {"down"}},
      {{"c", "attention"}, {"o"}},
      {{"w1"}, {"gate", "mlp"}},
      {{"w2"}, {"down", "mlp"}},
      {{"w3"}, {"up", "mlp"}},
      {{"wo", "mlp"}, {"down"}},
      {{"in", "mlp"}, {"up"}},
      {{"lin1"}, {"up", "mlp"}},
      {{"lin2"}, {"down", "mlp"}},
      {{"gamma"}, {"lambda"}},
      {{"ls"}, {"lambda"}},
  };
  return rows;
}

}  // namespace

std::vector<std::string> part_roles(const std::string& word) {
  std::vector<std::string> roles;
  for (const auto& w : words_of(word)) {
    if (w == "q" || w == "k" || w == "v" || w == "gate" || w == "up") roles.push_back(w);
    if (w == "w1") roles.push_back("gate");
    if (w == "w3") roles.push_back("up");
  }
  return roles;
}

std::vector<std::string> roles_of(const std::string& text, const std::function<bool(const std::string&)>& exists) {
  auto words = words_of(text);
  const auto has = [&](const std::string& word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  std::vector<std::string> roles;
  for (const RoleRow& row : role_table()) {
    if (!std::all_of(row.words.begin(), row.words.end(),
                     [&](const std::string& w) { return w[0] == '!' ? !has(w.substr(1)) : has(w); }))
      continue;
    for (const auto& role : row.roles) {
      // A feed-forward part of two matrices has no gate.
      std::string own = role;
      const size_t at = text.find("w1");
      if (role == "gate" && at != std::string::npos) {
        std::string third = text;
        third.replace(at, 2, "w3");
        if (!exists(third)) own = "up";
      }
      // Norms after each part: the one after attention comes first.
      if (role == "second" && has("post") && has("attention")) {
        for (const std::string part : {"post_mlp", "post_feedforward", "post_ffn", "post_moe"}) {
          std::string other = text;
          const size_t begin = other.find("post_att"), end = other.find("_layer", begin);
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

double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto weight = [](const std::vector<std::string>& words, size_t i) {
    return 1.0 / (1.0 + 0.3 * static_cast<double>(words.size() - 1 - i));
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

std::string prefix_shape(const Numbered& key, size_t column) {
  std::string text = key.texts[0];
  for (size_t c = 0; c < column; ++c) text += '#' + key.texts[c + 1];
  return text;
}

std::set<std::string> counted_prefixes(const std::vector<std::string>& keys) {
  std::map<std::string, std::set<int64_t>> seen;
  for (const auto& text : keys) {
    const Numbered key = numbered(text);
    for (size_t c = 0; c < key.numbers.size(); ++c) {
      const bool whole =
          (key.texts[c].empty() ? c == 0 : is_separator(key.texts[c].back()) || key.texts[c].back() == '_') &&
          (key.texts[c + 1].empty() || is_separator(key.texts[c + 1][0]));
      if (whole) seen[prefix_shape(key, c)].insert(std::stoll(key.numbers[c]));
    }
  }
  std::set<std::string> counted;
  for (const auto& [prefix, numbers] : seen)
    if (numbers.size() > 1 && *numbers.rbegin() + 1 == static_cast<int64_t>(numbers.size())) counted.insert(prefix);
  return counted;
}

namespace {

// The modules above a key, the nearest first. A number in the name of the nearest counts as one too: conv1 and bn1
// belong together.
std::vector<std::string> modules_above(const std::string& key) {
  constexpr size_t kLevels = 3;
  std::vector<std::string> modules;
  for (std::string path = parent_of(key); !path.empty() && modules.size() < kLevels; path = parent_of(path))
    modules.push_back(path);
  if (modules.empty()) return modules;
  const std::string outer = parent_of(modules[0]), name = modules[0].substr(outer.empty() ? 0 : outer.size() + 1);
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits != std::string::npos && digits + 1 < name.size())
    modules.insert(modules.begin() + 1, outer + ".#" + name.substr(digits + 1));
  return modules;
}

}  // namespace

NameGuide::NameGuide(const Problem& problem, const std::vector<Relation>& known, const std::vector<Relation>& suggested)
    : problem_(problem) {
  for (const Relation& relation : suggested)
    if (relation.kind == Relation::Kind::rename) suggested_.emplace(relation.sources[0], relation.targets[0]);
  for (const Relation& relation : known) {
    // A cut or joined tensor belongs to the module of its first part.
    const auto target = std::find_if(relation.targets.begin(), relation.targets.end(),
                                     [](uint32_t t) { return t != Relation::kNoPart; });
    if (target == relation.targets.end() || !relation.checks.empty()) continue;
    const auto sources = modules_above(problem.key(relation.sources[0])),
               targets = modules_above(problem.info(*target).key);
    for (const auto& s : sources)
      for (const auto& t : targets) modules_[{s, t}] += 1;
    if (relation.kind == Relation::Kind::rename && !sources.empty() && !targets.empty())
      module_shapes_.emplace(numbered(sources[0]).shape(), numbered(targets[0]).shape());
  }
  for (const auto& [pair, votes] : modules_) {
    most_[pair.first] = std::max(most_[pair.first], votes);
    most_back_[pair.second] = std::max(most_back_[pair.second], votes);
  }
}

const std::vector<std::string>& NameGuide::words(const std::string& key) const {
  const auto [it, fresh] = words_.try_emplace(key);
  if (fresh) it->second = words_of(key);
  return it->second;
}

// What the neighbours say: 1, they went the same way; 0, nothing is known; -1, they went elsewhere.
double NameGuide::around(const std::string& source, const std::string& target) const {
  const auto sources = modules_above(source), targets = modules_above(target);
  double best = 0;
  for (size_t i = 0; i < sources.size(); ++i)
    for (size_t j = 0; j < targets.size(); ++j) {
      const auto both = modules_.find({sources[i], targets[j]});
      if (both == modules_.end()) continue;
      const double share = std::min(both->second / most_.at(sources[i]), both->second / most_back_.at(targets[j]));
      best = std::max(best, share * (i + j == 0 ? 1.0 : 0.6 - 0.06 * static_cast<double>(i + j)));
    }
  const bool elsewhere = !sources.empty() && !targets.empty() &&
                         (most_.contains(sources[0]) || most_back_.contains(targets[0])) &&
                         !modules_.contains({sources[0], targets[0]});
  return elsewhere ? best - 1 : best;
}

double NameGuide::score(Ref source, uint32_t target) const {
  const std::string &s = problem_.key(source), &t = problem_.info(target).key;
  if (s == t) return 100;
  double score = alikeness(words(s), words(t)) + 20 * around(s, t) + (suggested_.contains({source, target}) ? 6 : 0);
  const std::string s_module = parent_of(s), t_module = parent_of(t);
  if (s.substr(s_module.size()) == t.substr(t_module.size())) score += 1;
  if (module_shapes_.contains({numbered(s_module).shape(), numbered(t_module).shape()})) score += 2;
  if (numbered(s).numbers == numbered(t).numbers) score += 1;
  return score;
}

}  // namespace remap::infer
