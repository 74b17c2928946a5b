// One mistake in one rule of a shipped rule file, planned on manifests of the published layouts with two layers:
// whatever it is, the text is short, and its first line names the rule that is wrong, or a key that no rule matches.
//
// Every rule that a manifest has keys for is tried once: left out; given twice; the other axis; transposed or not; the
// next axis of its shape exchanged; a size replaced by another dim, and by twice itself; an axis too many or too few;
// each of its keys and targets with a word cut short, or with another first word; each of the fields in kFields. Fields
// that no shipped file has are in a rule file of their own, tests/mutants/fields.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <re2/re2.h>

#include "plan/load_rules.h"
#include "remap/document.h"
#include "remap/report.h"
#include "support/catch.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::test;
namespace fs = std::filesystem;

namespace {

const fs::path kRules = fs::path(REMAP_SOURCE_DIR) / "rules";

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string text_of(const Lines& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

size_t indent(const std::string& line) { return std::min(line.find_first_not_of(' '), line.size()); }

// Where a rule is written: lines [begin, end), counted from 0.
struct Range {
  size_t begin, end;
};

// The rules of the file, or the entries of another section; blocks of 'within' are left out, the rules in them are not.
std::vector<Range> rules_in(const Lines& lines, const std::string& section = "rules:") {
  size_t begin = 0;
  while (begin < lines.size() && lines[begin] != section) ++begin;
  if (begin == lines.size()) return {};
  size_t end = ++begin;
  while (end < lines.size() && (lines[end].empty() || !std::isalpha(static_cast<unsigned char>(lines[end][0])))) ++end;
  std::vector<Range> found;
  for (size_t first = begin; first < end; ++first) {
    const size_t depth = indent(lines[first]);
    if (lines[first].compare(depth, 2, "- ") != 0) continue;
    size_t last = first + 1;
    bool block = false;
    for (; last < end && !lines[last].empty() && indent(lines[last]) > depth; ++last)
      block |= lines[last].compare(indent(lines[last]), 6, "rules:") == 0;
    while (lines[last - 1].find_first_not_of(' ') == lines[last - 1].find('#'))
      --last;  // a comment belongs to what is below it
    if (!block) found.push_back({first, last});
  }
  return found;
}

struct Mutant {
  std::string kind, text;
  Range rule;  // in `text`; of a rule that is missing, where it was
};

std::string replaced(const std::string& text, const re2::StringPiece& part, const std::string& by) {
  const auto at = static_cast<size_t>(part.data() - text.data());
  return text.substr(0, at) + by + text.substr(at + part.size());
}

Lines split(const std::string& text, const std::string& separator) {
  Lines parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return parts;
}

std::string joined(const Lines& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// A part of a field, and what stands in its place; "@" is the part.
struct FieldMistake {
  const char *kind, *part, *by;
};
constexpr FieldMistake kFields[] = {
    {"another condition", R"(where: ([^,}\n]+))", "not (@)"},
    {"not for the rest", "(, rest: true)", ""},
    {"another end", R"((?:begin|end): (\w+))", "@ - 1"},
    {"more padding", R"((?:before|after): (\d+))", "@ + 1"},
    {"another constant's size", R"(size: (\w+))", "2*@"},
    {"without the constant", R"((\{fill: [^}]+\}, ))", ""},
    {"another loop", R"(each: \{(\w+):)", "other"},
    {"a longer loop", R"(range\((\w+)\))", "@ + 1"},
    {"another index", R"(\{=([^}]+)\})", "1 + @"},
    {"more parts", R"(parts: (\d+))", "@ + 1"},
    {"a part left, or not", R"([\[ ](_)[a-z]\w*[,\]])", ""},
    {"without its dtype", R"((, cast: \w+))", ""},
    {"not replicated", R"((, replicated: \w+))", ""},
};

// One rule's text, wrongly written in many ways. Every kind is tried on every rule; which axis, and which end of a
// name, turns with the rule's number: rules are alike, and each of these is tried on some.
std::vector<std::pair<std::string, std::string>> mistakes_in(const std::string& rule, size_t number,
                                                             const std::vector<std::string>& dims) {
  std::vector<std::pair<std::string, std::string>> made;
  static const RE2 axis(R"(axis: (\d))"), shape(R"((?:shape|linear|norm): \[([^\]"]+)\])"),
      transpose("transpose: (true)");
  re2::StringPiece rest(rule), part, field;
  for (const FieldMistake& mistake : kFields) {
    rest = rule;
    const RE2 of_field(mistake.part);
    while (RE2::FindAndConsume(&rest, of_field, &part)) {
      std::string by = mistake.by;
      RE2::Replace(&by, "@", re2::StringPiece(part));
      made.emplace_back(mistake.kind, replaced(rule, part, by));
    }
  }
  static const RE2 entry(R"((\{entry: (\w+)\}))");
  rest = rule;
  while (RE2::FindAndConsume(&rest, entry, &part, &field))
    made.emplace_back("not an entry", replaced(rule, part, std::string(field)));
  static const RE2 name(R"re(\b(from|keep|to|drop|copy_of|g|v): ("[^"]*"|[^,}\n]+))re"),
      word(R"((?:^|[./"_}])([A-Za-z]{2,})(?:[./"_{]|$))");
  rest = rule;
  while (RE2::FindAndConsume(&rest, axis, &part))
    made.emplace_back("axis", replaced(rule, part, part == "0" ? "1" : "0"));
  rest = rule;
  while (RE2::FindAndConsume(&rest, transpose, &part)) made.emplace_back("transpose", replaced(rule, part, "false"));
  rest = rule;
  while (RE2::FindAndConsume(&rest, shape, &part)) {
    const Lines terms = split(std::string(part.data(), part.size()), ", ");
    const size_t i = number % terms.size();
    const auto with = [&](const std::string& term) {
      Lines other = terms;
      other[i] = term;
      return replaced(rule, part, joined(other));
    };
    if (terms.size() > 1) {
      Lines other = terms;
      std::swap(other[i], other[(i + 1) % terms.size()]);
      made.emplace_back("axes exchanged", replaced(rule, part, joined(other)));
    }
    for (const auto& dim : dims)
      if (dim != terms[i]) {
        made.emplace_back("another dim", with(dim));
        break;
      }
    made.emplace_back("half as large", with("2*(" + terms[i] + ")"));
    Lines longer = terms, shorter(terms.begin(), terms.end() - 1);
    longer.push_back(dims.front());
    if (number % 2 == 0 || shorter.empty())
      made.emplace_back("an axis too many", replaced(rule, part, joined(longer)));
    else
      made.emplace_back("an axis too few", replaced(rule, part, joined(shorter)));
  }
  rest = rule;
  while (RE2::FindAndConsume(&rest, name, &field, &part)) {
    std::vector<re2::StringPiece> words;
    // A name in braces is one of several that the rule is about: the others still match.
    re2::StringPiece in = part, one;
    if (const size_t brace = std::string_view(part.data(), part.size()).rfind('}'); brace != std::string_view::npos)
      in.remove_prefix(brace + 1);
    while (RE2::FindAndConsume(&in, word, &one)) {
      words.push_back(one);
      in = re2::StringPiece(one.end(), static_cast<size_t>(part.end() - one.end()));
    }
    if (words.empty()) continue;
    const std::string kind = "wrong " + std::string(field.data(), field.size());
    if (number % 2 == 0)
      made.emplace_back(kind, replaced(rule, words.back(), std::string(words.back().data(), words.back().size() - 1)));
    else
      made.emplace_back(kind, replaced(rule, words.front(), "other"));
  }
  return made;
}

