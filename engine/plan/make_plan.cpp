// Rules + manifests -> plan, one step after another; each step reports all it finds.
#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include "base/text.h"
#include "ops/cast.h"
#include "plan/config.h"
#include "plan/dims.h"
#include "plan/facts.h"
#include "plan/gather.h"
#include "plan/near_miss.h"
#include "plan/rules_file.h"
#include "plan/view.h"
#include "tensor/sub_byte.h"

namespace remap {
namespace plan {
namespace {

using lang::Rule;

constexpr size_t kMaxReported = 20;  // of one kind of finding; the rest is counted

// One key that one rule matched.
struct Match {
  const SourceKey* key;
  lang::Captures captures;
};

// A finding that can occur once a tensor: the first few are shown, the rest counted.
class Findings {
 public:
  Findings(Diagnostics& diagnostics, std::string id) : diagnostics_(diagnostics), id_(std::move(id)) {}
  ~Findings() {
    if (count_ > kMaxReported) diagnostics_.error(id_, last_, fmt::format("… and {} more of this kind", count_ - kMaxReported));
  }
  Findings(const Findings&) = delete;
  void add(Place place, std::string message, std::string hint = {}, std::vector<std::string> notes = {}) {
    if (!full()) diagnostics_.error(id_, place, std::move(message), std::move(hint), std::move(notes));
    count(place);
  }
  // Further ones are only counted: whoever has to work for the message asks first.
  bool full() const { return count_ >= kMaxReported; }
  void count(Place place) {
    ++count_;
    last_ = place;
  }

 private:
  Diagnostics& diagnostics_;
  std::string id_;
  size_t count_ = 0;
  Place last_;
};

class Planner {
 public:
  Planner(const Rules::Impl& rules, const std::vector<NamedSource>& sources, const PlanOptions& options, Diagnostics& diagnostics)
      : set_(rules.set), schema_(rules.schema), sources_(sources), options_(options), diagnostics_(diagnostics),
        keys_(set_, sources, diagnostics), facts_(set_, keys_, sources, options), dims_(facts_) {}

  std::optional<Plan> run() {
    if (stop()) return std::nullopt;
    describe_sources();
    choose_variants();
    if (stop()) return std::nullopt;
    name_texts();
    if (stop()) return std::nullopt;
    // A requirement that can be checked already gives the better reason for whatever would go wrong below.
    check_requirements(true);
    if (stop()) return std::nullopt;
    activate_rules();
    match_keys();
    if (stop()) return std::nullopt;
    bind_dims();
    check_indices();
    if (stop()) return std::nullopt;
    check_requirements(false);
    size_t n_keys = 0;  // about as many as there will be targets
    for (size_t source = 0; source < sources_.size(); ++source) n_keys += keys_.keys(source).size();
    plan_.tensors.reserve(n_keys);
    by_key_.reserve(n_keys);
    build_moves();
    build_made();
    if (stop()) return std::nullopt;
    check_unused_rules();
    check_twins();
    make_config();
    check_schema();
    if (stop()) return std::nullopt;
    std::sort(plan_.tensors.begin(), plan_.tensors.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    finish();
    return std::move(plan_);
  }

 private:
  bool stop() const { return diagnostics_.has_errors(); }
  // A manifest stands in for a checkpoint: what it cannot tell stays open instead of being an error.
  bool only_manifest() const {
    return std::any_of(sources_.begin(), sources_.end(), [](const NamedSource& s) { return !s.source->has_data(); });
  }
  Place source_place(uint32_t source) const { return BytePlace{sources_[source].source->path(), {}, {}}; }
  const TensorInfo& info(const SourceKey& key) const { return sources_[key.source].source->manifest()[key.tensor]; }

  void describe_sources() {
    plan_.family = set_.family;
    plan_.title = set_.title;
    for (const auto& s : sources_) plan_.sources.push_back({s.name, std::string(s.source->format()), std::make_shared<Manifest>(s.source->manifest())});
    for (const auto& rule : set_.rules) plan_.rules.push_back({rule.summary, rule.place});
  }

  // ------------------------------------------------------------ variants and requirements

  void choose_variants() {
    choose_dtype();
    std::vector<std::string> names = {"dtype"};
    for (const auto& variant : set_.variants) names.push_back(variant.name);
    for (const auto& [name, value] : options_.set)
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        const std::string near = nearest_name(name, names);
        diagnostics_.error("plan-unknown-variant", {}, fmt::format("--set {}={}: the rules have no variant '{}'", name, value, name), near.empty() ? fmt::format("they have: {}", join(names, ", ")) : fmt::format("did you mean '{}'?", near));
      }
    for (const auto& variant : set_.variants) choose_variant(variant);
  }

  void choose_dtype() {
    dtype_ = set_.dtype;
    const auto chosen = options_.set.find("dtype");
    if (chosen == options_.set.end()) return;
    dtype_ = parse_dtype(chosen->second);
    if (chosen->second != "keep" && (!dtype_ || !is_floating(*dtype_)))
      diagnostics_.error("plan-unknown-variant", {}, fmt::format("--set dtype={}: not a floating-point dtype", chosen->second), "keep, float32, float16, bfloat16 or float64");
  }

