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
#include "plan/lint_parts.h"
#include "plan/near_miss.h"
#include "plan/roots.h"
#include "plan/rules_file.h"
#include "plan/view.h"
#include "tensor/sub_byte.h"

namespace remap {
namespace plan {
namespace {

using lang::Rule;

constexpr size_t kMaxListed = 20;      // of what a plan leaves open
constexpr size_t kMaxExplained = 100;  // keys of a kind; of further ones is only said that they are wrong

// One key that one rule matched.
struct Match {
  const SourceKey* key;
  lang::Captures captures;
};

Dims::RuleLine line_of(const TextPlace& place) { return {place.line, place.column}; }

// A key without its numbers: what is found of one layer is found of all.
struct KeyForm {
  std::string text;
  std::vector<std::string> numbers;
  explicit KeyForm(const std::string& key) {
    for (size_t i = 0; i < key.size();) {
      size_t end = i;
      while (end < key.size() && key[end] >= '0' && key[end] <= '9') ++end;
      if (end > i) numbers.push_back(key.substr(i, end - i));
      text += end > i ? '#' : key[end++];
      i = end;
    }
  }
};

class Planner {
 public:
  // `wrong`: a rule whose shapes are not believed, to see whether all else fits then.
  Planner(const Rules::Impl& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
          Diagnostics& diagnostics, std::optional<Dims::RuleLine> wrong = std::nullopt)
      : rules_(rules),
        wrong_(wrong),
        set_(rules.set),
        schema_(rules.schema),
        sources_(sources),
        options_(options),
        diagnostics_(diagnostics),
        rooted_(keys_below_root(set_, sources, options, diagnostics)),
        keys_(rooted_.keys),
        facts_(set_, keys_, sources, options),
        dims_(facts_) {}

  std::optional<Plan> run() {
    if (stop()) return std::nullopt;
    describe_sources();
    choose_variants();
    if (!stop()) name_texts();
    if (stop()) {
      report_unknown_names();
      return std::nullopt;
    }
    // A requirement that can be checked already gives the better reason for whatever would go wrong below.
    check_requirements(true);
    if (stop()) return std::nullopt;
    activate_rules();
    if (stop()) report_unknown_names();
    match_keys();
    if (stop()) return std::nullopt;
    bind_dims();
    check_indices();
    if (stop()) return std::nullopt;
    report_unknown_names();
    if (stop()) return std::nullopt;
    check_requirements(false);
    size_t n_keys = 0;  // about as many as there will be targets
    for (size_t source = 0; source < sources_.size(); ++source) n_keys += keys_.keys(source).size();
    plan_.tensors.reserve(n_keys);
    by_key_.reserve(n_keys);
    build_moves();
    build_made();
    if (!stop()) {
      check_unused_rules();
      check_twins();
    }
    if (stop()) {
      blame_by_schema();
      return std::nullopt;
    }
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

  // A name may be unknown since the rule that would bind it is missing, or its shape wrong: that is what to say first.
  void report_unknown_names() {
    for (const auto& d : set_.unknown_names) diagnostics_.add(d);
  }

  void describe_sources() {
    plan_.family = set_.family;
    plan_.title = set_.title;
    for (const auto& s : sources_)
      plan_.sources.push_back(
          {s.name, std::string(s.source->format()), std::make_shared<Manifest>(s.source->manifest())});
    for (const auto& rule : set_.rules) plan_.rules.push_back({rule.summary, rule.place});
  }

  // ------------------------------------------------------------ variants and requirements

  void choose_variants() {
    choose_dtype();
    std::vector<std::string> names;
    for (const auto& choice : lang::choice_table())
      if (choice.applies(set_)) names.emplace_back(choice.name);
    for (const auto& variant : set_.variants) names.push_back(variant.name);
    for (const auto& [name, value] : options_.set)
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        const std::string near = nearest_name(name, names);
        diagnostics_.error(
            "plan-unknown-variant", {}, fmt::format("--set {}={}: the rules have no variant '{}'", name, value, name),
            near.empty() ? fmt::format("they have: {}", join(names, ", ")) : fmt::format("did you mean '{}'?", near));
      }
    for (const auto& variant : set_.variants) choose_variant(variant);
    note_choices();
  }

  // What the user chose beside the variants, and a root that is not the rules' own, are part of what the plan says of
  // itself.
  void note_choices() {
    for (const auto& choice : lang::choice_table()) {
      const auto chosen = options_.set.find(std::string(choice.name));
      if (choice.name == "root" && rooted_.root) plan_.variants.emplace_back("root", *rooted_.root);
      if (choice.name == "dtype" || choice.name == "root" || chosen == options_.set.end() || !choice.applies(set_))
        continue;
      if (!choice.values.empty() &&
          std::find(choice.values.begin(), choice.values.end(), chosen->second) == choice.values.end())
        diagnostics_.error("plan-unknown-variant", {},
                           fmt::format("--set {}={}: it cannot be that", choice.name, chosen->second),
                           fmt::format("it can be: {}", fmt::join(choice.values, ", ")));
      plan_.variants.emplace_back(choice.name, chosen->second);
    }
    std::vector<std::string> known;
    for (const auto& requirement : set_.require)
      if (!requirement.waive.empty()) known.push_back(requirement.waive);
    for (const auto& name : waived_)
      if (std::find(known.begin(), known.end(), name) == known.end())
        diagnostics_.error("plan-unknown-variant", {}, fmt::format("--set waive={}: no check has this name", name),
                           fmt::format("there are: {}", join(known, ", ")));
  }

  bool chose(const char* name, const char* value) const {
    const auto chosen = options_.set.find(name);
    return chosen != options_.set.end() && chosen->second == value;
  }

  void choose_dtype() {
    dtype_ = set_.dtype;
    const auto chosen = options_.set.find("dtype");
    if (chosen == options_.set.end()) return;
    dtype_ = parse_dtype(chosen->second);
    if (chosen->second != "keep" && (!dtype_ || !is_floating(*dtype_)))
      diagnostics_.error(
          "plan-unknown-variant", {}, fmt::format("--set dtype={}: not a floating-point dtype", chosen->second),
          did_you_mean(nearest_name(chosen->second, {"keep", "float32", "float16", "bfloat16", "float64"}),
                       "keep, float32, float16, bfloat16 or float64"));
  }

  void choose_variant(const lang::Variant& variant) {
    try {
      const auto chosen = options_.set.find(variant.name);
      std::optional<Json> known = chosen != options_.set.end() ? Json(chosen->second) : detected(variant);
      if (!known) return;
      const Json value = std::move(*known);
      if (!value.is_string())
        throw Error("expression-value", variant.detect->written.place(),
                    fmt::format("variant '{}' is {}; a string was expected", variant.name, value.dump()));
      if (variant.values) {
        const Json allowed = lang::evaluate_present(*variant.values, facts_);
        if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
          std::vector<std::string> names;
          for (const Json& one : allowed)
            if (one.is_string()) names.push_back(one.get<std::string>());
          const std::string near = nearest_name(value.get<std::string>(), names),
                            all = fmt::format("it can be: {}", allowed.dump());
          diagnostics_.error(
              "plan-unknown-variant", variant.place,
              fmt::format("'{}' cannot be \"{}\" for this checkpoint", variant.name, value.get<std::string>()),
              near.empty() ? all : fmt::format("did you mean '{}'? {}", near, all));
        }
      }
      facts_.variants[variant.name] = value.get<std::string>();
      plan_.variants.emplace_back(variant.name, value.get<std::string>());
    } catch (const Error& e) {
      // What is detected from a variant that is still open cannot be known: the question about that one is enough.
      if (e.diagnostic().id != "expression-missing" || !stop()) diagnostics_.add(e.diagnostic());
    }
  }