std::vector<Mutant> mutants_of(const std::string& text, const std::vector<Range>& rules,
                               const std::vector<std::string>& dims) {
  const Lines lines = lines_of(text);
  std::vector<Mutant> mutants;
  for (size_t number = 0; number < rules.size(); ++number) {
    const Range& range = rules[number];
    const auto begin = lines.begin() + static_cast<std::ptrdiff_t>(range.begin),
               end = lines.begin() + static_cast<std::ptrdiff_t>(range.end);
    const Lines rule(begin, end);
    const auto with = [&](const Lines& other) {
      Lines all(lines.begin(), begin);
      all.insert(all.end(), other.begin(), other.end());
      all.insert(all.end(), end, lines.end());
      return text_of(all);
    };
    mutants.push_back({"missing", with({}), range});
    Lines twice = rule;
    twice.insert(twice.end(), rule.begin(), rule.end());
    mutants.push_back({"twice", with(twice), {range.begin, range.begin + twice.size()}});
    for (const auto& [kind, mistaken] : mistakes_in(text_of(rule), number, dims))
      mutants.push_back({kind, with(lines_of(mistaken)), range});
  }
  return mutants;
}

// A committed manifest with what stands beside it, as 'remap test' plans it.
struct Published {
  std::vector<std::unique_ptr<Source>> sources;
  std::vector<NamedSource> named;
  PlanOptions options;

