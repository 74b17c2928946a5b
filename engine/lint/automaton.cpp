#include "lint/automaton.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace remap::linting {
namespace {

constexpr int kMaxStates = 4000;
constexpr int kMaxDepth = 64;
constexpr int kMaxRepeat = 64;

struct Unknown {};  // thrown: part of an expression that is not read here

// Expression as a tree.
struct Node {
  enum class Kind { bytes, sequence, choice, repeat } kind = Kind::sequence;
  Bytes bytes;
  std::vector<Node> children;
  int min = 1, max = 1;  // of a repeat; max -1: any number
};

Bytes range(unsigned char from, unsigned char to) {
  Bytes bytes;
  for (int c = from; c <= to; ++c) bytes.set(static_cast<size_t>(c));
  return bytes;
}
Bytes single(char c) { return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c)); }

class RegexParser {
 public:
  explicit RegexParser(const std::string& text) : text_(text) {}
  Node whole() {
    Node node = choice(0);
    if (at_ != text_.size()) throw Unknown{};
    return node;
  }

 private:
  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool accept(std::string_view token) {
    if (text_.compare(at_, token.size(), token) != 0) return false;
    at_ += token.size();
    return true;
  }

  Node choice(int depth) {
    if (depth > kMaxDepth) throw Unknown{};
    Node node{Node::Kind::choice, {}, {sequence(depth)}};
    while (accept("|")) node.children.push_back(sequence(depth));
    return node;
  }
  // Anchors say nothing at the ends of a whole match, and something else anywhere else.
  Node sequence(int depth) {
    Node node;
    if (depth == 0) static_cast<void>(accept("^") || accept("\\A"));
    while (!done() && peek() != '|' && peek() != ')') {
      if (depth == 0 && (accept("$") || accept("\\z"))) {
        if (!done() && peek() != '|') throw Unknown{};
        break;
      }
      node.children.push_back(repeated(atom(depth)));
    }
    return node;
  }
  Node repeated(Node inner) {
    Node node{Node::Kind::repeat, {}, {}};
    if (accept("*"))
      node.min = 0, node.max = -1;
    else if (accept("+"))
      node.min = 1, node.max = -1;
    else if (accept("?"))
      node.min = 0, node.max = 1;
    else if (peek() == '{' && at_ + 1 < text_.size() && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9')
      counts(node);
    else
      return inner;
    accept("?");  // as few as possible: the same texts
    if (peek() == '*' || peek() == '+' || peek() == '?') throw Unknown{};
    node.children.push_back(std::move(inner));
    return node;
  }
  void counts(Node& node) {
    ++at_;
    node.min = number();
    node.max = node.min;
    if (accept(",")) node.max = peek() == '}' ? -1 : number();
    if (!accept("}")) throw Unknown{};
  }
  int number() {
    int value = 0;
    if (peek() < '0' || peek() > '9') throw Unknown{};
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxRepeat) throw Unknown{};
    }
    return value;
  }
  Node atom(int depth) {
    if (accept("(")) {
      if (accept("?P<") || accept("?<")) {
        while (!done() && peek() != '>') ++at_;
        ++at_;
      } else if (accept("?s:")) {
        const bool outside = std::exchange(dot_takes_line_ends_, true);
        Node inner = closed(depth);
        dot_takes_line_ends_ = outside;
        return inner;
      } else if (peek() == '?' && !accept("?:")) {
        throw Unknown{};
      }
      return closed(depth);
    }
    const char c = text_[at_++];
    if (c == '[') return of(bracket());
    if (c == '.') return of(dot_takes_line_ends_ ? ~Bytes() : ~single('\n'));
    if (c == '\\') return of(escape());
    if (c == '^' || c == '$' || c == '*' || c == '+' || c == '?') throw Unknown{};
    return of(single(c));
  }
  // A group, its ( read.
  Node closed(int depth) {
    Node inner = choice(depth + 1);
    if (!accept(")")) throw Unknown{};
    return inner;
  }
  static Node of(Bytes bytes) { return {Node::Kind::bytes, bytes, {}}; }

  Bytes escape() {
    if (done()) throw Unknown{};
    const char c = text_[at_++];
    const Bytes word = range('a', 'z') | range('A', 'Z') | range('0', '9') | single('_');
    const Bytes space = single(' ') | single('\t') | single('\n') | single('\r') | single('\f');
    switch (c) {
      case 'd': return range('0', '9');
      case 'D': return ~range('0', '9');
      case 'w': return word;
      case 'W': return ~word;
      case 's': return space;
      case 'S': return ~space;
      case 'n': return single('\n');
      case 't': return single('\t');
      case 'x': return hexadecimal();
      default:
        if (word.test(static_cast<unsigned char>(c))) throw Unknown{};
        return single(c);
    }
  }
  Bytes hexadecimal() {
    int value = 0;
    for (int i = 0; i < 2; ++i) {
      const std::string_view digits = "0123456789abcdef";
      const size_t digit = done() ? std::string_view::npos : digits.find(static_cast<char>(text_[at_++] | 0x20));
      if (digit == std::string_view::npos) throw Unknown{};
      value = value * 16 + static_cast<int>(digit);
    }
    return single(static_cast<char>(value));
  }
  Bytes bracket() {
    const bool negated = accept("^");
    Bytes bytes;
    for (bool first = true; first || peek() != ']'; first = false) {
      if (done() || text_.compare(at_, 2, "[:") == 0) throw Unknown{};
      const char low = text_[at_++];
      if (static_cast<unsigned char>(low) >= 0x80) throw Unknown{};
      Bytes one = low == '\\' ? escape() : single(low);
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const char high = text_[at_++];
        if (one.count() != 1 || high == '\\' || static_cast<unsigned char>(high) >= 0x80) throw Unknown{};
        size_t begin = 0;
        while (!one.test(begin)) ++begin;
        one = range(static_cast<unsigned char>(begin), static_cast<unsigned char>(high));
      }
      bytes |= one;
    }
    ++at_;
    return negated ? ~bytes : bytes;
  }

  const std::string& text_;
  size_t at_ = 0;
  bool dot_takes_line_ends_ = false;
};

}  // namespace

