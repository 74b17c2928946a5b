#include "plan/roots.h"

#include <fmt/format.h>

#include "base/text.h"

namespace remap::plan {
namespace {

bool recognised(const lang::RuleSet& rules, const layout::KeyTable& keys, const NamedSource& source) {
  const PlanOptions options;
  const std::vector<NamedSource> sources = {source};
  layout::CheckpointScope scope(rules, keys, sources, options);
  try {
    return lang::evaluate_condition(*rules.recognise, scope);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

OtherRoots other_roots(const lang::RuleSet& rules, const NamedSource& source) {
  OtherRoots found;
  if (!rules.recognise) return found;
  const Manifest& manifest = source.source->manifest();
  for (const std::string& prefix : layout::prefixes_of_known_keys(rules, manifest)) {
    Diagnostics ignored;
    const layout::KeyTable keys(rules, {source}, ignored, prefix);
    if (ignored.has_errors() || !recognised(rules, keys, source)) continue;
    if (layout::holds_all_keys(prefix, rules, manifest)) return {prefix, {}};
    // The model that a larger one holds is reported, the part of a model that looks like one is not.
    const auto inside = [&](const std::string& other) {
      return prefix.starts_with(other + rules.sources.front().separator);
    };
    if (std::none_of(found.parts.begin(), found.parts.end(), inside)) found.parts.push_back(prefix);
  }
  return found;
}

RootedKeys keys_below_root(const lang::RuleSet& rules, const std::vector<NamedSource>& sources,
                           const PlanOptions& options, Diagnostics& diagnostics) {
  std::optional<std::string> root;
  const auto chosen = options.set.find("root");
  if (chosen != options.set.end()) root = chosen->second;
  Diagnostics found;
  layout::KeyTable keys(rules, sources, found, root);
  if (!root && rules.recognise && (found.has_errors() || !recognised(rules, keys, sources.front()))) {
    const OtherRoots others = other_roots(rules, sources.front());
    if (others.all) {
      found = {};
      root = others.all;
      keys = layout::KeyTable(rules, sources, found, root);
    } else if (!others.parts.empty()) {
      std::vector<std::string> quoted;
      for (const auto& part : others.parts) quoted.push_back("'" + part + "'");
      diagnostics.error("plan-root-open", BytePlace{sources.front().source->path(), {}, {}},
                        fmt::format("the keys of {} lie below {}{}", rules.family, join(quoted, " and below "),
                                    quoted.size() == 1 ? ", with others beside it" : ""),
                        fmt::format("say --set root={}{} to convert these and leave out the others",
                                    others.parts.front(), quoted.size() == 1 ? "" : ", for example,"));
      return {std::move(keys), {}};
    }
  }
  for (const auto& item : found.items()) diagnostics.add(item);
  return {std::move(keys), root};
}

}  // namespace remap::plan