  Published(const Rules& rules, const fs::path& folder, const std::string& name) {
    add("", folder / (name + ".json"), rules);
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string stem = entry.path().stem().string();
      if (!stem.starts_with(name + "+")) continue;
      const std::string what = stem.substr(name.size() + 1);
      if (what == "set") {
        const Json choices = read_document(entry.path().string(), "json");
        for (const auto& [variant, value] : choices.items()) options.set[variant] = value.get<std::string>();
      } else {
        add(what, entry.path(), rules);
      }
    }
  }

  void add(const std::string& name, const fs::path& path, const Rules& rules) {
    const auto needs = rules.sources();
    for (size_t i = 0; i < needs.size(); ++i) {
      if (needs[i].name != name) continue;
      if (needs[i].document) {
        options.documents[name] = read_document(path.string(), needs[i].format);
        continue;
      }
      sources.push_back(open_source(path.string(), {{}, rules.subtree(i), {}}));
      named.push_back({name, sources.back().get()});
    }
  }
};

// The names that shapes bind, in the order of the file.
std::vector<std::string> dims_of(const std::string& text) {
  std::vector<std::string> dims;
  re2::StringPiece rest(text), part;
  static const RE2 shape(R"((?:shape|linear|norm): \[([^\]]+)\])"), plain("[a-z_]+");
  while (RE2::FindAndConsume(&rest, shape, &part))
    for (const auto& term : split(std::string(part.data(), part.size()), ", "))
      if (RE2::FullMatch(term, plain) && std::find(dims.begin(), dims.end(), term) == dims.end() && dims.size() < 3)
        dims.push_back(term);
  return dims;
}

class Family {
 public:
  // `folder`: where its rule file is.
  Family(const std::string& name, const fs::path& folder)
      : name_(name), rules_folder_(folder), text_(read(folder / (name + ".yaml"))) {
    Diagnostics none;
    const auto rules = Rules::load((folder / (name + ".yaml")).string(), none);
    REQUIRE(rules);
    rules_ = *rules;
    const std::string schema = name + ".schema.yaml";
    if (fs::exists(folder / schema)) fs::copy_file(folder / schema, folder_.path(schema));
  }