class AutomatonBuilder {
 public:
  static Automaton build(const Node& node) {
    AutomatonBuilder builder;
    builder.result_.last_ = builder.add(node, builder.state());
    builder.result_.number_bytes();
    return std::move(builder.result_);
  }

 private:
  int state() {
    if (result_.states_.size() >= kMaxStates) throw Unknown{};
    result_.states_.emplace_back();
    return static_cast<int>(result_.states_.size()) - 1;
  }
  Automaton::State& at(int state) { return result_.states_[static_cast<size_t>(state)]; }
  void link(int from, int to) { at(from).empty.push_back(to); }

  // Adds what reads the node's texts from `from` on; returns where it ends.
  int add(const Node& node, int from) {
    switch (node.kind) {
      case Node::Kind::bytes: {
        const int to = state();
        at(from).edges.push_back({node.bytes, to});
        return to;
      }
      case Node::Kind::sequence:
        for (const Node& child : node.children) from = add(child, from);
        return from;
      case Node::Kind::choice: {
        const int end = state();
        for (const Node& child : node.children) {
          const int begin = state();
          link(from, begin);
          link(add(child, begin), end);
        }
        return end;
      }
      case Node::Kind::repeat: {
        for (int i = 0; i < node.min; ++i) from = add(node.children[0], from);
        const int end = state();
        link(from, end);
        if (node.max < 0) {
          const int again = state();
          link(from, again);
          const int once = add(node.children[0], again);
          link(once, again);
          link(once, end);
        }
        for (int i = node.min; i < node.max; ++i) {
          from = add(node.children[0], from);
          link(from, end);
        }
        return end;
      }
    }
    return from;
  }

  Automaton result_;
};