  // nullopt, and reported, if the checkpoint does not tell.
  std::optional<Json> detected(const lang::Variant& variant) {
    if (lang::evaluate(*variant.detect, facts_).state != lang::Value::State::omit)
      return lang::evaluate_present(*variant.detect, facts_);
    const std::string choices = variant.values ? ": " + lang::evaluate_present(*variant.values, facts_).dump() : "";
    diagnostics_.error("plan-variant-open", variant.place,
                       fmt::format("the checkpoint does not tell '{}'{}{}", variant.name,
                                   variant.doc.empty() ? "" : ": ", variant.doc),
                       fmt::format("say --set {}=…{}", variant.name, choices));
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
        if (!value.is_string())
          throw Error("expression-value", expression.written.place(),
                      fmt::format("'{}' is {}; a pattern that says ${{{}}} needs a string", name, value.dump(), name));
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
        if (!lang::evaluate_condition(requirement.condition, facts_) && !waived_.contains(requirement.waive))
          diagnostics_.error("plan-refused", requirement.condition.written.place(),
                             fmt::format("{}: refused, since {}", sources_.front().source->path(), requirement.because),
                             refusal_hint(requirement), found_values(requirement.condition));
      } catch (const Error& e) {
        checked_[i] = false;  // it may need a dim that the shapes will bind
        if (first_round) continue;
        if (only_manifest() && e.diagnostic().id == "expression-missing")
          plan_.open.push_back(fmt::format("required: {}", requirement.condition.text));
        else
          diagnostics_.add(e.diagnostic());
      }
    }
  }

  std::string refusal_hint(const lang::Requirement& requirement) {
    std::vector<std::string> ways;
    const auto hint = requirement.hint ? lang::instantiate(*requirement.hint, facts_) : std::nullopt;
    if (hint && hint->is_string()) ways.push_back(hint->get<std::string>());
    if (!requirement.waive.empty()) ways.push_back(fmt::format("--set waive={} passes this check", requirement.waive));
    return join(ways, "; ");
  }

