// Rules and a checkpoint written out in a test: what the passes of planning take. No tensor has bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/planning.h"
#include "support/memory_source.h"

namespace remap::test {

// Throws the first error.
inline lang::RuleSet parsed_rules(const std::string& body) {
  const std::string head = "remap: 1\nfamily: toy\nsource: {root: \"\"}\n";
  Diagnostics diagnostics;
  auto rules = lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", head + body), diagnostics);
  if (!rules) throw Error(diagnostics.items().front());
  return std::move(*rules);
}

inline std::optional<lang::Schema> parsed_schema(const std::string& text) {
  if (text.empty()) return std::nullopt;
  Diagnostics diagnostics;
  auto schema = lang::parse_schema(std::make_shared<lang::SourceText>("schema.yaml", text), diagnostics);
  if (!schema) throw Error(diagnostics.items().front());
  return schema;
}

// "id: message", a line each.
inline std::vector<std::string> messages(const Diagnostics& diagnostics) {
  std::vector<std::string> lines;
  for (const Diagnostic& d : diagnostics.items()) lines.push_back(d.id + ": " + d.message);
  return lines;
}

// What the user gives, and the target schema.
struct ToyOptions {
  std::map<std::string, std::string> set = {};
  Json config = Json::object();
  std::string schema = {};
};

struct ToyPlanning {
  // `body`: the rule file without its head, so that its first line is line 4.
  ToyPlanning(const std::string& body, std::vector<MemoryTensor> tensors, ToyOptions given = {})
      : rules(parsed_rules(body)),
        schema(parsed_schema(given.schema)),
        source(std::move(tensors)),
        sources{{"", &source}},
        keys(rules, sources, diagnostics),
        scope(rules, keys, sources, options),
        input{rules, schema, sources, options, keys, Limits{}} {
    options.set = std::move(given.set);
    options.config = std::move(given.config);
    options.config_file = "config.json";
  }
  ToyPlanning(const ToyPlanning&) = delete;

  Diagnostics diagnostics;
  const lang::RuleSet rules;
  const std::optional<lang::Schema> schema;
  MemorySource source;
  const std::vector<NamedSource> sources;
  PlanOptions options;
  const layout::KeyTable keys;
  layout::CheckpointScope scope;
  const plan::PlanInput input;
};

}  // namespace remap::test
