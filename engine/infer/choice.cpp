#include "infer/choice.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <unordered_map>

namespace remap::infer {
namespace {

constexpr int kRounds = 4;
constexpr size_t kLevels = 3;  // modules above a tensor that count
constexpr double kMostVote = 1;
constexpr double kNoVote = 1e-9;  // less than any

// The modules above each template by number, the nearest first.
using Modules = std::vector<std::vector<size_t>>;

Modules modules_of(const std::vector<KeyTemplate>& side) {
  std::map<KeyForm, size_t> numbers;
  Modules modules;
  for (const KeyTemplate& one : side) {
    modules.emplace_back();
    for (KeyForm path = one.key.parent(); !path.empty() && modules.back().size() < kLevels; path = path.parent())
      modules.back().push_back(numbers.try_emplace(path, numbers.size()).first->second);
  }
  return modules;
}

// How often modules were seen to correspond, weighed by how certain that was.
class ModuleVotes {
 public:
  ModuleVotes(const Templates& templates, const Weights& weights)
      : weights_(weights), source_(modules_of(templates.source)), target_(modules_of(templates.target)) {}

  // How much the modules around a source and a target template correspond.
  double around(size_t s, size_t t) const {
    double best = 0;
    for (size_t i = 0; i < source_[s].size(); ++i)
      for (size_t j = 0; j < target_[t].size(); ++j) {
        const size_t a = source_[s][i], b = target_[t][j];
        const auto both = votes_.find(pair_of(a, b));
        if (both == votes_.end()) continue;
        const double share = both->second / std::max(most_.at(a), kNoVote),
                     back = both->second / std::max(most_back_.at(b), kNoVote);
        best = std::max(best, std::min(share, back) * nearness(i, j));
      }
    return best;
  }

  void learn(const std::vector<Hypothesis>& hypotheses, const std::vector<size_t>& chosen) {
    votes_.clear(), most_.clear(), most_back_.clear();
    for (const size_t h : chosen) {
      const Hypothesis& one = hypotheses[h];
      const double vote = std::clamp(one.score - weights_.vote_threshold, weights_.least_vote, kMostVote);
      for (const size_t s : one.sources)
        for (const size_t t : one.targets)
          for (size_t i = 0; i < source_[s].size(); ++i)
            for (size_t j = 0; j < target_[t].size(); ++j)
              votes_[pair_of(source_[s][i], target_[t][j])] += vote * (i == j ? 1.0 : weights_.level_change);
    }
    for (const auto& [pair, vote] : votes_) {
      double &most = most_[pair >> 32], &back = most_back_[pair & 0xffffffffu];
      most = std::max(most, vote), back = std::max(back, vote);
    }
  }

 private:
  static uint64_t pair_of(size_t source, size_t target) { return uint64_t{source} << 32 | uint64_t{target}; }
  // Modules right above a tensor say more than those around them.
  double nearness(size_t i, size_t j) const {
    return i + j == 0 ? weights_.same_module
                      : weights_.outer_module - weights_.module_distance * static_cast<double>(i + j + 2);
  }

  const Weights& weights_;
  Modules source_, target_;
  std::unordered_map<uint64_t, double> votes_;           // of a source and a target module
  std::unordered_map<size_t, double> most_, most_back_;  // of each with the one that it fits best
};

}  // namespace

Choice choose(std::vector<Hypothesis>& hypotheses, const Templates& templates, const Weights& weights) {
  ModuleVotes votes(templates, weights);
  Choice choice;
  for (int round = 0; round < kRounds; ++round) {
    for (auto& one : hypotheses) {
      double around = 0;
      for (const size_t s : one.sources)
        for (const size_t t : one.targets) around += votes.around(s, t);
      one.score = one.base + around / static_cast<double>(one.sources.size() * one.targets.size());
    }
    std::vector<size_t> order(hypotheses.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return hypotheses[a].score > hypotheses[b].score; });
    choice.source_owner.assign(templates.source.size(), Choice::kNone);
    choice.target_owner.assign(templates.target.size(), Choice::kNone);
    choice.chosen.clear();
    for (const size_t h : order) {
      const Hypothesis& one = hypotheses[h];
      const auto is_free = [](const std::vector<size_t>& list, const std::vector<size_t>& owner) {
        return std::all_of(list.begin(), list.end(), [&](size_t i) { return owner[i] == Choice::kNone; });
      };
      if (!is_free(one.sources, choice.source_owner) || !is_free(one.targets, choice.target_owner)) continue;
      for (const size_t s : one.sources) choice.source_owner[s] = h;
      for (const size_t t : one.targets) choice.target_owner[t] = h;
      choice.chosen.push_back(h);
    }
    votes.learn(hypotheses, choice.chosen);
  }
  return choice;
}

}  // namespace remap::infer