  // Of a comparison that failed: what both sides are.
  std::vector<std::string> found_values(const lang::Expression& condition) {
    const auto& root = condition.root;
    if (root.kind != lang::NodeKind::binary || (root.text != "==" && root.text != "in")) return {};
    try {
      const Json left = lang::evaluate(condition, root.children[0], facts_).json,
                 right = lang::evaluate(condition, root.children[1], facts_).json;
      return {fmt::format("found {} where {}{} was expected", left.dump(), root.text == "in" ? "one of " : "",
                          right.dump())};
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
    for (size_t s = 0; s < sources_.size(); ++s) {
      const auto matchers = matchers_of(s);
      std::vector<const SourceKey*> unmatched;
      for (const SourceKey& key : keys_.keys(s))
        if (!match_key(key, matchers)) unmatched.push_back(&key);
      report_unmatched(s, unmatched);
    }
    refuse_unread();
  }

  // What a rule moves must be read.
  void refuse_unread() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r)
      for (const Match& match : matches_[r]) {
        const TensorInfo& tensor = info(*match.key);
        if (set_.rules[r].kind != Rule::Kind::move || tensor.unread == nullptr) continue;
        diagnostics_.error("plan-unread-tensor", set_.rules[r].place,
                           fmt::format("'{}' cannot be converted: {}", match.key->key, describe(tensor)),
                           way_on(*tensor.unread));
      }
  }

  // One rule matches a key, or several that leave parts of it to each other. False if none does.
  bool match_key(const SourceKey& key, const std::vector<RuleMatcher>& matchers) {
    lang::Captures captures, ignored;
    const RuleMatcher* found = nullptr;
    for (const RuleMatcher& candidate : matchers) {
      if (!candidate.matcher.match(key.key, captures)) continue;
      if (std::any_of(candidate.except.begin(), candidate.except.end(),
                      [&](const auto& m) { return m.match(key.key, ignored); }))
        continue;
      const Rule& rule = set_.rules[candidate.rule];
      if (found != nullptr && !(leaves_parts(rule) && leaves_parts(set_.rules[found->rule]))) {
        const Rule& first = set_.rules[found->rule];
        diagnostics_.error("plan-key-matched-twice", rule.place, fmt::format("the key '{}' matches two rules", key.key),
                           first.kind == Rule::Kind::drop || rule.kind == Rule::Kind::drop
                               ? fmt::format("add except: ['{}'] to the other rule, or narrow a pattern", key.key)
                               : "make one of the patterns narrower, or take the key out of one with 'except'",
                           {fmt::format("{}: {}", to_string(Place(first.place)), first.summary),
                            fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
        continue;
      }
      found = &candidate;
      note_indices(key, captures);
      if (rule.kind == Rule::Kind::drop)
        plan_.dropped.push_back({key.source, key.tensor, candidate.rule, rule.because});
      matches_[candidate.rule].push_back({&key, std::move(captures)});
    }
    return found != nullptr;
  }
  static bool leaves_parts(const Rule& rule) { return rule.split && rule.split->leaves_parts(); }

  // At the rule that was meant for the key, if that can be told; else at the checkpoint.
  void report_unmatched(size_t source, const std::vector<const SourceKey*>& keys) {
    if (keys.empty()) return;
    const NearMisses near_misses(near_rules(source), facts_.variants);
    std::map<std::string, NearMisses::Near> explained;  // by the form of the key
    for (const SourceKey* key : keys) {
      const std::string form = KeyForm(key->key).text;
      const auto known = explained.find(form);
      NearMisses::Near near;
      if (known != explained.end())
        near = known->second;
      else if (explained.size() < kMaxExplained)
        near = explained[form] = near_misses.explain(key->key);
      const std::string& original = info(*key).key;
      const bool blamed = near.unused != nullptr;
      diagnostics_.error(
          "plan-unmatched-key", blamed ? Place(near.place) : source_place(key->source),
          fmt::format("no rule matches the key '{}'{} ({})", key->key,
                      original == key->key ? "" : fmt::format(" ('{}' in the file)", original), describe(info(*key))),
          blamed                         ? "correct this pattern; or add a rule for the key, or drop it with a reason"
          : info(*key).unread != nullptr ? way_on(*info(*key).unread)
                                         : "add a rule for it, or drop it with a reason",
          near.notes);
    }
  }

  // Of every rule that keys match, a few of the targets that it gives.
  std::vector<std::string> some_targets() const {
    std::vector<std::string> targets;
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      std::vector<std::string> parts = {""};
      if (rule.split) parts.front() = "0";
      if (rule.split && !rule.split->each) {
        parts.clear();
        for (const auto& part : rule.split->parts) parts.push_back(part.name);
      }
      try {
        for (size_t m = 0; m < matches_[r].size(); m += matches_[r].size() / 4 + 1)
          for (const auto& part : parts) {
            lang::Captures captures = matches_[r][m].captures;
            if (rule.split) captures.holes.emplace_back(rule.split->hole, part);
            targets.push_back(lang::expand(rule.to, rule.from, captures, set_.tables, facts_.variants));
          }
      } catch (const Error&) {
        continue;  // it is said where the targets are made
      }
    }
    return targets;
  }

  std::vector<NearRule> near_rules(size_t source) const {
    const std::vector<std::string> targets = some_targets();
    std::vector<NearRule> candidates;
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if ((rule.kind != Rule::Kind::move && rule.kind != Rule::Kind::drop) || set_.sources[source].name != rule.source)
        continue;
      NearRule near{&rule.from, &rule.place, active_[r] ? nullptr : &*rule.when};
      near.unused = active_[r] && matches_[r].empty();
      if (near.unused && rule.kind == Rule::Kind::move && !rule.optional) {
        const RE2 given(lang::regex_of_target(rule.to, rule.from, set_.tables, facts_.variants), RE2::Quiet);
        near.needed = std::none_of(targets.begin(), targets.end(),
                                   [&](const std::string& key) { return RE2::FullMatch(key, given); });
      }
      candidates.push_back(near);
    }
    return candidates;
  }

  // Where the key begins behind the numbers of its file: layers may be spread over the files.
  size_t begin_below_files(const SourceKey& key) const {
    const auto& files = set_.sources[key.source].files;
    size_t begin = 0;
    for (const auto& token : files ? files->tokens : std::vector<lang::PatternToken>()) {
      const size_t slash = token.kind == lang::PatternToken::Kind::hole ? key.key.find('/', begin) : std::string::npos;
      if (slash != std::string::npos) begin = slash + 1;
    }
    return begin;
  }

  // The indices seen under one prefix, over all rules, must be 0 … n-1.
  void note_indices(const SourceKey& key, const lang::Captures& captures) {
    if (key.source == noted_.source && captures.stars == noted_.stars && captures.star_offsets == noted_.offsets &&
        key.key.compare(0, noted_.prefix.size(), noted_.prefix) == 0)
      return;
    noted_ = {key.source, captures.stars, captures.star_offsets,
              key.key.substr(0, captures.star_offsets.empty() ? 0 : captures.star_offsets.back())};
    for (size_t i = 0; i < captures.stars.size(); ++i) {
      if (captures.stars[i].size() > 9) continue;
      const size_t begin = std::min(begin_below_files(key), captures.star_offsets[i]);
      indices_[{key.source, key.key.substr(begin, captures.star_offsets[i] - begin)}].insert(
          std::stoi(captures.stars[i]));
    }
  }
  void check_indices() {
    for (const auto& [where, seen] : indices_) {
      const int last = *seen.rbegin();
      if (static_cast<size_t>(last) + 1 == seen.size()) continue;
      std::vector<int> missing;
      for (int i = 0; i < last && missing.size() < 8; ++i)
        if (!seen.contains(i)) missing.push_back(i);
      diagnostics_.error(
          "plan-index-gap", source_place(where.first),
          fmt::format("under '{}' there are the indices {}; {} {} missing", where.second, fmt::join(seen, " "),
                      fmt::join(missing, " "), missing.size() == 1 ? "is" : "are"),
          "what '*' takes is numbered 0 … n-1 without a gap; numbers that may have gaps are a hole, {name:int}");
    }
  }

  // ------------------------------------------------------------ shapes

  void bind_dims() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (!rule.shape || rule.kind != Rule::Kind::move) continue;
      for (const Match& match : matches_[r]) {
        const Shape& shape = info(*match.key).shape;
        if (shape.size() != rule.shape->size()) {
          diagnostics_.error("plan-shape-mismatch", rule.shape_place,
                             fmt::format("'{}' has the shape {}: {} axes, where the rule says {}", match.key->key,
                                         to_string(shape), shape.size(), rule.shape->size()));
          continue;
        }
        for (size_t d = 0; d < shape.size(); ++d)
          if ((*rule.shape)[d].expression)
            dims_.state(line_of(rule.place), *(*rule.shape)[d].expression, shape[d], d, match.key->key, match.captures);
      }
    }
    dims_.resolve(wrong_ ? Dims::Blame{{*wrong_}, true, true} : blame(dims_.suspects()), diagnostics_);
    facts_.forget_let();
    for (const auto& [name, dim] : dims_.bound()) plan_.dims.push_back(dim);
  }

  // Of rules that contradict each other, that one without which the rest of the plan fits best.
  Dims::Blame blame(const std::vector<Dims::RuleLine>& suspects) const {
    constexpr size_t kMaxTrials = 6;
    if (suspects.empty()) return {};
    if (suspects.size() == 1) return {{suspects.front()}};
    PlanOptions options = options_;
    options.same = nullptr;  // as far as it matters, the variants know
    for (const auto& [name, value] : plan_.variants) options.set[name] = value;
    size_t least = SIZE_MAX, n_least = 0;
    Dims::RuleLine best;
    for (size_t i = 0; i < std::min(kMaxTrials, suspects.size()); ++i) {
      Diagnostics found;
      Planner(rules_, sources_, options, found, suspects[i]).run();
      std::set<std::pair<std::string, int>> places;
      for (const auto& d : found.items()) {
        const auto* place = std::get_if<TextPlace>(&d.place);
        places.emplace(place ? place->file : d.id, place ? place->line : 0);
      }
      if (places.size() < least) least = places.size(), n_least = 0, best = suspects[i];
      n_least += places.size() == least;
    }
    return {{best}, n_least == 1};
  }

  Shape evaluate_shape(const std::vector<lang::DimTerm>& terms) {
    Shape shape;
    for (const auto& term : terms) {
      if (!term.expression) throw Error("expression-value", {}, "'_' is no size");
      const Json value = lang::evaluate_present(*term.expression, facts_);
      if (!value.is_number_integer() || value < 0)
        throw Error("expression-value", term.expression->written.place(),
                    fmt::format("'{}' is {}; a size was expected", term.expression->text, value.dump()));
      shape.push_back(value.get<int64_t>());
    }
    return shape;
  }

  // Regroups a view; '_' is the size that the others leave. Returns "" or what is wrong.
  std::string reshape(std::vector<lang::DimTerm> terms, View& view) {
    const auto open =
        std::find_if(terms.begin(), terms.end(), [](const lang::DimTerm& term) { return !term.expression; });
    const auto place = open - terms.begin();
    const bool any = open != terms.end();
    if (any) terms.erase(open);
    Shape shape = evaluate_shape(terms);
    if (any) {
      const int64_t others = element_count(shape), all = element_count(view.shape());
      if (others == 0 || all % others != 0)
        return fmt::format("{} has {} elements, which {} does not divide: '_' has no size", to_string(view.shape()),
                           all, others);
      shape.insert(shape.begin() + place, all / others);
    }
    return view.reshape(shape);
  }

  // ------------------------------------------------------------ target tensors

  DType target_dtype(const Rule& rule, DType source) const {
    if (rule.cast) return *rule.cast;
    return dtype_ && is_floating(source) ? *dtype_ : source;
  }

  static Error too_many_tensors(const Rule& rule) {
    return Error("limit-exceeded", rule.place, fmt::format("the plan has more than {} tensors", Limits{}.max_tensors));
  }

  PlannedTensor* add_target(const Rule& rule, uint32_t r, const std::string& key, DType dtype, Shape shape) {
    if (plan_.tensors.size() >= Limits{}.max_tensors) throw too_many_tensors(rule);
    const auto [it, fresh] = by_key_.emplace(key, plan_.tensors.size());
    if (fresh) {
      plan_.tensors.push_back({key, dtype, std::move(shape), {}, {}, r});
      return &plan_.tensors.back();
    }
    const PlannedTensor& first = plan_.tensors[it->second];
    const PlanRule& other = plan_.rules[first.rule];
    diagnostics_.error("plan-target-twice", rule.place, fmt::format("the target '{}' is given twice", key),
                       "a target tensor has one origin",
                       {fmt::format("{}: {}", to_string(Place(other.place)), other.summary),
                        fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
    return nullptr;
  }

  void layout_error(const Rule& rule, const SourceKey& key, const std::string& wrong) {
    diagnostics_.error("plan-layout", rule.place,
                       fmt::format("'{}' of shape {}: {}", key.key, to_string(info(key).shape), wrong));
  }

  // The rule's steps from `first` to before `last` on a view; false if one of them does not fit.
  bool apply_steps(const Rule& rule, const SourceKey& key, View& view, size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const auto& step = rule.steps[i];
      std::string wrong;
      if (step.kind == lang::LayoutStep::Kind::permute)
        wrong = step.transpose && view.dims.size() != 2
                    ? fmt::format("'transpose' exchanges the axes of a matrix; this is {}", to_string(view.shape()))
                    : view.permute(step.order);
      else
        wrong = reshape(step.shape, view);
      if (!wrong.empty()) {
        diagnostics_.error("plan-layout", step.place,
                           fmt::format("'{}' of shape {}: {}", key.key, to_string(info(key).shape), wrong));
        return false;
      }
    }
    return true;
  }

  // What says no place of its own is about the rule.
  void add(const Error& e, const Rule& rule) {
    Diagnostic d = e.diagnostic();
    if (std::holds_alternative<std::monostate>(d.place)) d.place = rule.place;
    diagnostics_.add(std::move(d));
  }

  void build_moves() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind != Rule::Kind::move || matches_[r].empty()) continue;
      try {
        if (!rule.replicated.empty()) keep_first_replicas(rule, r);
        if (rule.concat || rule.stack)
          build_gathered(rule, r);
        else
          for (const Match& match : matches_[r])
            visit_parts(rule, r, match, [&](const lang::Captures& captures, View view) {
              emit_whole(rule, r, *match.key, captures, std::move(view));
            });
      } catch (const Error& e) {
        add(e, rule);
      }
    }
    check_claims();
  }

  // Of the keys that differ only in the replicated hole, the first in natural order is converted; the others must hold
  // the same bytes.
  void keep_first_replicas(const Rule& rule, uint32_t r) {
    const auto replica = [&](const Match& match) -> const std::string& {
      return *match.captures.hole(rule.replicated);
    };
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
        const bool same = facts_.same(*match.key, *first->key), first_counts = chose("replicas", "first");
        const Shape &shape = info(*match.key).shape, &kept = info(*first->key).shape;
        if (shape != kept)
          diagnostics_.error(
              "plan-twin-differs", rule.place,
              fmt::format("'{}' of shape {} and '{}' of shape {} cannot hold the same values ('replicated: {}')",
                          first->key->key, to_string(kept), match.key->key, to_string(shape), rule.replicated),
              "copies have one shape; the checkpoint is not what the rule file takes it for");
        else if (!same && !first_counts)
          diagnostics_.error(
              "plan-twin-differs", rule.place,
              fmt::format("'{}' and '{}' should hold the same values ('replicated: {}'), but they differ",
                          first->key->key, match.key->key, rule.replicated),
              "'remap compare' shows how much; --set replicas=first takes the first and drops the others");
        plan_.dropped.push_back({match.key->source, match.key->tensor, r,
                                 (same ? "the same as " : "replicas=first: it differs from ") + info(*first->key).key});
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
      diagnostics_.error("plan-cast", rule.place,
                         fmt::format("'{}' is {}; no cast to {} keeps its meaning", key.key, name(from), name(to)),
                         fmt::format("leave it as it is: a rule of its own with 'cast: {}'{}", long_name(from),
                                     rule.cast ? "" : ", or --set dtype=keep for all"));
    return to;
  }

  // The key's tensor, or each part of its split, with the rule's steps done. Parts that do not fit are reported and
  // left out.
  template <typename Visit>
  void visit_parts(const Rule& rule, uint32_t r, const Match& match, Visit visit) {
    View whole = View::of(info(*match.key).shape);
    const auto finish = [&](const lang::Captures& captures, View view, size_t done) {
      const bool good = apply_steps(rule, *match.key, view, done, rule.steps_of_parts());
      if (good) visit(captures, std::move(view));
      return good;
    };
    if (!rule.split) return static_cast<void>(finish(match.captures, whole, 0));
    if (!apply_steps(rule, *match.key, whole, 0, rule.split_at)) return;
    visit_cut(rule, r, match, *rule.split, whole, match.captures, [&](const lang::Captures& captures, View view) {
      if (!rule.inner_split) return finish(captures, std::move(view), rule.split_at);
      return apply_steps(rule, *match.key, view, rule.split_at, rule.inner_split_at) &&
             visit_cut(rule, r, match, *rule.inner_split, view, captures, [&](const lang::Captures& both, View part) {
               return finish(both, std::move(part), rule.inner_split_at);
             });
    });
  }

  // Each part of a view, until one does not fit: false, and reported.
  template <typename Visit>
  bool visit_cut(const Rule& rule, uint32_t r, const Match& match, const lang::AxisParts& parts, const View& whole,
                 lang::Captures captures, Visit visit) {
    const size_t axis = static_cast<size_t>(parts.axis);
    const Shape shape = whole.shape();
    const auto fail = [&](const std::string& wrong) {
      layout_error(rule, *match.key, wrong);
      return false;
    };
    if (axis >= shape.size()) return fail(fmt::format("there is no axis {} to split", axis));
    captures.holes.emplace_back(parts.hole, "");
    const auto visit_part = [&](const std::string& part, View view, const std::string& wrong) {
      captures.holes.back().second = part;
      return wrong.empty() ? visit(captures, std::move(view)) : fail(wrong);
    };
    if (parts.each) {
      if (shape[axis] == 0) return fail(fmt::format("axis {} has no entries to split", axis));
      if (static_cast<uint64_t>(shape[axis]) > Limits{}.max_tensors - plan_.tensors.size())
        throw too_many_tensors(rule);
      for (int64_t i = 0; i < shape[axis]; ++i) {
        View view = whole;
        const std::string wrong = view.select(axis, i);
        if (!visit_part(std::to_string(i), std::move(view), wrong)) return false;
      }
      return true;
    }
    const auto sizes = part_sizes(rule, parts, *match.key, shape[axis]);
    int64_t begin = 0;
    for (size_t i = 0; i < sizes.size(); begin += sizes[i++]) {
      const std::string& part = parts.parts[i].name;
      if (leaves_parts(rule))
        claims_[{match.key->source, match.key->tensor}].push_back(
            {match.key, r, part, axis, begin, begin + sizes[i], whole});
      if (lang::is_left_part(part)) continue;
      View view = whole;
      const std::string wrong = view.slice(axis, begin, sizes[i]);
      if (!visit_part(part, std::move(view), wrong)) return false;
    }
    return !sizes.empty();
  }

  // What a rule that leaves parts of a tensor to other rules says of one part: it takes it, or it is for another.
  struct Claim {
    const SourceKey* key;
    uint32_t rule;
    std::string part;
    size_t axis;
    int64_t begin, end;
    View whole;  // what is cut: the tensor, or what the steps before the split made of it
  };
  static std::string range_text(const Claim& claim, int64_t begin, int64_t end) {
    std::string axes;
    for (size_t d = 0; d < claim.axis; ++d) axes += ":, ";
    return fmt::format("'{}[{}{}:{}]'", claim.key->key, axes, begin, end);
  }
  // Rules that share a tensor take every element of it once.
  void check_claims() {
    for (auto& [tensor, claims] : claims_) {
      std::vector<Claim> taken;
      for (const Claim& claim : claims)
        if (!lang::is_left_part(claim.part) && claim.begin != claim.end) taken.push_back(claim);
      std::stable_sort(taken.begin(), taken.end(), [](const Claim& a, const Claim& b) { return a.begin < b.begin; });
      const Claim* before = nullptr;  // reaches furthest
      const auto report_left = [&](const Claim& claim, int64_t begin, int64_t end) {
        diagnostics_.error(
            "plan-part-left", set_.rules[claim.rule].place,
            fmt::format("{} is left to another rule ('_'), and none takes it", range_text(claim, begin, end)));
      };
      for (const Claim& claim : taken) {
        const int64_t at = before == nullptr ? 0 : before->end;
        const bool regrouped = before != nullptr && before->whole.dims != claim.whole.dims;
        if (before != nullptr && (claim.axis != before->axis || regrouped || claim.begin < at)) {
          const std::string what =
              regrouped ? fmt::format("'{}' is split after different steps", claim.key->key)
              : claim.axis != before->axis
                  ? fmt::format("'{}' is split along axis {} and along axis {}", claim.key->key, before->axis,
                                claim.axis)
                  : fmt::format("{} is taken twice", range_text(claim, claim.begin, std::min(at, claim.end)));
          diagnostics_.error("plan-part-twice", set_.rules[claim.rule].place, what,
                             "a part that another rule takes is called '_'", {claim_text(*before), claim_text(claim)});
        } else if (claim.begin > at) {
          report_left(claim, at, claim.begin);
        }
        if (before == nullptr || claim.end > before->end) before = &claim;
      }
      const int64_t extent = claims.front().whole.shape()[claims.front().axis],
                    end = before == nullptr ? 0 : before->end;
      if (end < extent && (before == nullptr || before->axis == claims.front().axis))
        report_left(claims.front(), end, extent);
    }
  }
  std::string claim_text(const Claim& claim) const {
    const PlanRule& rule = plan_.rules[claim.rule];
    return fmt::format("{}: {} is '{}' of {}", to_string(Place(rule.place)), range_text(claim, claim.begin, claim.end),
                       claim.part, rule.summary);
  }

  std::vector<int64_t> part_sizes(const Rule& rule, const lang::AxisParts& split, const SourceKey& key, int64_t total) {
    const auto& parts = split.parts;
    std::vector<int64_t> sizes;
    int64_t sum = 0;
    for (const auto& part : parts) {
      const Json size =
          part.size ? lang::evaluate_present(*part.size, facts_) : Json(total / static_cast<int64_t>(parts.size()));
      if (!size.is_number_integer() || size < 0)
        throw Error("expression-value", part.size->written.place(), fmt::format("'{}' is no size", part.size->text));
      sizes.push_back(size.get<int64_t>());
      sum += sizes.back();
    }
    if (sum == total) return sizes;
    layout_error(rule, key,
                 fmt::format("axis {} has {} entries; the {} parts have {}", split.axis, total, parts.size(), sum));
    return {};
  }

  // stack and concat: what differs only in the gathered holes gives one target.
  void build_gathered(const Rule& rule, uint32_t r) {
    std::map<std::string, std::vector<Part>> groups;
    const auto taken = [](const std::optional<lang::AxisParts>& parts, const lang::Captures& captures) {
      return parts ? *captures.hole(parts->hole) : std::string();
    };
    for (const Match& match : matches_[r])
      visit_parts(rule, r, match, [&](const lang::Captures& captures, View view) {
        groups[lang::expand(rule.to, rule.from, captures, set_.tables, facts_.variants)].push_back(
            {match.key, &info(*match.key), taken(rule.concat, captures), taken(rule.stack, captures), std::move(view)});
      });
    const auto regroup = [&](const SourceKey& key, View& view) {
      return apply_steps(rule, key, view, rule.steps_of_parts(), rule.steps.size());
    };
    for (const auto& [target, parts] : groups)
      if (auto gathered = gather(rule, target, parts, regroup, diagnostics_))
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
          if (PlannedTensor* tensor = add_target(rule, r, key, dtype, evaluate_shape(*rule.shape)))
            tensor->fill = rule.fill;
        } else if (rule.kind == Rule::Kind::copy) {
          build_copy(rule, r);
        }
      } catch (const Error& e) {
        add(e, rule);
      }
    }
  }

  void build_copy(const Rule& rule, uint32_t r) {
    const std::string key = lang::expand(rule.to, {}, {}, set_.tables, facts_.variants);
    const std::string of = lang::expand(rule.copy_of, {}, {}, set_.tables, facts_.variants);
    const auto it = by_key_.find(of);
    if (it == by_key_.end()) {
      const auto own = lang::without_prefix(rule.copy_of);
      const std::string whole = own ? lang::expand(*own, {}, {}, set_.tables, facts_.variants) : "";
      diagnostics_.error("plan-copy-of-nothing", rule.place,
                         fmt::format("'{}' repeats '{}', which no rule gives", key, of),
                         by_key_.contains(whole) ? lang::prefix_hint("copy_of", rule.copy_of, whole) : "");
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
    const auto most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? DType::f32 : most->first;
  }

  // ------------------------------------------------------------ checks

  // A rule that matches nothing is a mistake, unless another rule gave what it would have given, as for older and newer
  // spellings.
  void check_unused_rules() {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind != Rule::Kind::move || !active_[r] || rule.optional || !matches_[r].empty()) continue;
      const RE2 targets(lang::regex_of_target(rule.to, rule.from, set_.tables, facts_.variants), RE2::Quiet);
      const bool given = std::any_of(plan_.tensors.begin(), plan_.tensors.end(),
                                     [&](const PlannedTensor& t) { return RE2::FullMatch(t.key, targets); });
      if (!given)
        diagnostics_.error("plan-rule-unused", rule.place,
                           fmt::format("no key of the checkpoint matches '{}', and no other rule gives '{}'",
                                       rule.from.text, rule.to.text),
                           "say 'optional: true' or 'when: …' if that is right");
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
        if (twin == nullptr) {
          const auto own = lang::without_prefix(*rule.equal_to);
          const std::string whole = own ? lang::expand_source(*own, rule.from, match.captures, facts_.variants) : "";
          diagnostics_.error("plan-twin-differs", rule.place,
                             fmt::format("'{}' is dropped as equal to '{}', which the checkpoint does not have",
                                         match.key->key, twin_name),
                             own && keys_.find(match.key->source, whole) != nullptr
                                 ? lang::prefix_hint("equal_to", *rule.equal_to, whole)
                                 : "");
        } else if (!same_as_twin(*match.key, *twin)) {
          differing_twin(rule, *match.key, twin_name);
        }
      }
    }
  }

  void differing_twin(const Rule& rule, const SourceKey& key, const std::string& twin) {
    if (!chose("twins", "kept"))
      return diagnostics_.error(
          "plan-twin-differs", rule.place,
          fmt::format("'{}' is dropped as equal to '{}', but they differ", key.key, twin),
          "the checkpoint is not what the rule file takes it for; --set twins=kept drops it nevertheless");
    const auto is_it = [&](const DroppedTensor& d) { return d.source == key.source && d.tensor == key.tensor; };
    const auto dropped = std::find_if(plan_.dropped.begin(), plan_.dropped.end(), is_it);
    if (dropped != plan_.dropped.end())
      dropped->because += fmt::format("; differs from {}, which is taken (twins=kept)", twin);
  }

  // ------------------------------------------------------------ config and schema

  // The fields as one object; those whose value is `omit` are not in it.
  Json fields(const std::vector<std::pair<std::string, lang::Template>>& templates) {
    Json object = Json::object();
    for (const auto& [name, field] : templates) {
      try {
        if (auto value = lang::instantiate(field, facts_)) object[name] = std::move(*value);
      } catch (const Error& e) {
        if (only_manifest() && e.diagnostic().id == "expression-missing")
          plan_.open.push_back(fmt::format("config field {}: {}", name, e.diagnostic().message));
        else
          diagnostics_.add(e.diagnostic());
      }
    }
    return object;
  }

  // What the target class says by itself, then what the rules suggest, then what the user says, then what the
  // checkpoint shows.
  void make_config() {
    facts_.target_dtype = std::string(long_name(main_dtype()));
    Json config = schema_ ? fields(schema_->config) : Json::object();
    const Json defaults = fields(set_.defaults), given = given_config(), facts = fields(set_.config);
    const bool given_counts = chose("config", "given");
    for (const Json* layer : {&defaults, given_counts ? &facts : &given, given_counts ? &given : &facts})
      merge(config, *layer);
    if (!given_counts) report_contradictions(given, facts, "");
    if (schema_) {
      settle(config, "model_type", schema_->model_type);
      const size_t space = schema_->library.rfind(' ');
      if (space != std::string::npos && !config.contains("transformers_version"))
        config["transformers_version"] = schema_->library.substr(space + 1);
      check_fields(defaults, given, facts);
    } else if (!set_.model_type.empty()) {
      settle(config, "model_type", set_.model_type);
    }
    const bool floating =
        std::any_of(plan_.tensors.begin(), plan_.tensors.end(), [](const auto& t) { return is_floating(t.dtype); });
    if (schema_ || floating) settle(config, "torch_dtype", facts_.target_dtype);
    if (set_.architecture) {
      const auto architecture = lang::instantiate(*set_.architecture, facts_);
      plan_.architecture = architecture && architecture->is_string() ? architecture->get<std::string>() : "";
      settle(config, "architectures", Json::array({plan_.architecture}));
    }
    // What an expression took from elsewhere; the rest has been said.
    for (const auto& name : take_out_code(config))
      plan_.left_behind.push_back(
          fmt::format("config.json: '{}', which would make a program look for code to run", name));
    plan_.config = sorted_keys(config);
    report_left_out();
    note_left_behind(facts);
    plan_.parameter_sum = set_.parameter_sum;
    for (const auto& file : set_.files) {
      try {
        if (file.when && !lang::evaluate_condition(*file.when, facts_)) continue;
        auto value = lang::instantiate(file.content, facts_);
        if (!value) continue;
        for (const auto& name : take_out_code(*value))
          plan_.left_behind.push_back(
              fmt::format("{}: '{}', which would make a program look for code to run", file.name, name));
        plan_.files.emplace_back(file.name, sorted_keys(*value));
      } catch (const Error& e) {
        if (only_manifest() && e.diagnostic().id == "expression-missing")
          plan_.open.push_back(fmt::format("{}: {}", file.name, e.diagnostic().message));
        else
          diagnostics_.add(e.diagnostic());
      }
    }
  }

  // A field whose value is known, whatever the rules say of it.
  void settle(Json& config, const std::string& name, const Json& value) {
    for (const auto* section : {&set_.config, &set_.defaults})
      for (const auto& [field, written] : *section)
        if (field == name && config.contains(name) && !same_value(config[name], value))
          diagnostics_.error("config-contradiction", written.name_place,
                             fmt::format("{} would be {}; the output's is {}", name, config[name].dump(), value.dump()),
                             "leave the field out: it is written by itself");
    config[name] = value;
  }

  Place config_place() const { return BytePlace{options_.config_file, {}, {}}; }

  // Without what describes the file it is from, and not the model, and without what makes a program load code.
  Json given_config() {
    Json given = options_.config;
    if (!given.is_object()) {
      diagnostics_.error("config-contradiction", config_place(), "the fields of config.json are a JSON object");
      return Json::object();
    }
    if (const auto code = take_out_code(given); !code.empty())
      diagnostics_.warning(
          "config-loads-code", config_place(), fmt::format("left out: {}", quoted_names(code)),
          "such a field makes a program that loads the model look for code to run; it is never written");
    for (const auto& [name, value] : options_.config.items())
      if (!lang::common_fields().left_out_because(name).empty()) given.erase(name);
    const std::string model_type = schema_ ? schema_->model_type : set_.model_type;
    if (!model_type.empty() && given.contains("model_type") && given["model_type"] != Json(model_type))
      diagnostics_.error(
          "config-contradiction", config_place(),
          fmt::format("model_type is {}; these rules make \"{}\"", given["model_type"].dump(), model_type));
    return given;
  }

  static std::string quoted_names(const std::vector<std::string>& names) {
    constexpr size_t kShown = 12;
    std::vector<std::string> quoted;
    for (size_t i = 0; i < std::min(kShown, names.size()); ++i) quoted.push_back("'" + names[i] + "'");
    return join(quoted, ", ") + (names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "");
  }

  // Fields of --config that are not in config.json as they were given: one finding a reason.
  void report_left_out() {
    if (!options_.config.is_object()) return;
    std::map<std::string, std::vector<std::string>> by_reason;
    for (const auto& [name, value] : options_.config.items()) {
      const std::string because = lang::common_fields().left_out_because(name);
      if (!because.empty() && !lang::common_fields().makes_code_load(name) &&
          (!plan_.config.contains(name) || !same_value(plan_.config[name], value)))
        by_reason[because].push_back(name);
    }
    for (const auto& [because, names] : by_reason)
      diagnostics_.warning("config-field-ignored", config_place(),
                           fmt::format("not taken over: {}; {}", quoted_names(names), because));
  }

  // Fields that the target's class does not have. The rules' own names were checked when they were loaded; here are
  // those that expressions gave, and the user's. A newer class may have more than the schema knows.
  void check_fields(const Json& defaults, const Json& given, const Json& facts) {
    for (const Json* layer : {&defaults, &facts})
      for (const auto& unknown : unknown_fields(*layer, *schema_))
        diagnostics_.error("config-unknown-field", field_place(unknown.path.substr(0, unknown.path.find('.'))),
                           unknown_text(unknown), near_hint(unknown));
    std::set<std::string> asked;  // by expressions: 'config.NAME' need not be a field of the class
    visit_expressions(set_, [&](const lang::Expression& expression) {
      lang::visit(expression.root, [&](const lang::ExpressionNode& node) {
        if (node.kind == lang::NodeKind::member && node.children[0].kind == lang::NodeKind::name &&
            node.children[0].text == "config")
          asked.insert(node.text);
      });
    });
    std::vector<std::string> others;
    for (const auto& unknown : unknown_fields(given, *schema_)) {
      if (asked.contains(unknown.path)) continue;
      if (unknown.near.empty())
        others.push_back(unknown.path);
      else
        diagnostics_.error("config-unknown-field", config_place(), unknown_text(unknown), near_hint(unknown));
    }
    if (!others.empty())
      diagnostics_.warning(
          "config-unknown-field", config_place(),
          fmt::format("{} {} not known for {}: written as given", quoted_names(others),
                      others.size() == 1 ? "is" : "are", schema_->model_type),
          fmt::format("the target schema knows the fields of {}; a newer version may have more", schema_->library));
  }
  Place field_place(const std::string& name) const {
    for (const auto* section : {&set_.config, &set_.defaults})
      for (const auto& [field, value] : *section)
        if (field == name) return value.name_place;
    return {};
  }
  std::string unknown_text(const UnknownField& unknown) const {
    return fmt::format("'{}' is not a field of config.json for {}", unknown.path, schema_->model_type);
  }
  static std::string near_hint(const UnknownField& unknown) {
    return unknown.near.empty() ? "leave it out" : fmt::format("did you mean '{}'?", unknown.near);
  }

  // What a checkpoint says beside its tensors: strings are carried over where the format has a place for them; of a
  // config.json, the rules know best, but what they left aside is said.
  void note_left_behind(const Json& facts) {
    for (const auto& source : sources_) {
      const Json& metadata = source.source->metadata();
      const std::string of = source.name.empty() ? "" : source.name + ": ";
      std::vector<std::string> lost, code;
      for (const auto& [name, text] : object_in(metadata, "__metadata__").items()) {
        if (name == "format" || !text.is_string()) continue;
        if (lang::common_fields().makes_code_load(name)) {
          code.push_back(name);
          continue;
        }
        if (plan_.metadata.emplace(name, text.get<std::string>()).first->second != text.get<std::string>())
          lost.push_back(name);
      }
      if (!lost.empty())
        plan_.left_behind.push_back(
            fmt::format("{}metadata that another source has with another value: {}", of, quoted_names(lost)));
      lost.clear();
      for (const auto& [name, value] : object_in(metadata, "index").items())
        if (name != "total_size" && name != "total_parameters") lost.push_back(name);
      if (!lost.empty())
        plan_.left_behind.push_back(fmt::format("{}metadata of the index of shards: {}", of, quoted_names(lost)));
      lost.clear();
      const Json& config = object_in(metadata, "config");
      if (config.contains("model_type") || config.contains("architectures"))
        for (const auto& [name, value] : config.items()) {
          if (lang::common_fields().makes_code_load(name))
            code.push_back(name + " in config.json");
          else if (!facts.contains(name) && lang::common_fields().left_out_because(name).empty() &&
                   !is_written(name, value))
            lost.push_back(name);
        }
      if (!lost.empty())
        plan_.left_behind.push_back(
            fmt::format("{}of the checkpoint's config.json, which --config takes: {}", of, quoted_names(lost)));
      if (!code.empty())
        plan_.left_behind.push_back(
            fmt::format("{}what would make a program look for code to run: {}", of, quoted_names(code)));
    }
  }
  // In config.json, or by the class itself.
  bool is_written(const std::string& name, const Json& value) const {
    if (plan_.config.contains(name)) return same_value(plan_.config[name], value);
    if (!schema_) return false;
    return std::any_of(schema_->implied.begin(), schema_->implied.end(), [&](const auto& field) {
      return field.first == name && field.second.kind == lang::Template::Kind::constant &&
             field.second.constant == value;
    });
  }
  static const Json& object_in(const Json& metadata, const char* name) {
    static const Json kNone = Json::object();
    const auto it = metadata.find(name);
    return it != metadata.end() && it->is_object() ? *it : kNone;
  }

  void report_contradictions(const Json& given, const Json& facts, const std::string& path) {
    for (const auto& [name, fact] : facts.items()) {
      const auto it = given.find(name);
      if (it == given.end()) continue;
      if (is_config_of_part(name, fact) && it->is_object())
        report_contradictions(*it, fact, path + name + ".");
      else if (*it != fact)
        diagnostics_.error(
            "config-contradiction", BytePlace{options_.config_file, {}, {}},
            fmt::format("{}{} is {}; the checkpoint says {}", path, name, it->dump(), fact.dump()),
            "correct the file, or leave the field out of it; --set config=given takes what the file says");
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
      if (only_manifest() && !plan_.open.empty())
        plan_.open.push_back(fmt::format("target schema not checked: {}", e.diagnostic().message));
      else if (e.diagnostic().id != "expression-missing")
        diagnostics_.add(e.diagnostic());
      else
        diagnostics_.error("schema-config", e.diagnostic().place, e.diagnostic().message,
                           "the checkpoint does not say it, and neither do the rules: give it with --config FILE");
      return;
    }
    if (stop()) return;
    compare_with_schema(demanded);
  }

  // What is wrong already may be wrong because of what the schema can tell: rules that give other tensors or shapes
  // than it has.
  void blame_by_schema() {
    if (!schema_) return;
    Diagnostics before;
    std::swap(before, diagnostics_);
    make_config();
    check_schema();
    std::swap(before, diagnostics_);
    // Where the settings contradict the shapes that several rules agree on, it is the settings that are wrong.
    const auto& found = diagnostics_.items();
    const bool refused =
        std::all_of(found.begin(), found.end(), [](const Diagnostic& d) { return d.id == "plan-refused"; });
    for (const auto& d : before.items()) {
      const auto* place = std::get_if<TextPlace>(&d.place);
      if ((d.id == "schema-wrong-shape" && (!refused || dims_.alone(line_of(*place)))) ||
          (d.id == "schema-unexpected-tensor" && !refused))
        diagnostics_.add(d);
    }
  }

  using DemandedTensors = std::vector<lang::DemandedTensor>;

  // One mistake is told once: a rule that gives wrong shapes may give too many or too few tensors for the same reason,
  // and one whose target is misspelt gives one that is not wanted instead of one that is missing.
  void compare_with_schema(const DemandedTensors& demanded) {
    std::vector<bool> wanted(plan_.tensors.size());
    std::vector<size_t> missing;
    std::map<Dims::RuleLine, std::vector<std::pair<size_t, size_t>>> wrong;  // plan's tensor, demanded tensor
    for (size_t i = 0; i < demanded.size(); ++i) {
      const auto given = by_key_.find(demanded[i].key);
      if (given == by_key_.end()) {
        missing.push_back(i);
        continue;
      }
      wanted[given->second] = true;
      const PlannedTensor& tensor = plan_.tensors[given->second];
      if (!fits(tensor.shape, demanded[i].shape))
        wrong[line_of(plan_.rules[tensor.rule].place)].emplace_back(given->second, i);
    }
    std::vector<size_t> unexpected;
    std::map<Dims::RuleLine, std::vector<std::string>> too_many, too_few;
    for (size_t t = 0; t < wanted.size(); ++t) {
      if (wanted[t]) continue;
      const auto line = line_of(plan_.rules[plan_.tensors[t].rule].place);
      if (wrong.contains(line))
        too_many[line].push_back(plan_.tensors[t].key);
      else
        unexpected.push_back(t);
    }
    const auto by_key = [&](size_t a, size_t b) { return plan_.tensors[a].key < plan_.tensors[b].key; };
    std::sort(unexpected.begin(), unexpected.end(), by_key);
    std::map<size_t, size_t> meant = misspelt(unexpected, missing, demanded);  // unexpected -> missing
    std::set<size_t> explained;
    for (const auto& [t, i] : meant) explained.insert(i);
    std::map<std::string, std::optional<uint32_t>> givers;  // by the form of the key
    for (const size_t i : missing) {
      if (explained.contains(i)) continue;
      const lang::DemandedTensor& d = demanded[i];
      const std::string form = KeyForm(d.key).text;
      const auto known = givers.find(form);
      std::optional<uint32_t> giver;
      if (known != givers.end())
        giver = known->second;
      else if (givers.size() < kMaxExplained)
        giver = givers[form] = giver_of(d.key);
      if (giver && wrong.contains(line_of(set_.rules[*giver].place)))
        too_few[line_of(set_.rules[*giver].place)].push_back(d.key);
      else
        diagnostics_.error(
            "schema-missing-tensor", d.origin->place,
            fmt::format("{} needs '{}' {}, which no rule gives", plan_.architecture, d.key, to_string(d.shape)),
            giver ? missing_hint(*giver) : "");
    }
    for (const auto& [line, tensors] : wrong)
      for (const auto& [t, i] : tensors) {
        const PlannedTensor& tensor = plan_.tensors[t];
        const PlanRule& rule = plan_.rules[tensor.rule];
        std::vector<std::string> notes = {
            fmt::format("{}: the schema says so", to_string(Place(demanded[i].origin->place))),
            fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)};
        if (!too_many[line].empty())
          notes.push_back(fmt::format("the rule also gives {}, which {} does not have", and_more(too_many[line]),
                                      plan_.architecture));
        if (!too_few[line].empty()) notes.push_back(fmt::format("the rule does not give {}", and_more(too_few[line])));
        diagnostics_.error("schema-wrong-shape", rule.place,
                           fmt::format("'{}' would have the shape {}; {} needs {}", tensor.key, to_string(tensor.shape),
                                       plan_.architecture, to_string(demanded[i].shape)),
                           {}, std::move(notes));
      }
    for (const size_t t : unexpected) {
      const PlannedTensor& tensor = plan_.tensors[t];
      const auto it = meant.find(t);
      const std::string hint =
          it == meant.end() ? "" : fmt::format("did you mean '{}'? No rule gives it", demanded[it->second].key);
      std::vector<std::string> notes;
      if (it != meant.end())
        notes.push_back(
            fmt::format("{}: the schema has it here", to_string(Place(demanded[it->second].origin->place))));
      diagnostics_.error("schema-unexpected-tensor", plan_.rules[tensor.rule].place,
                         fmt::format("{} has no tensor '{}'", plan_.architecture, tensor.key), hint, std::move(notes));
    }
  }

  static std::string and_more(const std::vector<std::string>& keys) {
    return keys.size() == 1 ? fmt::format("'{}'", keys.front())
                            : fmt::format("'{}' and {} more", keys.front(), keys.size() - 1);
  }

  // For targets that are not wanted, the missing one of the same shape that each was meant to be: they differ in one
  // part of the name, and what is found of one layer is found of all.
  std::map<size_t, size_t> misspelt(const std::vector<size_t>& unexpected, const std::vector<size_t>& missing,
                                    const DemandedTensors& demanded) const {
    std::map<std::string, std::map<std::vector<std::string>, size_t>> missing_of;  // by form, then by numbers
    for (const size_t i : missing) {
      KeyForm form(demanded[i].key);
      missing_of[form.text].emplace(std::move(form.numbers), i);
    }
    std::map<std::string, std::vector<std::string>> nearest;  // of a form: those that may be meant, best first
    std::map<size_t, size_t> meant;
    std::set<size_t> taken;
    for (const size_t t : unexpected) {
      const KeyForm form(plan_.tensors[t].key);
      auto known = nearest.find(form.text);
      if (known == nearest.end()) {
        if (nearest.size() * missing_of.size() > kMaxExplained * kMaxExplained) continue;
        std::vector<std::pair<size_t, std::string>> candidates;
        for (const auto& [other, numbers] : missing_of)
          if (differ_in_one_part(form.text, other)) candidates.emplace_back(edit_distance(form.text, other), other);
        std::sort(candidates.begin(), candidates.end());
        std::vector<std::string> forms;
        for (auto& [distance, other] : candidates) forms.push_back(std::move(other));
        known = nearest.emplace(form.text, std::move(forms)).first;
      }
      for (const auto& other : known->second) {
        const auto& numbers = missing_of.at(other);
        const auto it = numbers.find(form.numbers);
        if (it == numbers.end() || taken.contains(it->second) ||
            !fits(plan_.tensors[t].shape, demanded[it->second].shape))
          continue;
        meant[t] = it->second;
        taken.insert(it->second);
        break;
      }
    }
    return meant;
  }
  static bool differ_in_one_part(const std::string& a, const std::string& b) {
    const size_t longest = std::min(a.size(), b.size());
    size_t same = 0, tail = 0;
    while (same < longest && a[same] == b[same]) ++same;
    while (tail < longest - same && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
    const auto one_part = [&](const std::string& key) { return key.find('.', same) >= key.size() - tail; };
    return same + tail > 0 && one_part(a) && one_part(b);
  }

  void check_config(const Json& config) {
    for (const auto& requirement : schema_->require)
      if (!lang::holds(requirement, config))
        diagnostics_.error("schema-config", requirement.condition.written.place(),
                           fmt::format("config.json would not do: {}", requirement.because),
                           "--config FILE gives what the checkpoint does not record; with --set config=given also what "
                           "it records otherwise",
                           fields_in(requirement.condition, config));
  }
  // "num_attention_heads is 12", for the fields that a condition names.
  static std::vector<std::string> fields_in(const lang::Expression& condition, const Json& config) {
    std::set<std::string> notes;
    lang::visit(condition.root, [&](const lang::ExpressionNode& node) {
      const bool part = node.kind == lang::NodeKind::member && node.children[0].kind == lang::NodeKind::name &&
                        config.contains(node.children[0].text);
      const Json& from = part ? config[node.children[0].text] : config;
      if ((!part && node.kind != lang::NodeKind::name) || !from.is_object()) return;
      const auto it = from.find(node.text);
      if (it != from.end() && it->is_primitive())
        notes.insert(fmt::format("{}{} is {}", part ? node.children[0].text + "." : "", node.text, it->dump()));
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
  std::optional<uint32_t> giver_of(const std::string& key) const {
    for (uint32_t r = 0; r < set_.rules.size(); ++r) {
      const Rule& rule = set_.rules[r];
      if (rule.kind == Rule::Kind::move &&
          RE2::FullMatch(key, RE2(lang::regex_of_target(rule.to, rule.from, set_.tables, facts_.variants), RE2::Quiet)))
        return r;
    }
    return std::nullopt;
  }
  std::string missing_hint(uint32_t r) const {
    const Rule& rule = set_.rules[r];
    return fmt::format("'{}' ({}) would give it, from a key that this checkpoint does not have{}", rule.summary,
                       to_string(Place(rule.place)),
                       active_[r] ? "" : fmt::format("; it holds only when {}", rule.when->text));
  }

  void finish() {
    plan_.checks = facts_.checks();
    std::vector<std::string> taken;
    for (const auto& check : plan_.checks)
      if (!check.same) taken.push_back(fmt::format("taken as equal: '{}' and '{}'", check.a, check.b));
    if (taken.size() > kMaxListed)
      taken = {fmt::format("taken as equal: {} pairs of tensors, listed as checks", taken.size())};
    plan_.open.insert(plan_.open.end(), taken.begin(), taken.end());
    std::sort(plan_.dropped.begin(), plan_.dropped.end(),
              [](const auto& a, const auto& b) { return std::tie(a.source, a.tensor) < std::tie(b.source, b.tensor); });
  }

  // The names in --set waive=A,B.
  static std::set<std::string> waived_by(const PlanOptions& options) {
    std::set<std::string> names;
    const auto chosen = options.set.find("waive");
    const std::string text = chosen == options.set.end() ? "" : chosen->second + ",";
    for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
      end = text.find(',', at);
      if (end > at) names.insert(text.substr(at, end - at));
    }
    return names;
  }

  const Rules::Impl& rules_;
  const std::optional<Dims::RuleLine> wrong_;
  const lang::RuleSet& set_;
  const std::optional<lang::Schema>& schema_;
  const std::vector<NamedSource>& sources_;
  const PlanOptions& options_;
  Diagnostics& diagnostics_;
  RootedKeys rooted_;
  const KeyTable& keys_;
  Facts facts_;
  Dims dims_;
  Plan plan_;
  std::optional<DType> dtype_;
  const std::set<std::string> waived_ = waived_by(options_);
  std::vector<bool> checked_, active_;
  std::vector<std::vector<Match>> matches_;
  std::map<std::pair<uint32_t, std::string>, std::set<int>> indices_;
  struct Noted {
    uint32_t source = 0;
    std::vector<std::string> stars;
    std::vector<size_t> offsets;
    std::string prefix;
  } noted_;  // the key before: most keys of a layer come together
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Claim>>
      claims_;  // by source and tensor, of rules that leave parts
  std::unordered_map<std::string, size_t> by_key_;
};

// Sources in the order of the rule file's own list; reports those that are missing or not known.
std::vector<NamedSource> in_order(const lang::RuleSet& set, const std::vector<NamedSource>& given,
                                  Diagnostics& diagnostics) {
  std::vector<NamedSource> ordered;
  for (const auto& spec : set.sources) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const NamedSource& s) { return s.name == spec.name; });
    if (it != given.end())
      ordered.push_back(*it);
    else
      diagnostics.error(
          "plan-source-missing", set.text->place(1, 1),
          fmt::format("the rules need a source '{}'{}{}", spec.name, spec.doc.empty() ? "" : ": ", spec.doc),
          fmt::format("give it as {}=PATH", spec.name));
  }
  for (const auto& source : given)
    if (std::none_of(set.sources.begin(), set.sources.end(),
                     [&](const auto& spec) { return spec.name == source.name; }))
      diagnostics.error("plan-source-unknown", set.text->place(1, 1),
                        fmt::format("the rules know no source '{}'", source.name));
  return ordered;
}

}  // namespace
}  // namespace plan

std::optional<Plan> make_plan(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
                              Diagnostics& diagnostics) {
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
    if (from != tensor.dtype && size_bytes(from) >= size_bytes(tensor.dtype))
      return fmt::format("the cast from {} to {} rounds", name(from), name(tensor.dtype));
  }
  return "";
}

}  // namespace remap
