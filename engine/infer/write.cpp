#include "infer/write.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text.h"
#include "infer/blocks.h"
#include "infer/stars.h"
#include "infer/text_rule.h"
#include "infer/yaml_text.h"
#include "tensor/source_formats.h"

namespace remap::infer {
namespace {

// Moves by their source keys, then what is made of nothing, source by source; drops at the end.
bool stands_before(const TextRule& a, const TextRule& b) {
  const auto place = [](const TextRule& rule) {
    using Kind = TextRule::Kind;
    const int made = rule.kind == Kind::copy ? 2 : rule.kind == Kind::fill ? 1 : 0;
    return std::tuple(rule.kind == Kind::drop, rule.source, made, std::string_view(rule.order));
  };
  return place(a) < place(b);
}

// The format of a source, or whose tensors a list says that it is of, or how its keys are separated; "": any.
std::string format_of(const Problem& problem, uint32_t s) {
  const Source& source = *problem.sources[s].source;
  if (const SourceFormat* known = find_source_format(remap::format_of(source))) return std::string(known->name);
  if (problem.files[s]) return problem.files[s]->pattern.ends_with(".safetensors") ? "safetensors" : "torch";
  for (const auto& tensor : source.manifest().tensors())
    for (const SourceFormat& format : source_format_table())
      if (format.separator != '.' && tensor.key.find(format.separator) != std::string::npos)
        return std::string(format.name);
  return "";
}

std::string source_text(const Problem& problem, const Roots& roots, uint32_t s) {
  const std::string format = format_of(problem, s);
  const std::string place = problem.files[s] ? "files: " + quoted(problem.files[s]->pattern)
                                             : "root: " + (roots[s].empty() ? "\"\"" : quoted(roots[s]));
  return fmt::format("{{{}{}}}", format.empty() ? "" : "format: " + format + ", ", place);
}

std::string header(const Problem& problem, const Roots& roots, std::optional<DType> dtype, const SharedNames& shared,
                   const InferOptions& options) {
  std::string text = fmt::format(
      "# yaml-language-server: $schema={}\nremap: 1\nfamily: {}\ntitle: proposed by remap infer from {}; read it, "
      "name its dims, then test it\n\n",
      options.schema, quoted(options.family), problem.by_values ? "two checkpoints" : "two lists of tensors");
  text += "source: " + source_text(problem, roots, 0) + "\n";
  if (problem.sources.size() > 1) {
    text += "sources:\n";
    for (uint32_t s = 1; s < problem.sources.size(); ++s)
      text += "  " + quoted(problem.sources[s].name) + ": " + source_text(problem, roots, s) + "\n";
  }
  if (dtype) text += fmt::format("target: {{dtype: {}}}\n", long_name(*dtype));
  if (!shared.lets().empty()) {
    text += "\nlet:\n";
    for (const auto& [name, value] : shared.lets())
      text += fmt::format("  {}: \"{}\"   # check: found for this checkpoint; config.json may name it\n", name, value);
  }
  if (!shared.tables().empty()) {
    text += "\nmaps:\n";
    for (const auto& [name, values] : shared.tables()) {
      std::vector<std::string> entries;
      for (const auto& [from, to] : values) entries.push_back(quoted(from) + ": " + quoted(to));
      text += "  " + name + ": {" + join(entries, ", ") + "}\n";
    }
  }
  return text + "\nrules:\n";
}

}  // namespace

Written write_rules(const Problem& problem, const Findings& findings, const std::vector<PatternRule>& rules,
                    const Roots& roots, std::optional<DType> dtype, const std::vector<std::string>& notes,
                    const InferOptions& options) {
  SharedNames shared;
  const auto stars = stars_of(rules, problem, roots);
  std::vector<TextRule> texts;
  for (size_t r = 0; r < rules.size(); ++r)
    texts.push_back(text_rule(rules[r], stars[r], problem, findings, roots, shared));
  for (const auto& fill : findings.fills) texts.push_back(fill_rule(problem, fill));
  for (const auto& copy : findings.copies) texts.push_back(copy_rule(problem, copy));
  std::stable_sort(texts.begin(), texts.end(), stands_before);
  const RuleLines lines = rule_lines(texts, problem.sources);
  Written written;
  written.rules = texts.size();
  for (const auto& text : texts) written.marked += !text.checks.empty();
  for (const size_t r : lines.order) written.origins.push_back({texts[r].relations, texts[r].made});
  written.text = header(problem, roots, dtype, shared, options) + lines.text;
  for (const auto& note : notes) written.text += "  " + note + "\n";
  return written;
}

}  // namespace remap::infer
