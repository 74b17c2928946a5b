#include "infer/name_guide.h"

#include <algorithm>

#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/weights.h"

namespace remap::infer {
namespace {

// What the score of a pair is made of, beside how alike its words are (0 … 1).
constexpr double kSameKey = 100;    // in place of all else
constexpr double kModules = 20;     // their modules went the same way; less that for elsewhere
constexpr double kSuggested = 6;    // names alone say so
constexpr double kSameShape = 2;    // modules whose names differ in numbers went the same way
constexpr double kSameEnd = 1;      // what the tensor is called in its module
constexpr double kSameNumbers = 1;  // all numbers in their keys
// Of modules further out, how much of kModules; and less for each level.
constexpr double kOuterModule = 0.6, kLevel = 0.06;

}  // namespace

// The modules above a key, the nearest first. A number in the name of the nearest counts as one too: conv1 and bn1
// belong together.
std::vector<NameGuide::Module> NameGuide::modules_above(const std::string& key) {
  constexpr size_t kLevels = 3;
  std::vector<Module> modules;
  for (std::string path = parent_of(key); !path.empty() && modules.size() < kLevels; path = parent_of(path))
    modules.push_back({path, ""});
  if (modules.empty()) return modules;
  const std::string& nearest = modules[0].path;
  const std::string outer = parent_of(nearest), name = nearest.substr(outer.empty() ? 0 : outer.size() + 1);
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits != std::string::npos && digits + 1 < name.size())
    modules.insert(modules.begin() + 1, {outer, name.substr(digits + 1)});
  return modules;
}

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
      module_shapes_.emplace(numbered(sources[0].path).shape(), numbered(targets[0].path).shape());
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
      best = std::max(best, share * (i + j == 0 ? 1.0 : kOuterModule - kLevel * static_cast<double>(i + j)));
    }
  const bool elsewhere = !sources.empty() && !targets.empty() &&
                         (most_.contains(sources[0]) || most_back_.contains(targets[0])) &&
                         !modules_.contains({sources[0], targets[0]});
  return elsewhere ? best - 1 : best;
}

double NameGuide::score(Ref source, uint32_t target) const {
  const std::string &s = problem_.key(source), &t = problem_.info(target).key;
  if (s == t) return kSameKey;
  double score = alikeness(words(s), words(t), Weights().word_decay) + kModules * around(s, t);
  if (suggested_.contains({source, target})) score += kSuggested;
  const std::string s_module = parent_of(s), t_module = parent_of(t);
  if (s.substr(s_module.size()) == t.substr(t_module.size())) score += kSameEnd;
  if (module_shapes_.contains({numbered(s_module).shape(), numbered(t_module).shape()})) score += kSameShape;
  if (numbered(s).numbers == numbered(t).numbers) score += kSameNumbers;
  return score;
}

}  // namespace remap::infer