  // What is wrong with the text that each mutant gives; "" if nothing.
  std::string check(const std::string& manifest) {
    const Published published(*rules_, rules_folder_ / "tests" / name_, manifest);
    const std::string file = folder_.path(name_ + ".yaml");
    std::string wrong;
    // A rule is tried on the first manifest that has a key for it.
    Diagnostics none;
    plan_ = make_plan(*rules_, published.named, published.options, none);
    REQUIRE(plan_);
    std::vector<Range> matched;
    for (const char* section : {"rules:", "computed:"})
      for (const Range& range : rules_in(lines_of(text_), section))
        if (!tried_.contains(range.begin) && is_used(range)) matched.push_back(range);
    for (const Range& range : matched) tried_.insert(range.begin);
    for (const Mutant& mutant : mutants_of(text_, matched, dims_of(text_))) {
      std::filesystem::remove(file);  // a file that is cut to nothing waits for the disk
      std::ofstream(file) << mutant.text;
      Diagnostics found;
      if (const auto rules = Rules::load_to_plan(file, found))
        make_plan(*rules, published.named, published.options, found);
      ++made;
      if (!found.has_errors()) continue;
      ++refused;
      const Lines shown = lines_of(render_text(found));
      if (shown.size() < 60 && names_rule(shown.front(), mutant, file)) continue;
      wrong +=
          fmt::format("{} at line {}: {} lines, {}\n", mutant.kind, mutant.rule.begin + 1, shown.size(), shown.front());
      const Lines lines = lines_of(mutant.text);
      for (size_t i = mutant.rule.begin; i < mutant.rule.end; ++i) wrong += "  " + lines[i] + "\n";
    }
    return wrong;
  }
  size_t made = 0, refused = 0;

 private:
  bool names_rule(const std::string& line, const Mutant& mutant, const std::string& file) const {
    if (mutant.kind == "missing") return names_lost_key(line, mutant.rule);
    // Where two rules contradict each other and nothing tells which is wrong, both are named.
    for (size_t i = mutant.rule.begin; i < mutant.rule.end; ++i)
      if (line.find(fmt::format("{}:{}:", file, i + 1)) != std::string::npos) return true;
    return names_lost_key(line, mutant.rule);
  }

  bool is_used(const Range& range) const {
    const auto in = [&](uint32_t rule) {
      const auto line = static_cast<size_t>(plan_->rules[rule].place.line);
      return line > range.begin && line <= range.end;
    };
    const auto is_computed = [&](const PlanComputed& one) {
      return static_cast<size_t>(one.place.line) > range.begin && static_cast<size_t>(one.place.line) <= range.end;
    };
    return std::any_of(plan_->computed.begin(), plan_->computed.end(), is_computed) ||
           std::any_of(plan_->tensors.begin(), plan_->tensors.end(), [&](const auto& t) { return in(t.rule); }) ||
           std::any_of(plan_->dropped.begin(), plan_->dropped.end(), [&](const auto& d) { return in(d.rule); });
  }

  // A source key that the rule matched, or a target that it made.
  bool names_lost_key(const std::string& line, const Range& range) const {
    std::string key;
    if (!RE2::PartialMatch(line, "(?:matches the key|needs|is a copy of|the key) '([^']*)'", &key) &&
        !RE2::PartialMatch(line, R"('([^'\[]*)\[[^']*' is left to another rule)", &key))
      return false;
    for (const auto& one : rules_->impl().set.computed) {
      lang::Captures ignored;
      if (static_cast<size_t>(one.place.line) > range.begin && static_cast<size_t>(one.place.line) <= range.end &&
          (lang::Matcher(one.from, {}).match(key, ignored) || lang::Matcher(one.g, {}).match(key, ignored) ||
           line.find("('" + one.summary.substr(0, one.summary.find('(') + 1)) != std::string::npos))
        return true;
    }
    for (const auto& rule : rules_->impl().set.rules) {
      if (static_cast<size_t>(rule.place.line) <= range.begin || static_cast<size_t>(rule.place.line) > range.end)
        continue;
      if (rule.kind == lang::Rule::Kind::fill || rule.kind == lang::Rule::Kind::copy)
        return RE2::FullMatch(key, lang::regex_of_target(rule.to, rule.from, rules_->impl().set.tables, {}));
      for (const char* scope : {"electra", "generator"}) {
        lang::Captures ignored;
        const lang::VariantValues variants = {{"head", "mnli"},
                                              {"base", ""},
                                              {"scope", scope},
                                              {"pooler", "layer_with_weights-6"},
                                              {"value", ".ATTRIBUTES/VARIABLE_VALUE"}};
        if (lang::Matcher(rule.from, variants).match(key, ignored)) return true;
      }
    }
    return false;
  }

