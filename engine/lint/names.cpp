// Names that nothing binds, and names that nothing uses.
#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include "lang/visit.h"
#include "lint/linter.h"

namespace remap::linting {
namespace {

using lang::Expression;
using lang::ExpressionNode;
using lang::KeyPattern;
using lang::NodeKind;
using lang::PatternToken;
using lang::Rule;

bool is_word_in(const std::string& text, const std::string& word) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    if ((at == 0 || !is_word(text[at - 1])) && (at + word.size() == text.size() || !is_word(text[at + word.size()])))
      return true;
  return false;
}

const PatternToken* hole_of(const KeyPattern& pattern, const std::string& name) {
  for (const PatternToken& token : pattern.tokens)
    if (token.kind == PatternToken::Kind::hole && token.text == name) return &token;
  return nullptr;
}

class Names {
 public:
  explicit Names(Linter& linter) : linter_(linter), set_(linter.set) {
    for (const char* name : {"meta", "dtype", "config", "set", "checkpoint"}) defined_.insert(name);
    for (const auto& source : set_.sources) defined_.insert(source.name);
    for (const auto& document : set_.documents) defined_.insert(document.name);
    for (const auto& [name, expression] : set_.let) defined_.insert(name);
    for (const auto& variant : set_.variants) defined_.insert(variant.name);
  }

  void check() {
    note_uses();
    check_dims();
    check_unused();
    for (const Rule& rule : set_.rules)
      if (rule.kind == Rule::Kind::move) check_captures(rule);
  }

 private:
  struct Use {
    const Expression* expression;
    const ExpressionNode* node;
  };
  TextPlace place_of(const Use& use) const { return use.expression->written.place(use.node->offset, use.node->length); }

  void note_uses() {
    lang::visit_expressions(set_, [&](const Expression& e) {
      lang::visit(e.root, [&](const ExpressionNode& node) {
        if (node.kind == NodeKind::name) uses_[node.text].push_back({&e, &node});
      });
    });
    lang::visit_patterns(set_, [&](const KeyPattern& pattern) {
      for (const PatternToken& token : pattern.tokens) {
        if (token.kind == PatternToken::Kind::variant) in_patterns_.insert(token.text);
        if (!token.table.empty()) tables_.insert(token.table);
      }
    });
  }

  // ------------------------------------------------------------ dims

  bool is_dim(const std::string& name, const Rule& rule) const {
    return !defined_.contains(name) && hole_of(rule.from, name) == nullptr;
  }

