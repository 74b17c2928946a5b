#include "layout/checkpoint_scope.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::layout {

using lang::Value;

CheckpointScope::CheckpointScope(const lang::KeySpace& space, const KeyTable& keys,
                                 const std::vector<NamedSource>& sources, const PlanOptions& options)
    : space_(space), keys_(keys), sources_(sources), options_(options) {}

// What the checkpoint and the user say beside the tensors.
const Json* CheckpointScope::outside_facts(const std::string& name) const {
  if (name == "meta") return &sources_.front().source->metadata();
  if (name == "config") return &options_.config;
  for (const auto& s : sources_)
    if (!s.name.empty() && s.name == name) return &s.source->metadata();
  const auto document = options_.documents.find(name);
  return document == options_.documents.end() ? nullptr : &document->second;
}

const Json* CheckpointScope::reference(const std::string& name) {
  if (holes.contains(name)) return nullptr;
  if (const Json* known = outside_facts(name)) return known;
  const auto known = let_.find(name);
  return known == let_.end() ? nullptr : &known->second;
}

Json CheckpointScope::member_key(const std::string& base, const std::string& member) const {
  const auto hole = holes.find(member);
  return hole == holes.end() || is_defined(base) ? Json(member) : hole->second;
}

bool CheckpointScope::is_defined(const std::string& name) const {
  const auto is = [&](const auto& entry) { return entry.name == name; };
  return holes.contains(name) || outside_facts(name) != nullptr ||
         std::any_of(space_.variants.begin(), space_.variants.end(), is) ||
         std::any_of(space_.documents.begin(), space_.documents.end(), is) ||
         std::any_of(space_.let.begin(), space_.let.end(), [&](const auto& entry) { return entry.first == name; });
}

// A dim is a number, or, if the rules index it, an object of numbers.
std::optional<Value> CheckpointScope::dim(const std::string& name) const {
  if (const auto whole = dims.find(name); whole != dims.end()) return Value::of(whole->second);
  Json entries = Json::object();
  const std::string prefix = name + ".";
  for (auto it = dims.lower_bound(prefix); it != dims.end() && it->first.starts_with(prefix); ++it)
    entries[it->first.substr(prefix.size())] = it->second;
  return entries.empty() ? std::nullopt : std::optional(Value::of(std::move(entries)));
}

std::optional<Value> CheckpointScope::lookup(const std::string& name) {
  if (const auto hole = holes.find(name); hole != holes.end()) return Value::of(hole->second);
  if (auto known = dim(name)) return known;
  if (const auto variant = variants.find(name); variant != variants.end()) return Value::of(variant->second);
  if (const Json* known = reference(name)) return Value::of(*known);
  for (const auto& document : space_.documents)
    if (document.name == name)
      return Value::missing(
          fmt::format("the source '{}' ({}=PATH{}{})", name, name, document.doc.empty() ? "" : ": ", document.doc));
  if (name == "dtype" && !target_dtype.empty()) return Value::of(target_dtype);
  for (const auto& [entry, expression] : space_.let) {
    if (entry != name) continue;
    if (!evaluating_.insert(name).second)
      throw Error("expression-value", expression.written.place(), fmt::format("'{}' is defined by itself", name));
    Value value;
    std::map<std::string, Json> outer;
    std::swap(holes, outer);  // an entry of 'let' means the same wherever it is used
    try {
      value = lang::evaluate(expression, *this);
    } catch (...) {
      evaluating_.erase(name);
      std::swap(holes, outer);
      throw;
    }
    evaluating_.erase(name);
    std::swap(holes, outer);
    if (value.state == Value::State::present) let_[name] = value.json;
    return value;
  }
  // Declared (the parser checked that), but without a value for this checkpoint.
  return Value::missing(fmt::format("a size for the dim '{}'", name));
}

// A tensor that is not read has no values that anyone could ask for.
void CheckpointScope::require_values(const SourceKey& key) const {
  const TensorInfo& info = sources_[key.source].source->manifest()[key.tensor];
  if (info.unread != nullptr)
    throw Error("plan-unread-tensor", BytePlace{sources_[key.source].source->path(), {}, {}},
                fmt::format("the values of '{}' ({} {}) are needed, and it is not read: it is {}", key.key,
                            dtype_text(info), shape_text(info), info.unread->why),
                way_on(*info.unread, false));
}