  void choose_variant(const lang::Variant& variant) {
    try {
      const auto chosen = options_.set.find(variant.name);
      std::optional<Json> known = chosen != options_.set.end() ? Json(chosen->second) : detected(variant);
      if (!known) return;
      const Json value = std::move(*known);
      if (!value.is_string()) throw Error("expression-value", variant.detect->written.place(), fmt::format("variant '{}' is {}; text was expected", variant.name, value.dump()));
      if (variant.values) {
        const Json allowed = lang::evaluate_present(*variant.values, facts_);
        if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
          diagnostics_.error("plan-unknown-variant", variant.place, fmt::format("'{}' cannot be {} for this checkpoint", variant.name, value.dump()), fmt::format("it can be: {}", allowed.dump()));
      }
      facts_.variants[variant.name] = value.get<std::string>();
      plan_.variants.emplace_back(variant.name, value.get<std::string>());
    } catch (const Error& e) {
      diagnostics_.add(e.diagnostic());
    }
  }

  // nullopt, and reported, if the checkpoint does not tell.
  std::optional<Json> detected(const lang::Variant& variant) {
    if (lang::evaluate(*variant.detect, facts_).state != lang::Value::State::omit) return lang::evaluate_present(*variant.detect, facts_);
    const std::string choices = variant.values ? ": " + lang::evaluate_present(*variant.values, facts_).dump() : "";
    diagnostics_.error("plan-variant-open", variant.place, fmt::format("the checkpoint does not tell '{}'{}{}", variant.name, variant.doc.empty() ? "" : ": ", variant.doc), fmt::format("say --set {}=…{}", variant.name, choices));
    return std::nullopt;
  }

  // Entries of 'let' that patterns use as ${name}.
  void name_texts() {
    std::set<std::string> used;
    const auto note = [&](const lang::KeyPattern& pattern) {
      for (const auto& token : pattern.tokens)
        if (token.kind == lang::PatternToken::Kind::variant) used.insert(token.text);
    };
    for (const Rule& rule : set_.rules) {
      note(rule.from);
      note(rule.to);
      note(rule.copy_of);
      for (const auto& pattern : rule.except) note(pattern);
      if (rule.equal_to) note(*rule.equal_to);
    }
    for (const auto& [name, expression] : set_.let) {
      if (!used.contains(name)) continue;
      try {
        const Json value = lang::evaluate_present(expression, facts_);
        if (!value.is_string()) throw Error("expression-value", expression.written.place(), fmt::format("'{}' is {}; a pattern that says ${{{}}} needs text", name, value.dump(), name));
        facts_.variants[name] = value.get<std::string>();
      } catch (const Error& e) {
        diagnostics_.add(e.diagnostic());
      }
    }
  }

  void check_requirements(bool first_round) {
    checked_.resize(set_.require.size());
    for (size_t i = 0; i < set_.require.size(); ++i) {
      if (checked_[i]) continue;
      const auto& requirement = set_.require[i];
      try {
        checked_[i] = true;
        if (!lang::evaluate_condition(requirement.condition, facts_))
          diagnostics_.error("plan-refused", requirement.condition.written.place(), fmt::format("{}: refused, since {}", sources_.front().source->path(), requirement.because), {}, found_values(requirement.condition));
      } catch (const Error& e) {
        checked_[i] = false;  // it may need a dim that the shapes will bind
        if (first_round) continue;
        if (only_manifest() && e.diagnostic().id == "expression-missing") plan_.open.push_back(fmt::format("required: {}", requirement.condition.text));
        else diagnostics_.add(e.diagnostic());
      }
    }
  }

  // Of a comparison that failed: what both sides are.
  std::vector<std::string> found_values(const lang::Expression& condition) {
    const auto& root = condition.root;
    if (root.kind != lang::NodeKind::binary || (root.text != "==" && root.text != "in")) return {};
    try {
      const Json left = lang::evaluate(condition, root.children[0], facts_).json, right = lang::evaluate(condition, root.children[1], facts_).json;
      return {fmt::format("found {} where {}{} was expected", left.dump(), root.text == "in" ? "one of " : "", right.dump())};
    } catch (const Error&) {
      return {};
    }
  }

  // ------------------------------------------------------------ matching

  void activate_rules() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      active_.push_back(false);
      matches_.emplace_back();
      try {
        active_[r] = !rule.when || lang::evaluate_condition(*rule.when, facts_);
      } catch (const Error& e) {
        diagnostics_.add(e.diagnostic());
      }
    }
  }

  struct RuleMatcher {
    uint32_t rule;
    lang::Matcher matcher;
    std::vector<lang::Matcher> except;
  };

  std::vector<RuleMatcher> matchers_of(size_t source) const {
    std::vector<RuleMatcher> matchers;
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      const bool matching = rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop;
      if (!active_[r] || !matching || set_.sources[source].name != rule.source) continue;
      RuleMatcher one{r, lang::Matcher(rule.from, facts_.variants), {}};
      for (const auto& pattern : rule.except) one.except.emplace_back(pattern, facts_.variants);
      matchers.push_back(std::move(one));
    }
    return matchers;
  }

  void match_keys() {
    if (stop()) return;
    Findings unmatched(diagnostics_, "plan-unmatched-key"), twice(diagnostics_, "plan-key-matched-twice");
    for (size_t s = 0; s < sources_.size(); ++s) {
      const auto matchers = matchers_of(s);
      for (const SourceKey& key : keys_.keys(s)) match_key(key, matchers, unmatched, twice);
    }
    refuse_unread();
  }

  // What a rule moves must be read.
  void refuse_unread() {
    Findings unread(diagnostics_, "plan-unread-tensor");
    for (uint32_t r = 0; r < set_.rules.size(); ++r)
      for (const Match& match : matches_[r]) {
        const TensorInfo& tensor = info(*match.key);
        if (set_.rules[r].kind != Rule::Kind::move || tensor.unread == nullptr) continue;
        unread.add(set_.rules[r].place, fmt::format("'{}' cannot be converted: {}", match.key->key, describe(tensor)),
                   way_on(*tensor.unread));
      }
  }

