#include "layout/checkpoint_scope.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/text.h"

namespace remap::layout {

using lang::Value;

namespace {

// What '*' and the holes took.
std::string combination_of(const lang::Captures& captures) {
  std::string combination;
  for (const auto& star : captures.stars) combination += star + "\n";
  for (const auto& [name, text] : captures.holes) combination += text + "\n";
  return combination;
}

// The names of a file and of its folder: what people put into them is a guess, never a fact.
Json names_of_file(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path file = std::filesystem::absolute(path, ignored).lexically_normal();
  const std::filesystem::path named = file.has_filename() ? file : file.parent_path();
  return {{"name", named.filename().string()},
          {"stem", named.stem().string()},
          {"folder", named.parent_path().filename().string()}};
}

}  // namespace

CheckpointScope::CheckpointScope(const lang::KeySpace& space, const KeyTable& keys,
                                 const std::vector<NamedSource>& sources, const PlanOptions& options)
    : space_(space), keys_(keys), sources_(sources), options_(options) {
  for (const auto& [name, value] : options.set) chosen_[name] = value;
  if (!sources.empty()) file_ = names_of_file(sources.front().source->path());
}

// What the checkpoint and the user say beside the tensors.
const Json* CheckpointScope::outside_facts(const std::string& name) const {
  if (name == "meta") return &sources_.front().source->metadata();
  if (name == "config") return &options_.config;
  if (name == "set") return &chosen_;
  if (name == "checkpoint") return &file_;
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
    append_member(entries, it->first.substr(prefix.size()), it->second);
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
  const auto [known, fresh] = checked_.emplace(std::pair(std::string(a.key), std::string(b.key)), checks_.size());
  if (!fresh) return checks_[known->second].same.value_or(true);
  PlanCheck check{std::string(a.key), std::string(b.key), {}};
  if (info_a.dtype != info_b.dtype || info_a.shape != info_b.shape)
    check.same = false;
  else if (a.source == b.source && !info_a.alias.empty() && info_a.alias == info_b.alias)
    check.same = true;
  else if (options_.same && sources_[a.source].source->has_data() && sources_[b.source].source->has_data())
    check.same = options_.same(*sources_[a.source].source, a.tensor, *sources_[b.source].source, b.tensor);
  checks_.push_back(check);
  return check.same.value_or(true);
}

const SourceKey& CheckpointScope::key_called(const std::string& name) const {
  for (size_t s = 0; s < sources_.size(); ++s)
    if (const SourceKey* key = keys_.find(s, name)) return *key;
  throw Error("expression-missing", {}, fmt::format("the checkpoint has no tensor '{}'", name));
}

const CheckpointScope::Compiled& CheckpointScope::compiled(const std::string& pattern) {
  std::pair key(pattern, variants);
  if (const auto known = compiled_.find(key); known != compiled_.end()) return known->second;
  Diagnostics diagnostics;
  auto parsed = lang::parse_pattern(pattern, {space_.text}, space_.tables, diagnostics);
  if (!parsed) throw Error("expression-value", {}, diagnostics.items().front().message);
  lang::Matcher matcher(*parsed, variants);
  return compiled_.emplace(std::move(key), Compiled{std::move(*parsed), std::move(matcher)}).first->second;
}

void CheckpointScope::each_match(const Compiled& compiled,
                                 const std::function<void(const lang::Captures&)>& visit) const {
  for (size_t s = 0; s < sources_.size(); ++s)
    keys_.match(s, compiled.matcher, [&](const SourceKey&, const lang::Captures& c) { return visit(c), true; });
}

bool CheckpointScope::exists(const std::string& pattern) {
  const Compiled& known = compiled(pattern);
  bool found = false;
  for (size_t s = 0; s < sources_.size() && !found; ++s)
    keys_.match(s, known.matcher, [&](const SourceKey&, const lang::Captures&) { return found = true, false; });
  return found;
}

int64_t CheckpointScope::count(const std::string& pattern) {
  std::set<std::string> combinations;
  each_match(compiled(pattern), [&](const lang::Captures& c) { combinations.insert(combination_of(c)); });
  return static_cast<int64_t>(combinations.size());
}

Json CheckpointScope::indices(const std::string& pattern) {
  const Compiled& known = compiled(pattern);
  const auto& tokens = known.pattern.tokens;
  if (std::none_of(tokens.begin(), tokens.end(),
                   [](const auto& t) { return t.kind == lang::PatternToken::Kind::star; }))
    throw Error("expression-value", {}, fmt::format("'{}' has no '*' whose values could be listed", pattern));
  std::set<int64_t> numbers;
  each_match(known, [&](const lang::Captures& c) { numbers.insert(std::stoll(c.stars.front().substr(0, 18))); });
  return std::vector<int64_t>(numbers.begin(), numbers.end());
}

Json CheckpointScope::captures(const std::string& pattern, const std::string& hole) {
  std::set<std::string, decltype(&natural_less)> texts(&natural_less);
  each_match(compiled(pattern), [&](const lang::Captures& c) {
    if (const std::string* text = c.hole(hole)) texts.insert(*text);
  });
  return std::vector<std::string>(texts.begin(), texts.end());
}

Json CheckpointScope::counts(const std::string& pattern, const std::string& hole) {
  const Compiled& known = compiled(pattern);
  if (known.pattern.hole(hole) == nullptr)
    throw Error("expression-value", {},
                fmt::format("'{}' has no hole '{{{}}}' whose texts could be told apart", pattern, hole));
  std::map<std::string, std::set<std::string>, decltype(&natural_less)> combinations(&natural_less);
  each_match(known, [&](const lang::Captures& c) { combinations[*c.hole(hole)].insert(combination_of(c)); });
  Json counts = Json::array();
  for (const auto& [text, seen] : combinations) counts.push_back(seen.size());
  return counts;
}

Json CheckpointScope::shape(const std::string& key) {
  const SourceKey& found = key_called(key);
  const TensorInfo& info = sources_[found.source].source->manifest()[found.tensor];
  if (info.unread != nullptr && !info.unread->shape_known)
    throw Error("plan-unread-tensor", BytePlace{sources_[found.source].source->path(), {}, {}},
                fmt::format("the shape of '{}' is needed, and it is not known: it is {}", key, info.unread->why),
                way_on(*info.unread, false));
  return info.shape.list();
}

Json CheckpointScope::values(const std::string& key) {
  const SourceKey& found = key_called(key);
  const Source& source = *sources_[found.source].source;
  require_values(found);
  if (!source.has_data() || !options_.values)
    throw Error("expression-missing", {}, fmt::format("the values of '{}' are not known: there is no data", key));
  return options_.values(source, found.tensor);
}

bool CheckpointScope::same(const std::string& key, const std::string& other) {
  return same(key_called(key), key_called(other));
}

}  // namespace remap::layout