  const std::string name_;
  const fs::path rules_folder_;
  const std::string text_;
  std::optional<Rules> rules_;
  std::optional<Plan> plan_;  // of the manifest that is tried, by the rules as they are
  std::set<size_t> tried_;    // first lines of rules
  TempFolder folder_;
};

void check(const std::string& name, const std::vector<std::string>& manifests, const fs::path& folder = kRules) {
  Family family(name, folder);
  for (const auto& manifest : manifests) CHECK(family.check(manifest) == "");
  INFO(family.refused << " of " << family.made);
  CHECK(family.refused > family.made / 2);
}

}  // namespace

// Two layers each, and together all rules that any published checkpoint needs: a mistake shows in two as in forty.
TEST_CASE("one mistake in roberta.yaml") { check("roberta", {"small-mnli", "xlmr-small-0.12.2"}); }
TEST_CASE("one mistake in xlmr.yaml") { check("xlmr", {"small-mnli", "xlmr-small-0.12.2"}); }
TEST_CASE("one mistake in a field that no shipped rule file needs") {
  check("fields", {"small"}, fs::path(REMAP_SOURCE_DIR) / "tests/mutants/fields");
}
TEST_CASE("one mistake in xmod.yaml") { check("xmod", {"small-0.12.2", "small-mnli"}); }
TEST_CASE("one mistake in data2vec-audio.yaml") { check("data2vec-audio", {"data2vec-audio-small-ctc"}); }
TEST_CASE("one mistake in flava.yaml") { check("flava", {"flava-small"}); }
TEST_CASE("one mistake in llama.yaml") { check("llama", {"llama-small", "llama-small-rows"}); }
TEST_CASE("one mistake in switch.yaml") { check("switch", {"switch-small-width"}); }
TEST_CASE("one mistake in wav2vec2.yaml") { check("wav2vec2", {"wav2vec2-small-ctc"}); }
TEST_CASE("one mistake in hubert.yaml") { check("hubert", {"hubert-small-ctc"}); }
TEST_CASE("one mistake in bart.yaml") { check("bart", {"bart-small", "bart-small-mnli"}); }
TEST_CASE("one mistake in mbart.yaml") { check("mbart", {"mbart-small"}); }
TEST_CASE("one mistake in m2m100.yaml") { check("m2m100", {"m2m100-small-fused"}); }
TEST_CASE("one mistake in xlmr-xl.yaml") { check("xlmr-xl", {"xlmr-xl-small-mnli"}); }
TEST_CASE("one mistake in whisper.yaml") { check("whisper", {"whisper-small-width"}); }
TEST_CASE("one mistake in mixtral.yaml") { check("mixtral", {"mixtral-small", "mixtral-small-apart"}); }
TEST_CASE("one mistake in clip.yaml") { check("clip", {"clip-small"}); }
TEST_CASE("one mistake in mistral.yaml") { check("mistral", {"mistral-small"}); }
TEST_CASE("one mistake in t5.yaml") { check("t5", {"t5-small-width", "t5-small-width-gated"}); }
TEST_CASE("one mistake in umt5.yaml") { check("umt5", {"umt5-xxl"}); }
TEST_CASE("one mistake in bert.yaml") { check("bert", {"bert-small", "bert-small-squad", "bert-small-classifier"}); }
TEST_CASE("one mistake in bert-tf2.yaml") { check("bert-tf2", {"bert-tf2-small"}); }
TEST_CASE("one mistake in electra.yaml") { check("electra", {"electra-small-shared", "electra-small-generator"}); }
TEST_CASE("one mistake in albert.yaml") { check("albert", {"albert-small", "albert-small-groups"}); }
TEST_CASE("one mistake in t5-mesh.yaml") { check("t5-mesh", {"t5-mesh-small", "t5-mesh-small-relu"}); }