  // One rule matches a key, or several that leave parts of it to each other.
  void match_key(const SourceKey& key, const std::vector<RuleMatcher>& matchers, Findings& unmatched, Findings& twice) {
    lang::Captures captures, ignored;
    const RuleMatcher* found = nullptr;
    for (const RuleMatcher& candidate : matchers) {
      if (!candidate.matcher.match(key.key, captures)) continue;
      if (std::any_of(candidate.except.begin(), candidate.except.end(), [&](const auto& m) { return m.match(key.key, ignored); })) continue;
      const Rule& rule = set_.rules[candidate.rule];
      if (found != nullptr && !(leaves_parts(rule) && leaves_parts(set_.rules[found->rule]))) {
        const Rule& first = set_.rules[found->rule];
        twice.add(rule.place, fmt::format("the key '{}' matches two rules", key.key), "make one of the patterns narrower",
                  {fmt::format("{}: {}", to_string(Place(first.place)), first.summary), fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
        continue;
      }
      found = &candidate;
      note_indices(key, captures);
      if (rule.kind == Rule::Kind::drop) plan_.dropped.push_back({key.source, key.tensor, candidate.rule, rule.because});
      matches_[candidate.rule].push_back({&key, std::move(captures)});
    }
    if (found == nullptr) report_unmatched(key, unmatched);
  }
  static bool leaves_parts(const Rule& rule) { return rule.split && rule.split->leaves_parts(); }

  void report_unmatched(const SourceKey& key, Findings& unmatched) {
    if (unmatched.full()) return unmatched.count(source_place(key.source));
    std::vector<NearRule> candidates;
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if ((rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop) && set_.sources[key.source].name == rule.source) candidates.push_back({&rule.from, &rule.place, active_[r] ? nullptr : &*rule.when});
    }
    const std::string& original = info(key).key;
    unmatched.add(
        source_place(key.source),
        fmt::format("no rule matches the key '{}'{} ({})", key.key,
                    original == key.key ? "" : fmt::format(" ('{}' in the file)", original), describe(info(key))),
        info(key).unread == nullptr ? "add a rule for it, or drop it with a reason" : way_on(*info(key).unread),
        explain_near_miss(key.key, candidates, facts_.variants));
  }

  // The indices seen under one prefix, over all rules, must be 0 … n-1.
  void note_indices(const SourceKey& key, const lang::Captures& captures) {
    if (key.source == noted_.source && captures.stars == noted_.stars && captures.star_offsets == noted_.offsets && key.key.compare(0, noted_.prefix.size(), noted_.prefix) == 0) return;
    noted_ = {key.source, captures.stars, captures.star_offsets, key.key.substr(0, captures.star_offsets.empty() ? 0 : captures.star_offsets.back())};
    for (size_t i = 0; i < captures.stars.size(); ++i) {
      if (captures.stars[i].size() > 9) continue;
      indices_[{key.source, key.key.substr(0, captures.star_offsets[i])}].insert(std::stoi(captures.stars[i]));
    }
  }
  void check_indices() {
    for (const auto& [where, seen] : indices_) {
      const int last = *seen.rbegin();
      if (static_cast<size_t>(last) + 1 == seen.size()) continue;
      std::vector<int> missing;
      for (int i = 0; i < last && missing.size() < 8; ++i)
        if (!seen.contains(i)) missing.push_back(i);
      diagnostics_.error("plan-index-gap", source_place(where.first), fmt::format("under '{}' there are the indices {}; {} {} missing", where.second, fmt::join(seen, " "), fmt::join(missing, " "), missing.size() == 1 ? "is" : "are"),
                         "layers are numbered 0 … n-1 without a gap; a pruned checkpoint has to be renumbered first");
    }
  }

  // ------------------------------------------------------------ shapes

  void bind_dims() {
    Findings ranks(diagnostics_, "plan-shape-mismatch");
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (!rule.shape || rule.kind != Rule::Kind::move) continue;
      for (const Match& match : matches_[r]) {
        const Shape& shape = info(*match.key).shape;
        if (shape.size() != rule.shape->size()) {
          ranks.add(rule.shape_place, fmt::format("'{}' has the shape {}: {} axes, where the rule says {}", match.key->key, to_string(shape), shape.size(), rule.shape->size()));
          continue;
        }
        for (size_t d = 0; d < shape.size(); ++d)
          if ((*rule.shape)[d].expression) dims_.state(*(*rule.shape)[d].expression, shape[d], d, match.key->key, match.captures);
      }
    }
    dims_.resolve(diagnostics_);
    facts_.forget_let();
    for (const auto& [name, dim] : dims_.bound()) plan_.dims.push_back(dim);
  }

  Shape evaluate_shape(const std::vector<lang::DimTerm>& terms) {
    Shape shape;
    for (const auto& term : terms) {
      if (!term.expression) throw Error("expression-value", {}, "'_' is no size");
      const Json value = lang::evaluate_present(*term.expression, facts_);
      if (!value.is_number_integer() || value < 0) throw Error("expression-value", term.expression->written.place(), fmt::format("'{}' is {}; a size was expected", term.expression->text, value.dump()));
      shape.push_back(value.get<int64_t>());
    }
    return shape;
  }

  // ------------------------------------------------------------ target tensors

  DType target_dtype(const Rule& rule, DType source) const {
    if (rule.cast) return *rule.cast;
    return dtype_ && is_floating(source) ? *dtype_ : source;
  }

