#include "infer/doubts.h"

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

// A lead that names alone do not bear out is this much less than a sure one.
constexpr double kNotBorneOut = 0.01;

// The name of the module that a tensor is in.
std::string module_name(const std::string& text) { return segments_of(parent_of(text)).back(); }
bool is_norm(const std::string& text) { return has_word(words_of(text), kNorm); }

// Whether positions turn q and k: the keys say so, or none says that positions are learned.
bool may_be_rotary(const Templates& templates) {
  bool learned = false;
  for (const auto* side : {&templates.source, &templates.target})
    for (const KeyTemplate& one : *side)
      for (const auto& word : words_of(one.text)) {
        if (says_rotary(word)) return true;
        learned |= says_learned_positions(word);
      }
  return !learned;
}

// The word that says that a tensor projects to q or k; "": it does not.
std::string projection_word(const KeyTemplate& one) {
  std::string found;
  for (const auto& segment : segments_of(one.text)) {
    const auto words = words_of(segment);
    if ((has_word(words, kQuery) || has_word(words, kKey)) && !has_word(words, kNorm)) found = segment;
  }
  return found;
}

// The last module is called by a number: its place in a list of modules, which says nothing about what it does.
bool is_bare_number(const KeyTemplate& one) { return is_number(module_name(one.text)); }

// What a chosen hypothesis leads over, and by how much.
struct Rival {
  double lead = std::numeric_limits<double>::infinity();
  size_t template_number = 0;
  bool is_source = false;
};

class Doubts {
 public:
  Doubts(std::vector<Hypothesis>& hypotheses, const Choice& choice, const Templates& templates, const Weights& weights)
      : hypotheses_(hypotheses),
        choice_(choice),
        templates_(templates),
        weights_(weights),
        by_source_(templates.source.size()),
        by_target_(templates.target.size()),
        rotary_(may_be_rotary(templates)) {
    for (size_t h = 0; h < hypotheses.size(); ++h) {
      const Hypothesis& one = hypotheses[h];
      for (const size_t s : one.sources) by_source_[s].push_back(h);
      for (const size_t t : one.targets) by_target_[t].push_back(h);
      if (one.is_rename()) renames_[{one.sources[0], one.targets[0]}] = h;
    }
  }

  void note(size_t h) {
    using Kind = Relation::Kind;
    Hypothesis& one = hypotheses_[h];
    const auto add = [&](bool doubtful, std::string_view check) {
      if (doubtful) one.checks.emplace_back(check);
    };
    const bool rename = one.is_rename();
    add(rename && rotary_ && is_renamed_projection(one),
        "the order of the rows of q and k (rotary), which only weights can tell");
    add(one.kind == Kind::split_into || one.kind == Kind::concat || one.kind == Kind::stack_concat,
        "the order of the parts, and of the rows in each, is taken from names");
    if (rename && is_same_name(source(one), target(one))) return;
    add(rename && !one.order.empty(), "transposed, by its shape");
    add(rename && has_rival_norm(one), "which norm this is, is taken from names");
    add(rename && fused_name(target(one).text, 2) == FusedName::of_as_many, "its rows may have another order");
    const Rival rival = rival_of(h);
    const bool any = rival.lead < std::numeric_limits<double>::infinity();
    if (rival.lead < weights_.sure_lead ||
        (any && rename && (is_bare_number(source(one)) || is_bare_number(target(one))))) {
      const auto& side = rival.is_source ? templates_.source : templates_.target;
      add(true, fmt::format("'{}' {}", side[rival.template_number].key.shown("*"), kFitsAsWell));
    } else {
      add(one.score < weights_.weak_score, "only its shape says so, hardly its name");
    }
  }

 private:
  const KeyTemplate& source(const Hypothesis& one) const { return templates_.source[one.sources[0]]; }
  const KeyTemplate& target(const Hypothesis& one) const { return templates_.target[one.targets[0]]; }

  // A projection to q or k whose own name is another: who renames these may have another order of their rows.
  bool is_renamed_projection(const Hypothesis& one) const {
    const std::string from = projection_word(source(one)), to = projection_word(target(one));
    return from != to && !to.empty();
  }

  // A norm whose name is another, and which is not the only one in its module.
  bool has_rival_norm(const Hypothesis& one) const {
    const KeyTemplate &from = source(one), &to = target(one);
    if (!(is_norm(module_name(from.text)) || is_norm(module_name(to.text))) ||
        module_name(from.ordinal) == module_name(to.ordinal))
      return false;
    const std::string around = parent_of(parent_of(to.text));
    return std::count_if(templates_.target.begin(), templates_.target.end(), [&](const KeyTemplate& other) {
             return parent_of(parent_of(other.text)) == around && is_norm(module_name(other.text)) &&
                    other.shape() == to.shape() && other.leaf == to.leaf;
           }) > 1;
  }

  // What else a source or target here could be with the least loss.
  Rival rival_of(size_t h) const {
    Rival rival;
    const auto look = [&](const std::vector<size_t>& others, bool is_source) {
      for (const size_t other : others) {
        if (other == h) continue;
        const double lead = lead_over(h, other);
        const Hypothesis& one = hypotheses_[other];
        if (lead < rival.lead) rival = {lead, is_source ? one.sources[0] : one.targets[0], is_source};
      }
    };
    for (const size_t s : hypotheses_[h].sources) look(by_source_[s], false);
    for (const size_t t : hypotheses_[h].targets) look(by_target_[t], true);
    return rival;
  }

  // How much better `h` is: with what the modules around say, and hardly worse without.
  double lead_over(size_t h, size_t other) const {
    const double lead = exchange(h, other, &Hypothesis::score);
    return exchange(h, other, &Hypothesis::base) < weights_.sure_lead_by_name
               ? std::min(lead, weights_.sure_lead - kNotBorneOut)
               : lead;
  }

  // What is lost if `other` held instead of `h`, and those it displaces were exchanged.
  double exchange(size_t h, size_t other, double Hypothesis::*worth) const {
    const Hypothesis &one = hypotheses_[h], &alternative = hypotheses_[other];
    const double loss = one.*worth - alternative.*worth;
    if (!one.is_rename() || !alternative.is_rename()) return loss;
    const bool same_source = alternative.sources[0] == one.sources[0];
    const size_t displaced =
        same_source ? choice_.target_owner[alternative.targets[0]] : choice_.source_owner[alternative.sources[0]];
    if (displaced == Choice::kNone) return loss;
    const Hypothesis& second = hypotheses_[displaced];
    if (!second.is_rename()) return loss + second.*worth;
    const auto swapped = same_source ? renames_.find({second.sources[0], one.targets[0]})
                                     : renames_.find({one.sources[0], second.targets[0]});
    return loss + second.*worth - (swapped == renames_.end() ? 0 : hypotheses_[swapped->second].*worth);
  }

  std::vector<Hypothesis>& hypotheses_;
  const Choice& choice_;
  const Templates& templates_;
  const Weights& weights_;
  std::vector<std::vector<size_t>> by_source_, by_target_;  // templates -> hypotheses
  std::map<std::pair<size_t, size_t>, size_t> renames_;     // templates -> the hypothesis
  bool rotary_;
};

}  // namespace

void note_doubts(std::vector<Hypothesis>& hypotheses, const Choice& choice, const Templates& templates,
                 const Weights& weights) {
  Doubts doubts(hypotheses, choice, templates, weights);
  for (const size_t h : choice.chosen) doubts.note(h);
}

}  // namespace remap::infer