bool CheckpointScope::same(const SourceKey& a, const SourceKey& b) {
  require_values(a);
  require_values(b);
  const auto& info_a = sources_[a.source].source->manifest()[a.tensor];
  const auto& info_b = sources_[b.source].source->manifest()[b.tensor];
  const auto [known, fresh] = checked_.emplace(std::pair(a.key, b.key), checks_.size());
  if (!fresh) return checks_[known->second].same.value_or(true);
  PlanCheck check{a.key, b.key, {}};
  if (info_a.dtype != info_b.dtype || info_a.shape != info_b.shape)
    check.same = false;
  else if (a.source == b.source && !info_a.alias.empty() && info_a.alias == info_b.alias)
    check.same = true;
  else if (options_.same && sources_[a.source].source->has_data() && sources_[b.source].source->has_data())
    check.same = options_.same(*sources_[a.source].source, a.tensor, *sources_[b.source].source, b.tensor);
  checks_.push_back(check);
  return check.same.value_or(true);
}

const SourceKey& CheckpointScope::key_argument(const Json& argument) const {
  if (!argument.is_string()) throw Error("expression-value", {}, "a key is a string");
  const auto& name = argument.get_ref<const std::string&>();
  for (size_t s = 0; s < sources_.size(); ++s)
    if (const SourceKey* key = keys_.find(s, name)) return *key;
  throw Error("expression-missing", {}, fmt::format("the checkpoint has no tensor '{}'", name));
}

lang::Matcher CheckpointScope::pattern_argument(const Json& argument, lang::KeyPattern& pattern) const {
  if (!argument.is_string()) throw Error("expression-value", {}, "a key pattern is a string");
  Diagnostics diagnostics;
  auto parsed = lang::parse_pattern(argument.get<std::string>(), {space_.text, {}, 0}, space_.tables, diagnostics);
  if (!parsed) throw Error("expression-value", {}, diagnostics.items().front().message);
  pattern = std::move(*parsed);
  return lang::Matcher(pattern, variants);
}

Json CheckpointScope::distinct(const std::string& function, const std::vector<Json>& arguments) const {
  lang::KeyPattern pattern;
  const lang::Matcher matcher = pattern_argument(arguments[0], pattern);
  if (function == "indices" && std::none_of(pattern.tokens.begin(), pattern.tokens.end(),
                                            [](const auto& t) { return t.kind == lang::PatternToken::Kind::star; }))
    throw Error("expression-value", {}, fmt::format("'{}' has no '*' whose values could be listed", pattern.text));
  std::set<std::string, decltype(&natural_less)> texts(&natural_less);
  std::set<int64_t> numbers;
  for (size_t s = 0; s < sources_.size(); ++s)
    keys_.match(s, matcher, [&](const SourceKey&, const lang::Captures& c) {
      if (function == "indices")
        numbers.insert(std::stoll(c.stars.front().substr(0, 18)));
      else if (function == "captures") {
        if (const std::string* hole = c.hole(arguments[1].is_string() ? arguments[1].get<std::string>() : ""))
          texts.insert(*hole);
      } else {
        std::string combination;
        for (const auto& star : c.stars) combination += star + "\n";
        for (const auto& [name, text] : c.holes) combination += text + "\n";
        texts.insert(combination);
      }
      return true;
    });
  if (function == "count") return static_cast<int64_t>(texts.size());
  return function == "indices" ? Json(std::vector<int64_t>(numbers.begin(), numbers.end()))
                               : Json(std::vector<std::string>(texts.begin(), texts.end()));
}

std::optional<Value> CheckpointScope::call(const std::string& function, const std::vector<Json>& arguments) {
  if (function == "exists") {
    lang::KeyPattern pattern;
    const lang::Matcher matcher = pattern_argument(arguments[0], pattern);
    bool found = false;
    for (size_t s = 0; s < sources_.size() && !found; ++s)
      keys_.match(s, matcher, [&](const SourceKey&, const lang::Captures&) { return found = true, false; });
    return Value::of(found);
  }
  if (function == "count" || function == "indices" || function == "captures")
    return Value::of(distinct(function, arguments));
  if (function == "same") return Value::of(same(key_argument(arguments[0]), key_argument(arguments[1])));
  if (function == "values") {
    const SourceKey& key = key_argument(arguments[0]);
    const Source& source = *sources_[key.source].source;
    require_values(key);
    if (!source.has_data() || !options_.values)
      throw Error("expression-missing", {}, fmt::format("the values of '{}' are not known: there is no data", key.key));
    return Value::of(options_.values(source, key.tensor));
  }
  if (function == "shape") {
    const SourceKey& key = key_argument(arguments[0]);
    const TensorInfo& info = sources_[key.source].source->manifest()[key.tensor];
    if (info.unread != nullptr && !info.unread->shape_known)
      throw Error("plan-unread-tensor", BytePlace{sources_[key.source].source->path(), {}, {}},
                  fmt::format("the shape of '{}' is needed, and it is not known: it is {}", key.key, info.unread->why),
                  way_on(*info.unread, false));
    return Value::of(info.shape);
  }
  return std::nullopt;
}

}  // namespace remap::layout