  PlannedTensor* add_target(const Rule& rule, uint32_t r, const std::string& key, DType dtype, Shape shape) {
    if (plan_.tensors.size() >= Limits{}.max_tensors) throw Error("limit-exceeded", rule.place, fmt::format("the plan has more than {} tensors", Limits{}.max_tensors));
    const auto [it, fresh] = by_key_.emplace(key, plan_.tensors.size());
    if (fresh) {
      plan_.tensors.push_back({key, dtype, std::move(shape), {}, {}, r});
      return &plan_.tensors.back();
    }
    const PlannedTensor& first = plan_.tensors[it->second];
    const PlanRule& other = plan_.rules[first.rule];
    diagnostics_.error("plan-target-twice", rule.place, fmt::format("the target '{}' is given twice", key), "a target tensor has one origin",
                       {fmt::format("{}: {}", to_string(Place(other.place)), other.summary), fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
    return nullptr;
  }

  void layout_error(const Rule& rule, const SourceKey& key, const std::string& wrong) {
    diagnostics_.error("plan-layout", rule.place, fmt::format("'{}' of shape {}: {}", key.key, to_string(info(key).shape), wrong));
  }

  // The rule's steps on a view; false if one of them does not fit.
  bool apply_steps(const Rule& rule, const SourceKey& key, View& view) {
    for (const auto& step : rule.steps) {
      std::string wrong;
      if (step.kind == lang::LayoutStep::Kind::permute)
        wrong = step.transpose && view.dims.size() != 2 ? fmt::format("'transpose' exchanges the axes of a matrix; this is {}", to_string(view.shape())) : view.permute(step.order);
      else
        wrong = view.reshape(evaluate_shape(step.shape));
      if (!wrong.empty()) {
        diagnostics_.error("plan-layout", step.place, fmt::format("'{}' of shape {}: {}", key.key, to_string(info(key).shape), wrong));
        return false;
      }
    }
    return true;
  }

  void build_moves() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind != Rule::Kind::move || matches_[r].empty()) continue;
      try {
        if (!rule.replicated.empty()) keep_first_replicas(rule, r);
        if (rule.concat || rule.stack) build_gathered(rule, r);
        else
          for (const Match& match : matches_[r]) visit_parts(rule, r, match, [&](const lang::Captures& captures, View view) { emit_whole(rule, r, *match.key, captures, std::move(view)); });
      } catch (const Error& e) {
        diagnostics_.add(e.diagnostic());
      }
    }
    check_claims();
  }

  // Of the keys that differ only in the replicated hole, the first in natural order is converted; the others must hold the same bytes.
  void keep_first_replicas(const Rule& rule, uint32_t r) {
    const auto replica = [&](const Match& match) -> const std::string& { return *match.captures.hole(rule.replicated); };
    std::map<std::string, Match*> firsts;
    for (const bool choosing : {true, false})
      for (Match& match : matches_[r]) {
        lang::Captures rest = match.captures;
        for (auto& [name, text] : rest.holes)
          if (name == rule.replicated) text.clear();
        Match*& first = firsts[lang::expand_source(rule.from, rule.from, rest, facts_.variants)];
        if (choosing) {
          if (first == nullptr || natural_less(replica(match), replica(*first))) first = &match;
          continue;
        }
        if (first == &match) continue;
        if (!facts_.same(*match.key, *first->key))
          diagnostics_.error("plan-twin-differs", rule.place, fmt::format("'{}' and '{}' should hold the same values ('replicated: {}'), but they differ", first->key->key, match.key->key, rule.replicated),
                             "look at both with 'remap compare'; the checkpoint is not what the rule file takes it for");
        plan_.dropped.push_back({match.key->source, match.key->tensor, r, fmt::format("the same as {}", info(*first->key).key)});
      }
    std::set<const Match*> kept;
    for (const auto& [key, first] : firsts) kept.insert(first);
    std::vector<Match> left;
    for (Match& match : matches_[r])
      if (kept.contains(&match)) left.push_back(std::move(match));
    matches_[r] = std::move(left);
  }

  static std::vector<uint8_t> axes_in_order(size_t rank) {
    std::vector<uint8_t> axes(rank);
    for (size_t d = 0; d < rank; ++d) axes[d] = static_cast<uint8_t>(d);
    return axes;
  }

  void emit_whole(const Rule& rule, uint32_t r, const SourceKey& key, const lang::Captures& captures, View view) {
    const DType dtype = checked_dtype(rule, key);
    const std::string target = lang::expand(rule.to, rule.from, captures, set_.tables, facts_.variants);
    const Shape shape = view.shape();
    if (PlannedTensor* tensor = add_target(rule, r, target, dtype, shape)) {
      tensor->pieces.push_back(
          view.piece(key.source, key.tensor, std::vector<int64_t>(shape.size(), 0), axes_in_order(shape.size())));
      check_whole_bytes(rule, *tensor);
    }
  }

  // Elements of less than a byte are moved by whole bytes.
  void check_whole_bytes(const Rule& rule, const PlannedTensor& tensor) {
    if (!is_sub_byte(tensor.dtype)) return;
    for (const Piece& piece : tensor.pieces) {
      const TensorInfo& from = sources_[piece.source].source->manifest()[piece.tensor];
      if (from.dtype != tensor.dtype || piece_in_bytes(piece, tensor.dtype, tensor.shape, from.shape)) continue;
      diagnostics_.error(
          "plan-layout", rule.place,
          fmt::format("'{}' of shape {} is {}, whose elements share bytes: '{}' {} would take bytes apart", from.key,
                      to_string(from.shape), name(from.dtype), tensor.key, to_string(tensor.shape)),
          fmt::format("keep the last axis last, and cut it at multiples of {}", from.dtype == DType::f4 ? 2 : 4));
      return;
    }
  }

  DType checked_dtype(const Rule& rule, const SourceKey& key) {
    const DType from = info(key).dtype, to = target_dtype(rule, from);
    if (from != to && !ops::cast_supported(to, from))
      diagnostics_.error(
          "plan-cast", rule.place,
          fmt::format("'{}' is {}; no cast to {} keeps its meaning", key.key, name(from), name(to)),
          fmt::format("leave it as it is: 'cast: {}' in its rule, or --set dtype=keep for all", long_name(from)));
    return to;
  }

  // The key's tensor, or each part of its split, with the rule's steps done. Parts that do not fit are reported and left out.
  template <typename Visit>
  void visit_parts(const Rule& rule, uint32_t r, const Match& match, Visit visit) {
    const View whole = View::of(info(*match.key).shape);
    const auto finish = [&](const lang::Captures& captures, View view) {
      if (apply_steps(rule, *match.key, view)) visit(captures, std::move(view));
    };
    if (!rule.split) return finish(match.captures, whole);
    const size_t axis = static_cast<size_t>(rule.split->axis);
    const Shape shape = whole.shape();
    if (axis >= shape.size()) return layout_error(rule, *match.key, fmt::format("there is no axis {} to split", axis));
    lang::Captures captures = match.captures;
    captures.holes.emplace_back(rule.split->hole, "");
    std::string& part = captures.holes.back().second;
    if (rule.split->each) {
      if (shape[axis] == 0) return layout_error(rule, *match.key, fmt::format("axis {} has no entries to split", axis));
      for (int64_t i = 0; i < shape[axis]; ++i) {
        View view = whole;
        view.select(axis, i);
        part = std::to_string(i);
        finish(captures, std::move(view));
      }
      return;
    }
    const auto sizes = part_sizes(rule, *match.key, shape[axis]);
    int64_t begin = 0;
    for (size_t i = 0; i < sizes.size(); begin += sizes[i++]) {
      part = rule.split->parts[i].name;
      if (leaves_parts(rule)) claims_[{match.key->source, match.key->tensor}].push_back({match.key, r, part, axis, begin, begin + sizes[i]});
      if (lang::is_left_part(part)) continue;
      View view = whole;
      view.slice(axis, begin, sizes[i]);
      finish(captures, std::move(view));
    }
  }

  // What a rule that leaves parts of a tensor to other rules says of one part: it takes it, or it is for another.
  struct Claim {
    const SourceKey* key;
    uint32_t rule;
    std::string part;
    size_t axis;
    int64_t begin, end;
  };
  static std::string range_text(const Claim& claim, int64_t begin, int64_t end) {
    std::string axes;
    for (size_t d = 0; d < claim.axis; ++d) axes += ":, ";
    return fmt::format("{}[{}{}:{}]", claim.key->key, axes, begin, end);
  }
  // Rules that share a tensor take every element of it once.
  void check_claims() {
    Findings left(diagnostics_, "plan-part-left"), twice(diagnostics_, "plan-part-twice");
    for (auto& [tensor, claims] : claims_) {
      std::vector<Claim> taken;
      for (const Claim& claim : claims)
        if (!lang::is_left_part(claim.part) && claim.begin != claim.end) taken.push_back(claim);
      std::stable_sort(taken.begin(), taken.end(), [](const Claim& a, const Claim& b) { return a.begin < b.begin; });
      const Claim* before = nullptr;  // reaches furthest
      const auto report_left = [&](const Claim& claim, int64_t begin, int64_t end) {
        left.add(set_.rules[claim.rule].place, fmt::format("{} is left to another rule ('_'), and none takes it", range_text(claim, begin, end)));
      };
      for (const Claim& claim : taken) {
        const int64_t at = before == nullptr ? 0 : before->end;
        if (before != nullptr && (claim.axis != before->axis || claim.begin < at)) {
          const std::string what = claim.axis != before->axis ? fmt::format("'{}' is split along axis {} and along axis {}", claim.key->key, before->axis, claim.axis)
                                                              : fmt::format("{} is taken twice", range_text(claim, claim.begin, std::min(at, claim.end)));
          twice.add(set_.rules[claim.rule].place, what, "a part that another rule takes is called '_'", {claim_text(*before), claim_text(claim)});
        } else if (claim.begin > at) {
          report_left(claim, at, claim.begin);
        }
        if (before == nullptr || claim.end > before->end) before = &claim;
      }
      const int64_t extent = info(*claims.front().key).shape[claims.front().axis], end = before == nullptr ? 0 : before->end;
      if (end < extent && (before == nullptr || before->axis == claims.front().axis)) report_left(claims.front(), end, extent);
    }
  }
  std::string claim_text(const Claim& claim) const {
    const PlanRule& rule = plan_.rules[claim.rule];
    return fmt::format("{}: {} is '{}' of {}", to_string(Place(rule.place)), range_text(claim, claim.begin, claim.end), claim.part, rule.summary);
  }

  std::vector<int64_t> part_sizes(const Rule& rule, const SourceKey& key, int64_t total) {
    const auto& parts = rule.split->parts;
    std::vector<int64_t> sizes;
    int64_t sum = 0;
    for (const auto& part : parts) {
      const Json size = part.size ? lang::evaluate_present(*part.size, facts_) : Json(total / static_cast<int64_t>(parts.size()));
      if (!size.is_number_integer() || size < 0) throw Error("expression-value", part.size->written.place(), fmt::format("'{}' is no size", part.size->text));
      sizes.push_back(size.get<int64_t>());
      sum += sizes.back();
    }
    if (sum == total) return sizes;
    layout_error(rule, key, fmt::format("axis {} has {} entries; the {} parts have {}", rule.split->axis, total, parts.size(), sum));
    return {};
  }

  // stack and concat: what differs only in the gathered holes gives one target.
  void build_gathered(const Rule& rule, uint32_t r) {
    std::map<std::string, std::vector<Part>> groups;
    const auto taken = [](const std::optional<lang::AxisParts>& parts, const lang::Captures& captures) { return parts ? *captures.hole(parts->hole) : std::string(); };
    for (const Match& match : matches_[r])
      visit_parts(rule, r, match, [&](const lang::Captures& captures, View view) {
        groups[lang::expand(rule.to, rule.from, captures, set_.tables, facts_.variants)].push_back({match.key, &info(*match.key), taken(rule.concat, captures), taken(rule.stack, captures), std::move(view)});
      });
    for (const auto& [target, parts] : groups)
      if (auto gathered = gather(rule, target, parts, diagnostics_))
        if (PlannedTensor* tensor =
                add_target(rule, r, target, checked_dtype(rule, *gathered->first), gathered->shape)) {
          tensor->pieces = std::move(gathered->pieces);
          check_whole_bytes(rule, *tensor);
        }
  }

  // fill and copy_of: targets without a source key of their own.
  void build_made() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (!active_[r]) continue;
      try {
        if (rule.kind == Rule::Kind::fill) {
          const std::string key = lang::expand(rule.to, {}, {}, set_.tables, facts_.variants);
          const DType dtype = rule.cast ? *rule.cast : dtype_.value_or(main_dtype());
          if (PlannedTensor* tensor = add_target(rule, r, key, dtype, evaluate_shape(*rule.shape))) tensor->fill = rule.fill;
        } else if (rule.kind == Rule::Kind::copy) {
          build_copy(rule, r);
        }
      } catch (const Error& e) {
        diagnostics_.add(e.diagnostic());
      }
    }
  }

  void build_copy(const Rule& rule, uint32_t r) {
    const std::string key = lang::expand(rule.to, {}, {}, set_.tables, facts_.variants);
    const std::string of = lang::expand(rule.copy_of, {}, {}, set_.tables, facts_.variants);
    const auto it = by_key_.find(of);
    if (it == by_key_.end()) {
      diagnostics_.error("plan-copy-of-nothing", rule.place, fmt::format("'{}' repeats '{}', which no rule gives", key, of));
      return;
    }
    const PlannedTensor original = plan_.tensors[it->second];
    if (PlannedTensor* tensor = add_target(rule, r, key, original.dtype, original.shape)) {
      tensor->pieces = original.pieces;
      tensor->fill = original.fill;
    }
  }

  // The floating-point dtype that most bytes of the target have.
  DType main_dtype() const {
    std::map<DType, int64_t> bytes;
    for (const auto& tensor : plan_.tensors)
      if (is_floating(tensor.dtype)) bytes[tensor.dtype] += data_bytes(tensor);
    const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? DType::f32 : most->first;
  }

  // ------------------------------------------------------------ checks

  // A rule that matches nothing is a mistake, unless another rule gave what it would have given, as for older and newer spellings.
  void check_unused_rules() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind != Rule::Kind::move || !active_[r] || rule.optional || !matches_[r].empty()) continue;
      const RE2 targets(lang::regex_of_target(rule.to, rule.from, set_.tables, facts_.variants), RE2::Quiet);
      const bool given = std::any_of(plan_.tensors.begin(), plan_.tensors.end(), [&](const PlannedTensor& t) { return RE2::FullMatch(t.key, targets); });
      if (!given) diagnostics_.error("plan-rule-unused", rule.place, fmt::format("no key of the checkpoint matches '{}', and no other rule gives '{}'", rule.from.text, rule.to.text), "say 'optional: true' or 'when: …' if that is right");
    }
  }

  // True where it was reported that nobody can tell.
  bool same_as_twin(const SourceKey& key, const SourceKey& twin) {
    try {
      return facts_.same(key, twin);
    } catch (const Error& e) {
      diagnostics_.add(e.diagnostic());
      return true;
    }
  }

  void check_twins() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (!rule.equal_to) continue;
      for (const Match& match : matches_[r]) {
        const std::string twin_name = lang::expand_source(*rule.equal_to, rule.from, match.captures, facts_.variants);
        const SourceKey* twin = keys_.find(match.key->source, twin_name);
        if (twin == nullptr) diagnostics_.error("plan-twin-differs", rule.place, fmt::format("'{}' is dropped as equal to '{}', which the checkpoint does not have", match.key->key, twin_name));
        else if (!same_as_twin(*match.key, *twin))
          diagnostics_.error(
              "plan-twin-differs", rule.place,
              fmt::format("'{}' is dropped as equal to '{}', but they differ", match.key->key, twin_name),
              "look at both with 'remap compare'; the checkpoint is not what the rule file takes it for");
      }
    }
  }

  // ------------------------------------------------------------ config and schema

  // The fields as one object; those whose value is `omit` are not in it.
  Json fields(const std::vector<std::pair<std::string, lang::Template>>& templates) {
    Json object = Json::object();
    for (const auto& [name, field] : templates) {
      try {
        if (auto value = lang::instantiate(field, facts_)) object[name] = std::move(*value);
      } catch (const Error& e) {
        if (only_manifest() && e.diagnostic().id == "expression-missing") plan_.open.push_back(fmt::format("config field {}: {}", name, e.diagnostic().message));
        else diagnostics_.add(e.diagnostic());
      }
    }
    return object;
  }

  // What the target class says by itself, then what the rules suggest, then what the user says, then what the checkpoint shows.
  void make_config() {
    facts_.target_dtype = std::string(long_name(main_dtype()));
    Json config = schema_ ? fields(schema_->config) : Json::object();
    const Json given = given_config(), facts = fields(set_.config);
    for (const Json& layer : {fields(set_.defaults), given, facts}) merge(config, layer);
    report_contradictions(given, facts, "");
    if (schema_) {
      config["model_type"] = schema_->model_type;
      const size_t space = schema_->library.rfind(' ');
      if (space != std::string::npos && !config.contains("transformers_version")) config["transformers_version"] = schema_->library.substr(space + 1);
      config["torch_dtype"] = facts_.target_dtype;
    }
    if (set_.architecture) {
      const auto architecture = lang::instantiate(*set_.architecture, facts_);
      plan_.architecture = architecture && architecture->is_string() ? architecture->get<std::string>() : "";
      config["architectures"] = Json::array({plan_.architecture});
    }
    plan_.config = sorted_keys(config);
    plan_.parameter_sum = set_.parameter_sum;
    for (const auto& file : set_.files) {
      try {
        if (file.when && !lang::evaluate_condition(*file.when, facts_)) continue;
        if (auto value = lang::instantiate(file.content, facts_)) plan_.files.emplace_back(file.name, sorted_keys(*value));
      } catch (const Error& e) {
        if (only_manifest() && e.diagnostic().id == "expression-missing") plan_.open.push_back(fmt::format("{}: {}", file.name, e.diagnostic().message));
        else diagnostics_.add(e.diagnostic());
      }
    }
  }

  // Without what describes the file it is from, and not the model.
  Json given_config() {
    Json given = options_.config;
    if (!given.is_object()) {
      diagnostics_.error("config-contradiction", BytePlace{options_.config_file, {}, {}}, "the fields of config.json are a JSON object");
      return Json::object();
    }
    for (const auto& [name, value] : options_.config.items())
      if (name.starts_with("_") || name == "architectures" || name == "torch_dtype" || name == "dtype" || name == "transformers_version") given.erase(name);
    if (schema_ && given.contains("model_type") && given["model_type"] != Json(schema_->model_type))
      diagnostics_.error("config-contradiction", BytePlace{options_.config_file, {}, {}}, fmt::format("model_type is {}; these rules make \"{}\"", given["model_type"].dump(), schema_->model_type));
    return given;
  }

  void report_contradictions(const Json& given, const Json& facts, const std::string& path) {
    for (const auto& [name, fact] : facts.items()) {
      const auto it = given.find(name);
      if (it == given.end()) continue;
      if (is_config_of_part(name, fact) && it->is_object()) report_contradictions(*it, fact, path + name + ".");
      else if (*it != fact)
        diagnostics_.error("config-contradiction", BytePlace{options_.config_file, {}, {}}, fmt::format("{}{} is {}; the checkpoint says {}", path, name, it->dump(), fact.dump()), "correct the file, or leave the field out of it");
    }
  }

  void check_schema() {
    if (!schema_ || stop()) return;
    const Json implied = fields(schema_->implied);
    Json config = implied;
    merge(config, plan_.config);
    leave_out(plan_.config, implied);
    std::vector<lang::DemandedTensor> demanded;
    try {
      check_config(config);
      demanded = lang::demanded_tensors(*schema_, plan_.architecture, config);
    } catch (const Error& e) {
      if (only_manifest() && !plan_.open.empty()) plan_.open.push_back(fmt::format("target schema not checked: {}", e.diagnostic().message));
      else if (e.diagnostic().id != "expression-missing") diagnostics_.add(e.diagnostic());
      else diagnostics_.error("schema-config", e.diagnostic().place, e.diagnostic().message, "the checkpoint does not say it, and neither do the rules: give it with --config FILE");
      return;
    }
    if (stop()) return;
    Findings missing(diagnostics_, "schema-missing-tensor"), unexpected(diagnostics_, "schema-unexpected-tensor"), shapes(diagnostics_, "schema-wrong-shape");
    std::vector<bool> wanted(plan_.tensors.size());
    for (const auto& d : demanded) {
      const auto given = by_key_.find(d.key);
      if (given == by_key_.end()) {
        if (missing.full()) missing.count(d.origin->place);
        else missing.add(d.origin->place, fmt::format("{} needs '{}' {}, which no rule gives", plan_.architecture, d.key, to_string(d.shape)), missing_hint(d.key));
        continue;
      }
      wanted[given->second] = true;
      const PlannedTensor& tensor = plan_.tensors[given->second];
      if (!fits(tensor.shape, d.shape)) {
        const PlanRule& rule = plan_.rules[tensor.rule];
        shapes.add(rule.place, fmt::format("'{}' would have the shape {}; {} needs {}", d.key, to_string(tensor.shape), plan_.architecture, to_string(d.shape)), {},
                   {fmt::format("{}: the schema says so", to_string(Place(d.origin->place))), fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
      }
    }
    std::vector<const PlannedTensor*> others;
    for (size_t t = 0; t < wanted.size(); ++t)
      if (!wanted[t]) others.push_back(&plan_.tensors[t]);
    std::sort(others.begin(), others.end(), [](const PlannedTensor* a, const PlannedTensor* b) { return a->key < b->key; });
    for (const PlannedTensor* tensor : others) unexpected.add(plan_.rules[tensor->rule].place, fmt::format("{} has no tensor '{}'", plan_.architecture, tensor->key));
  }

  void check_config(const Json& config) {
    for (const auto& requirement : schema_->require)
      if (!lang::holds(requirement, config))
        diagnostics_.error("schema-config", requirement.condition.written.place(), fmt::format("config.json would not do: {}", requirement.because), "what the checkpoint does not record can be given with --config FILE",
                           fields_in(requirement.condition, config));
  }
  // "num_attention_heads is 12", for the fields that a condition names.
  static std::vector<std::string> fields_in(const lang::Expression& condition, const Json& config) {
    std::set<std::string> notes;
    lang::visit(condition.root, [&](const lang::ExpressionNode& node) {
      const bool part = node.kind == lang::NodeKind::member && node.children[0].kind == lang::NodeKind::name && config.contains(node.children[0].text);
      const Json& from = part ? config[node.children[0].text] : config;
      if ((!part && node.kind != lang::NodeKind::name) || !from.is_object()) return;
      const auto it = from.find(node.text);
      if (it != from.end() && it->is_primitive()) notes.insert(fmt::format("{}{} is {}", part ? node.children[0].text + "." : "", node.text, it->dump()));
    });
    return {notes.begin(), notes.end()};
  }
  static bool fits(const Shape& shape, const Shape& wanted) {
    if (shape.size() != wanted.size()) return false;
    for (size_t d = 0; d < shape.size(); ++d)
      if (wanted[d] >= 0 && wanted[d] != shape[d]) return false;
    return true;
  }
  // Which rule would give it, if its source key were there.
  std::string missing_hint(const std::string& key) const {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind != Rule::Kind::move || !RE2::FullMatch(key, RE2(lang::regex_of_target(rule.to, rule.from, set_.tables, facts_.variants), RE2::Quiet))) continue;
      return fmt::format("'{}' ({}) would give it, from a key that this checkpoint does not have{}", rule.summary, to_string(Place(rule.place)), active_[r] ? "" : fmt::format("; it holds only when {}", rule.when->text));
    }
    return "";
  }

  void finish() {
    plan_.checks = facts_.checks();
    std::vector<std::string> taken;
    for (const auto& check : plan_.checks)
      if (!check.same) taken.push_back(fmt::format("taken as equal: '{}' and '{}'", check.a, check.b));
    if (taken.size() > kMaxReported) taken = {fmt::format("taken as equal: {} pairs of tensors, listed as checks", taken.size())};
    plan_.open.insert(plan_.open.end(), taken.begin(), taken.end());
    std::sort(plan_.dropped.begin(), plan_.dropped.end(), [](const auto& a, const auto& b) { return std::tie(a.source, a.tensor) < std::tie(b.source, b.tensor); });
  }

  const lang::RuleSet& set_;
  const std::optional<lang::Schema>& schema_;
  const std::vector<NamedSource>& sources_;
  const PlanOptions& options_;
  Diagnostics& diagnostics_;
  KeyTable keys_;
  Facts facts_;
  Dims dims_;
  Plan plan_;
  std::optional<DType> dtype_;
  std::vector<bool> checked_, active_;
  std::vector<std::vector<Match>> matches_;
  std::map<std::pair<uint32_t, std::string>, std::set<int>> indices_;
  struct Noted {
    uint32_t source = 0;
    std::vector<std::string> stars;
    std::vector<size_t> offsets;
    std::string prefix;
  } noted_;  // the key before: most keys of a layer come together
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Claim>> claims_;  // by source and tensor, of rules that leave parts
  std::unordered_map<std::string, size_t> by_key_;
};