std::optional<Automaton> Automaton::of(const std::string& regex) {
  try {
    return AutomatonBuilder::build(RegexParser(regex).whole());
  } catch (const Unknown&) {
    return std::nullopt;
  }
}

Automaton::States Automaton::closure(std::vector<int> states) const {
  std::vector<bool> seen(states_.size());
  std::vector<int> found;
  while (!states.empty()) {
    const int state = states.back();
    states.pop_back();
    if (seen[static_cast<size_t>(state)]) continue;
    seen[static_cast<size_t>(state)] = true;
    found.push_back(state);
    for (const int next : states_[static_cast<size_t>(state)].empty) states.push_back(next);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Automaton::States Automaton::after(const States& states, unsigned char byte) const {
  std::vector<int> next;
  for (const int state : states)
    for (const Edge& edge : states_[static_cast<size_t>(state)].edges)
      if (edge.bytes.test(byte)) next.push_back(edge.to);
  return closure(std::move(next));
}

bool Automaton::accepts(const States& states) const { return std::binary_search(states.begin(), states.end(), last_); }

void Automaton::number_bytes() {
  classes_.assign(256, 0);
  int count = 1;
  for (const State& state : states_)
    for (const Edge& edge : state.edges) {
      std::map<int, int> split;  // old number -> the one of those that the edge takes
      for (size_t c = 0; c < 256; ++c)
        if (edge.bytes.test(c))
          classes_[c] = split.try_emplace(classes_[c], count + static_cast<int>(split.size())).first->second;
      count += static_cast<int>(split.size());
    }
}

namespace {

// One byte of every class of bytes between which none of the automata tells; readable ones where there is a choice.
std::vector<unsigned char> representatives(const std::vector<const Automaton*>& automata) {
  static const std::string kReadable = "xabcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
  std::map<std::vector<int>, unsigned char> chosen;
  std::vector<unsigned char> order;
  const auto offer = [&](unsigned char byte) {
    std::vector<int> signature;
    for (const Automaton* automaton : automata) signature.push_back(automaton->byte_classes()[byte]);
    if (chosen.try_emplace(std::move(signature), byte).second) order.push_back(byte);
  };
  for (const char c : kReadable) offer(static_cast<unsigned char>(c));
  for (int c = 0; c < 256; ++c) offer(static_cast<unsigned char>(c));
  return order;
}

}  // namespace

std::vector<std::string> common_texts(const Automaton& a, const Automaton& b,
                                      const std::vector<const Automaton*>& without, size_t wanted, size_t& steps) {
  std::vector<const Automaton*> automata = {&a, &b};
  automata.insert(automata.end(), without.begin(), without.end());
  const auto bytes = representatives(automata);
  using Position = std::vector<Automaton::States>;
  struct Reached {
    Position position;
    std::string text;
  };
  std::deque<Reached> open;
  std::map<Position, size_t> visits;
  Position first;
  for (const Automaton* automaton : automata) first.push_back(automaton->start());
  open.push_back({std::move(first), ""});
  std::vector<std::string> found;
  while (!open.empty() && found.size() < wanted && steps > 0) {
    const Reached at = std::move(open.front());
    open.pop_front();
    bool excluded = false;
    for (size_t i = 2; i < automata.size(); ++i) excluded |= automata[i]->accepts(at.position[i]);
    if (!excluded && a.accepts(at.position[0]) && b.accepts(at.position[1])) found.push_back(at.text);
    for (const unsigned char byte : bytes) {
      Position next;
      size_t cost = 1;
      for (size_t i = 0; i < automata.size(); ++i) {
        next.push_back(automata[i]->after(at.position[i], byte));
        cost += at.position[i].size() + next.back().size();
      }
      steps -= std::min(steps, cost);
      if (next[0].empty() || next[1].empty() || ++visits[next] > wanted) continue;
      open.push_back({std::move(next), at.text + static_cast<char>(byte)});
    }
  }
  return found;
}

}  // namespace remap::linting
