#include "infer/blocks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "infer/key_text.h"
#include "infer/yaml_text.h"

namespace remap::infer {
namespace {

constexpr int64_t kBlockCost = 35;  // characters that a block itself takes

struct Prefixes {
  std::string from, to;
};

// Where a block may begin: at a separator that is outside of all braces.
std::vector<size_t> block_ends(const std::string& text) {
  std::vector<size_t> ends;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && depth == 0 && is_separator(text[i])) ends.push_back(i);
    depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
  }
  return ends;
}

bool below(const std::vector<std::string>& keys, const std::string& prefix) {
  return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return key.starts_with(prefix); });
}

// Characters that a block saves.
int64_t saving(const std::string& from, const std::string& to, size_t rules) {
  return static_cast<int64_t>(from.size() + to.size()) * (static_cast<int64_t>(rules) - 1) - kBlockCost;
}

// The rules' blocks: of each the prefixes, and of each rule its block, or nothing.
struct Blocks {
  std::vector<Prefixes> prefixes;
  std::vector<std::optional<size_t>> of_rule;
};

// The prefixes that save most come first; a rule stands in one block.
Blocks blocks_of(const std::vector<TextRule>& rules) {
  Blocks blocks{{}, std::vector<std::optional<size_t>>(rules.size())};
  while (true) {
    std::map<std::tuple<uint32_t, std::string, std::string>, std::vector<size_t>> candidates;
    for (size_t r = 0; r < rules.size(); ++r) {
      const TextRule& rule = rules[r];
      if (blocks.of_rule[r] || rule.kind != TextRule::Kind::move) continue;
      const auto to_ends = block_ends(rule.to);
      for (const size_t i : block_ends(rule.from)) {
        if (!below(rule.except, rule.from.substr(0, i + 1))) continue;
        for (const size_t j : to_ends)
          candidates[{rule.source, rule.from.substr(0, i), rule.to.substr(0, j)}].push_back(r);
      }
    }
    const std::vector<size_t>* best = nullptr;
    Prefixes best_prefixes;
    int64_t most = 0;
    for (const auto& [key, members] : candidates) {
      const auto& [source, from, to] = key;
      const bool same_stars = std::count(from.begin(), from.end(), '*') == std::count(to.begin(), to.end(), '*');
      if (members.size() < 2 || !same_stars || saving(from, to, members.size()) <= most) continue;
      most = saving(from, to, members.size());
      best = &members;
      best_prefixes = {from, to};
    }
    if (best == nullptr) return blocks;
    for (const size_t r : *best) blocks.of_rule[r] = blocks.prefixes.size();
    blocks.prefixes.push_back(best_prefixes);
  }
}

std::string source_field(const TextRule& rule, const std::vector<NamedSource>& sources) {
  return rule.source == 0 ? "" : "source: " + quoted(sources[rule.source].name);
}

std::string key_fields(const TextRule& rule, const std::string& from, const std::string& to) {
  switch (rule.kind) {
    case TextRule::Kind::drop: return "drop: " + quoted(from);
    case TextRule::Kind::fill: return "to: " + quoted(to);
    case TextRule::Kind::copy: return "to: " + quoted(to) + ", copy_of: " + quoted(from);
    case TextRule::Kind::move: break;
  }
  return from == to ? "keep: " + quoted(from) : "from: " + quoted(from) + ", to: " + quoted(to);
}

std::string line_of(const TextRule& rule, const Prefixes& prefixes, const std::string& source,
                    const std::string& indent) {
  const auto rest_of = [](const std::string& text, const std::string& prefix) {
    return prefix.empty() ? text : text.substr(prefix.size() + 1);
  };
  std::string text;
  for (const auto& what : rule.open) text += indent + "# open: " + what + "\n";
  for (const auto& check : rule.checks) text += indent + "# check: " + check + "\n";
  std::string fields = key_fields(rule, rest_of(rule.from, prefixes.from), rest_of(rule.to, prefixes.to));
  if (!rule.except.empty()) {
    std::vector<std::string> list;
    for (const auto& one : rule.except) list.push_back(quoted(rest_of(one, prefixes.from)));
    fields += ", except: " + (list.size() == 1 ? list[0] : list_of(list));
  }
  if (!source.empty()) fields += ", " + source;
  return text + indent + "- {" + fields + rule.rest + "}\n";
}

}  // namespace

RuleLines rule_lines(const std::vector<TextRule>& rules, const std::vector<NamedSource>& sources) {
  const Blocks blocks = blocks_of(rules);
  RuleLines lines;
  std::set<size_t> done;
  for (size_t r = 0; r < rules.size(); ++r) {
    const std::string source = source_field(rules[r], sources);
    const auto block = blocks.of_rule[r];
    if (!block) {
      lines.text += line_of(rules[r], {}, source, "  ");
      lines.order.push_back(r);
      continue;
    }
    if (!done.insert(*block).second) continue;
    const Prefixes& prefixes = blocks.prefixes[*block];
    lines.text += fmt::format("  - within: {{from: {}, to: {}}}\n", quoted(prefixes.from), quoted(prefixes.to));
    if (!source.empty()) lines.text += "    " + source + "\n";
    lines.text += "    rules:\n";
    for (size_t other = r; other < rules.size(); ++other)
      if (blocks.of_rule[other] == block) {
        lines.text += line_of(rules[other], prefixes, "", "      ");
        lines.order.push_back(other);
      }
  }
  return lines;
}

}  // namespace remap::infer