// Sources in the order of the rule file's own list; reports those that are missing or not known.
std::vector<NamedSource> in_order(const lang::RuleSet& set, const std::vector<NamedSource>& given, Diagnostics& diagnostics) {
  std::vector<NamedSource> ordered;
  for (const auto& spec : set.sources) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const NamedSource& s) { return s.name == spec.name; });
    if (it != given.end()) ordered.push_back(*it);
    else diagnostics.error("plan-source-missing", set.text->place(1, 1), fmt::format("the rules need a source '{}'{}{}", spec.name, spec.doc.empty() ? "" : ": ", spec.doc), fmt::format("give it as {}=PATH", spec.name));
  }
  for (const auto& source : given)
    if (std::none_of(set.sources.begin(), set.sources.end(), [&](const auto& spec) { return spec.name == source.name; }))
      diagnostics.error("plan-source-unknown", set.text->place(1, 1), fmt::format("the rules know no source '{}'", source.name));
  return ordered;
}

}  // namespace
}  // namespace plan

std::optional<Plan> make_plan(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options, Diagnostics& diagnostics) {
  const auto ordered = plan::in_order(rules.impl().set, sources, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  auto plan = plan::Planner(rules.impl(), ordered, options, diagnostics).run();
  diagnostics.sort();
  return plan;
}

std::string irreversible_because(const Plan& plan, const PlannedTensor& tensor) {
  if (tensor.fill) return "it is a constant: nothing of the source is in it";
  for (const Piece& piece : tensor.pieces) {
    const DType from = (*plan.sources[piece.source].manifest)[piece.tensor].dtype;
    if (from != tensor.dtype && size_bytes(from) >= size_bytes(tensor.dtype)) return fmt::format("the cast from {} to {} rounds", name(from), name(tensor.dtype));
  }
  return "";
}

}  // namespace remap
