// Mends what lint() finds, where only one thing can be meant and the file says the same afterwards.
#include <algorithm>

#include <fmt/format.h>

#include "lang/same_meaning.h"
#include "lint/linter.h"
#include "lint/mend_text.h"
#include "remap/format_rules.h"
#include "remap/plan_diff.h"

namespace remap {
namespace linting {
namespace {

using lang::SourceText;
using lang::YamlNode;

// The file in the state that it has reached.
struct MendedFile {
  std::shared_ptr<const SourceText> text;
  YamlNode root;
};
using Mend = std::optional<TreeChange> (*)(const MendedFile& file, const TextPlace& place);

bool same_language(const std::string& a, const std::string& b) {
  const auto left = Automaton::of(a), right = Automaton::of(b);
  if (!left || !right) return false;
  size_t steps = kMaxStepsAPair;
  const bool same = common_texts(*left, *left, {&*right}, 1, steps).empty() &&
                    common_texts(*right, *right, {&*left}, 1, steps).empty();
  return same && steps > 0;
}

// The expression without its anchors matches the same keys.
std::optional<TreeChange> mend_anchor(const MendedFile& file, const TextPlace& place) {
  const auto path = scalar_at(*file.text, file.root, place);
  if (!path) return std::nullopt;
  const std::string& text = node_at(file.root, *path).text;
  if (!text.starts_with("re:")) return std::nullopt;
  const std::string expression = text.substr(3);
  const auto [begin, end] = anchors_of(expression);
  const std::string without = expression.substr(begin, expression.size() - begin - end);
  if (begin + end == 0 || !same_language(expression, without)) return std::nullopt;
  return TreeChange{*path, "re:" + without};
}

// An entry of 'let' or 'maps' goes, and the section with its last one. A variant stays: --set may name it, and plans
// list it.
std::optional<TreeChange> mend_unused(const MendedFile& file, const TextPlace& place) {
  for (size_t section = 0; section < file.root.entries.size(); ++section) {
    const auto& [key, value] = file.root.entries[section];
    if (key.text != "let" && key.text != "maps") continue;
    if (const auto entry = entry_at(*file.text, file.root, {section}, place))
      return TreeChange{value.entries.size() == 1 ? NodePath{section} : *entry, std::nullopt};
  }
  return std::nullopt;
}

// A finding that can be mended: the check that reports it from the rules alone, and its mend.
struct MendRow {
  std::string_view id;
  void (*check)(Linter& linter);
  Mend mend;
};
const std::vector<MendRow>& mend_table() {
  static const std::vector<MendRow> rows = {{"lint-needless-anchor", lint_expressions, mend_anchor},
                                            {"lint-unused-name", lint_names, mend_unused}};
  return rows;
}

class Mender {
 public:
  explicit Mender(const Rules::Impl& impl) : before_(impl), impl_(impl) {
    file_.text = impl.set.text;
    reads(file_.root);
  }

  // Until nothing more is found: what only an unused name used is unused, too.
  void run() {
    auto found = findings();
    while (!found.empty() && round(found)) {
      auto left = findings();
      const auto next = left;
      for (const Found& one : found)
        if (const auto same = std::find_if(left.begin(), left.end(), [&](const Found& l) { return l.is_same(one); });
            same != left.end())
          left.erase(same);
        else
          mended_.push_back(one.finding);
      found = next;
    }
    std::stable_sort(mended_.begin(), mended_.end(), [](const Diagnostic& a, const Diagnostic& b) {
      const auto &x = std::get<TextPlace>(a.place), &y = std::get<TextPlace>(b.place);
      return std::pair(x.line, x.column) < std::pair(y.line, y.column);
    });
  }
  const std::vector<Diagnostic>& mended() const { return mended_; }
  const Rules::Impl& impl() const { return impl_; }

  // Lines that had something on them, and have nothing now, go.
  std::string text() const {
    const std::string &before = before_.set.text->text(), &after = file_.text->text();
    const lang::Lines old_lines(before), new_lines(after);
    std::string text;
    const auto is_blank = [](std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; };
    for (int line = 1; line <= new_lines.count(); ++line)
      if (is_blank(old_lines.line(line)) || !is_blank(new_lines.line(line)))
        text += std::string(new_lines.line(line)) + (line < new_lines.count() ? "\n" : "");
    return text;
  }

