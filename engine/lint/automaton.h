// Regular languages as automata: do two expressions have a text in common?
//
// Reads the part of RE2's syntax that key patterns need: literals, classes, groups, alternatives, repetitions, anchors
// at both ends. An expression with anything else, or one whose automaton would be large, has none; the caller then has
// to try texts.
#pragma once

#include <bitset>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace remap::linting {

using Bytes = std::bitset<256>;

class Automaton {
 public:
  static std::optional<Automaton> of(const std::string& regex);

  using States = std::vector<int>;  // sorted; the states a text can have led to
  States start() const { return closure({0}); }
  States after(const States& states, unsigned char byte) const;
  bool accepts(const States& states) const;
  // Bytes between which no edge tells have the same number.
  const std::vector<int>& byte_classes() const { return classes_; }

 private:
  struct Edge {
    Bytes bytes;
    int to;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<int> empty;  // where it leads without a byte
  };
  friend class AutomatonBuilder;
  States closure(std::vector<int> states) const;
  void number_bytes();

  std::vector<State> states_;
  std::vector<int> classes_;
  int last_ = 0;
};

// Texts that `a` and `b` match and none of `without` does: shortest first, letters rather than digits rather than
// signs, at most `wanted`. `steps` is what the search may still cost, and is counted down; at 0 the search ends early.
std::vector<std::string> common_texts(const Automaton& a, const Automaton& b,
                                      const std::vector<const Automaton*>& without, size_t wanted, size_t& steps);

}  // namespace remap::linting