  // The dim that the node names: hidden, hidden.m, hidden[m]; "" if it is none.
  std::string dim_of(const ExpressionNode& node, const Rule& rule) const {
    if (node.kind == NodeKind::name) return is_dim(node.text, rule) ? node.text : "";
    if ((node.kind == NodeKind::member || node.kind == NodeKind::index) && node.children[0].kind == NodeKind::name)
      return dim_of(node.children[0], rule);
    return "";
  }
  bool is_unbound(const ExpressionNode& node, const Rule& rule) const {
    if (const std::string dim = dim_of(node, rule); !dim.empty()) return !bound_.contains(dim);
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const ExpressionNode& child) { return is_unbound(child, rule); });
  }
  // Whether a size tells the one dim in the node that is not known yet: what Dims does once sizes are there.
  bool solve(const ExpressionNode& node, const Rule& rule) {
    if (const std::string dim = dim_of(node, rule); !dim.empty()) return bound_.insert(dim).second;
    if (node.kind != NodeKind::binary || node.text == "//" || node.text == "%") return false;
    const bool left = is_unbound(node.children[0], rule), right = is_unbound(node.children[1], rule);
    if (left == right) return false;
    return solve(node.children[left ? 0 : 1], rule);
  }

  void check_dims() {
    for (bool progress = true; progress;) {
      progress = false;
      for (const Rule& rule : set_.rules) {
        if (!rule.shape || rule.kind != Rule::Kind::move) continue;
        for (const auto& term : *rule.shape)
          if (term.expression && is_unbound(term.expression->root, rule))
            progress |= solve(term.expression->root, rule);
      }
    }
    for (const auto& [name, uses] : uses_)
      if (!defined_.contains(name) && !bound_.contains(name) && !is_hole(name))
        linter_.diagnostics.warning("lint-dim-unbound", place_of(uses.front()),
                                    fmt::format("no shape tells how large '{}' is", name),
                                    "state it in the shape of a rule with 'from', or define it under 'let'");
    for (const Rule& rule : set_.rules)
      if (rule.shape && rule.kind == Rule::Kind::move) check_stated_once(rule);
  }
  bool is_hole(const std::string& name) const {
    return std::any_of(set_.rules.begin(), set_.rules.end(), [&](const Rule& rule) {
      return hole_of(rule.from, name) != nullptr || rule.is_split_hole(name) ||
             std::any_of(rule.each.begin(), rule.each.end(), [&](const lang::Loop& loop) { return loop.name == name; });
    });
  }
  // The size of one axis of one tensor, which is compared with nothing.
  void check_stated_once(const Rule& rule) {
    const bool one_key =
        !rule.from.is_regex && std::all_of(rule.from.tokens.begin(), rule.from.tokens.end(),
                                           [](const PatternToken& t) { return t.kind == PatternToken::Kind::literal; });
    if (!one_key) return;
    for (const auto& term : *rule.shape) {
      if (!term.expression || term.expression->root.kind != NodeKind::name) continue;
      const std::string& name = term.expression->root.text;
      const auto uses = uses_.find(name);
      if (!is_dim(name, rule) || uses == uses_.end() || uses->second.size() != 1 || is_word_in_models(name)) continue;
      linter_.diagnostics.warning(
          "lint-dim-unchecked", place_of(uses->second.front()),
          fmt::format("'{}' is the size of one axis of one tensor, and nothing else uses it: nothing is checked", name),
          "write '_' for any size, or use the name");
    }
  }

  // ------------------------------------------------------------ unused

  // Forward passes see variants and what the plan knows.
  bool is_word_in_models(const std::string& name) const {
    return std::any_of(std::begin(models_), std::end(models_),
                       [&](const auto* model) { return *model && is_word_in((*model)->text(), name); });
  }
  bool is_used(const std::string& name) const {
    return uses_.contains(name) || in_patterns_.contains(name) || is_word_in_models(name);
  }

  void check_unused() {
    const auto unused = [&](const char* section, const char* what, const std::string& name, const std::string& hint) {
      const lang::YamlNode* node = linter_.root.find(section);
      if (node == nullptr) return;
      for (const auto& [key, value] : node->entries)
        if (key.text == name)
          linter_.diagnostics.warning("lint-unused-name", lang::place_of(*set_.text, key),
                                      fmt::format("nothing uses the {} '{}'", what, name), hint);
    };
    for (const auto& [name, expression] : set_.let)
      if (!is_used(name)) unused("let", "name", name, "leave it out");
    for (const auto& variant : set_.variants)
      if (!is_used(variant.name))
        unused("variants", "variant", variant.name,
               fmt::format("--set {}=… would change nothing: leave it out, or ask for it in a 'when'", variant.name));
    for (const auto& [name, table] : set_.tables)
      if (!tables_.contains(name))
        unused("maps", "table", name, fmt::format("write {{hole:{}}} in a pattern, or leave it out", name));
  }

  // Two keys that differ only in what the target does not have would become one tensor.
  void check_captures(const Rule& rule) {
    if (!seen_.emplace(rule.place.line, rule.place.column).second) return;  // 'linear' stands for two rules
    const auto report = [&](const PatternToken& token, const std::string& text) {
      linter_.diagnostics.warning(
          "lint-unused-capture", rule.from.place_of(token),
          fmt::format("'{}' takes any text, and the target '{}' has no place for it: all keys would become one tensor",
                      text, rule.to.text),
          "use it in 'to', or say which text is meant");
    };
    const auto of_files = holes_of_files(rule);
    size_t stars = 0, rests = 0;
    const auto count = [&](PatternToken::Kind kind) {
      return static_cast<size_t>(std::count_if(rule.to.tokens.begin(), rule.to.tokens.end(),
                                               [&](const PatternToken& t) { return t.kind == kind; }));
    };
    for (const PatternToken& token : rule.from.tokens) {
      if (token.kind == PatternToken::Kind::star && ++stars > count(token.kind)) report(token, "*");
      if (token.kind == PatternToken::Kind::rest && ++rests > count(token.kind)) report(token, "**");
      if (token.kind == PatternToken::Kind::hole && token.alternatives.empty() &&
          !lang::names_hole(rule.to, token.text) && !is_named_by_a_field(rule, token.text) &&
          hole_of(rule.from, token.text) == &token)
        of_files.contains(token.text) ? report_file(rule, token) : report(token, fmt::format("{{{}}}", token.text));
    }
    for (int group = 1; rule.from.is_regex && group <= groups_of(rule.from.regex); ++group)
      if (rule.to.text.find("\\" + std::to_string(group)) == std::string::npos)
        linter_.diagnostics.warning(
            "lint-unused-capture", rule.from.written.place(),
            fmt::format("group {} of the expression is not in the target '{}'", group, rule.to.text),
            fmt::format("write \\{} in 'to', or (?:…) for a group that takes nothing", group));
  }
  // The holes with which the rule's keys begin where they come from several files: {rank}/…
  std::set<std::string> holes_of_files(const Rule& rule) const {
    std::set<std::string> holes;
    for (const auto& source : set_.sources) {
      if (source.name != rule.source || !source.files) continue;
      size_t at = 0;
      for (const PatternToken& token : source.files->tokens) {
        if (token.kind != PatternToken::Kind::hole) continue;
        const auto& tokens = rule.from.tokens;
        if (at + 1 >= tokens.size() || tokens[at].kind != PatternToken::Kind::hole ||
            !tokens[at + 1].text.starts_with("/"))
          break;
        holes.insert(tokens[at].text);
        at += 2;
      }
    }
    return holes;
  }
  // Where each key is in one file, as layers spread over files are, nothing is lost; a plan of a manifest shows that.
  void report_file(const Rule& rule, const PatternToken& token) {
    if (linter_.options.cases.empty())
      linter_.diagnostics.warning("lint-unused-capture", rule.from.place_of(token),
                                  fmt::format("'{{{}}}' tells the files apart, and the rule does not say what becomes "
                                              "of a key that several of them have",
                                              token.text),
                                  "join them with 'concat', 'stack' or 'replicated'; if each key is in one file, a "
                                  "manifest (--manifest) shows it");
  }
  static int groups_of(const std::string& regex) {
    int groups = 0;
    bool in_class = false;
    for (size_t i = 0; i < regex.size(); ++i) {
      if (regex[i] == '\\')
        ++i;
      else if (regex[i] == '[' || regex[i] == ']')
        in_class = regex[i] == '[';
      else if (!in_class && regex[i] == '(' &&
               (regex.compare(i + 1, 1, "?") != 0 || regex.compare(i + 1, 2, "?P") == 0))
        ++groups;
    }
    return groups;
  }
  // stack: {axis: 0, each: e} and the like say what becomes of a hole.
  bool is_named_by_a_field(const Rule& rule, const std::string& hole) const {
    const lang::YamlNode* item = item_at(linter_.root, rule.place);
    return item != nullptr && std::any_of(item->entries.begin(), item->entries.end(),
                                          [&](const auto& entry) { return names(entry.value, hole); });
  }
  static bool names(const lang::YamlNode& node, const std::string& word) {
    return node.text == word ||
           std::any_of(node.items.begin(), node.items.end(), [&](const auto& item) { return names(item, word); }) ||
           std::any_of(node.entries.begin(), node.entries.end(),
                       [&](const auto& entry) { return entry.key.text == word || names(entry.value, word); });
  }
  static const lang::YamlNode* item_at(const lang::YamlNode& node, const TextPlace& place) {
    if (node.is_map() && node.line == place.line && node.column == place.column) return &node;
    for (const auto& item : node.items)
      if (const auto* found = item_at(item, place)) return found;
    for (const auto& [key, value] : node.entries)
      if (const auto* found = item_at(value, place)) return found;
    return nullptr;
  }

  Linter& linter_;
  const lang::RuleSet& set_;
  const std::shared_ptr<const lang::SourceText>* models_[2] = {&linter_.impl.source_model, &linter_.impl.target_model};
  std::set<std::string> defined_, bound_, in_patterns_, tables_;
  std::map<std::string, std::vector<Use>> uses_;
  std::set<std::pair<int, int>> seen_;
};

}  // namespace

void lint_names(Linter& linter) { Names(linter).check(); }

}  // namespace remap::linting