 private:
  struct Found {
    Diagnostic finding;
    Mend mend;
    const TextPlace& place() const { return std::get<TextPlace>(finding.place); }
    // Lines stay, columns do not.
    bool is_same(const Found& other) const {
      return finding.id == other.finding.id && finding.message == other.finding.message &&
             place().line == other.place().line;
    }
  };
  std::vector<Found> findings() const {
    std::vector<Found> all;
    for (const MendRow& row : mend_table()) {
      Diagnostics found;
      const LintOptions none;
      Linter linter{impl_, none, found};
      linter.root = file_.root;
      row.check(linter);
      for (const auto& d : found.items())
        if (d.id == row.id) all.push_back({d, row.mend});
    }
    std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
      return std::pair(a.place().line, a.place().column) < std::pair(b.place().line, b.place().column);
    });
    return all;
  }

  // Whether any was mended. From the end of the file to its beginning: the places of those left to do stay.
  bool round(const std::vector<Found>& found) {
    bool any = false;
    for (auto one = found.rbegin(); one != found.rend(); ++one)
      if (const auto change = one->mend(file_, one->place())) any |= take(*change);
    return any;
  }

  // What the text says after the change is what the tree says after it, and the rules are right.
  bool take(const TreeChange& change) {
    const auto text = changed_text(file_.text->text(), file_.root, change);
    if (!text) return false;
    MendedFile next{std::make_shared<SourceText>(file_.text->file(), *text), {}};
    Diagnostics said;
    auto root = lang::parse_yaml(*next.text, said);
    if (!root || !lang::same_meaning(*root, changed(file_.root, change))) return false;
    next.root = std::move(*root);
    auto set = lang::parse_rules(next.text, said, true);
    if (!set || set->unknown_names.size() != impl_.set.unknown_names.size()) return false;
    impl_.set = std::move(*set);
    file_ = std::move(next);
    return true;
  }
  void reads(YamlNode& root) {
    Diagnostics ignored;
    if (auto parsed = lang::parse_yaml(*file_.text, ignored)) root = std::move(*parsed);
  }

  const Rules::Impl& before_;
  Rules::Impl impl_;  // of what is mended so far
  MendedFile file_;
  std::vector<Diagnostic> mended_;
};

Rules borrowed(const Rules::Impl& impl) {
  return Rules::of(std::shared_ptr<const Rules::Impl>(&impl, [](const auto*) {}));
}

std::optional<Plan> plan_of(const Rules::Impl& impl, const LintCase& one) {
  Diagnostics said;
  try {
    return make_plan(borrowed(impl), one.sources, one.options, said);
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool same_plan(const std::optional<Plan>& before, const std::optional<Plan>& after) {
  if (!before || !after) return before.has_value() == after.has_value();
  const auto same = [](const auto& a, const auto& b, auto... members) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](const auto& x, const auto& y) { return ((x.*members == y.*members) && ...); });
  };
  return diff_plans(*before, *after).empty() && before->variants == after->variants &&
         same(before->dims, after->dims, &BoundDim::name, &BoundDim::value) &&
         same(before->checks, after->checks, &PlanCheck::a, &PlanCheck::b) && before->metadata == after->metadata &&
         before->left_behind == after->left_behind && before->open == after->open;
}

}  // namespace
}  // namespace linting

std::vector<std::string_view> findings_with_a_mend() {
  std::vector<std::string_view> ids;
  for (const auto& row : linting::mend_table()) ids.push_back(row.id);
  return ids;
}

MendedRules mend(const Rules& rules, const std::vector<LintCase>& cases) {
  linting::Mender mender(rules.impl());
  mender.run();
  if (mender.mended().empty()) return {rules.text(), {}};
  for (const auto& one : cases)
    if (!linting::same_plan(linting::plan_of(rules.impl(), one), linting::plan_of(mender.impl(), one)))
      throw Error("internal", BytePlace{rules.file(), {}, {}},
                  fmt::format("mended, it would give another plan of '{}'; nothing was written",
                              one.sources.empty() ? "" : one.sources.front().source->path()),
                  "please report it, with both files");
  Diagnostics refused;
  auto text = format_rules(rules.file(), mender.text(), refused);
  if (!text) throw Error(refused.items().front());
  return {std::move(*text), mender.mended()};
}

}  // namespace remap
