#include <deque>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "cli/cases.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/revision.h"
#include "cli/terminal.h"
#include "remap/html.h"
#include "remap/report.h"

namespace cli {
namespace {

// A rule file of the work tree or of a git revision.
struct Side {
  std::string file;
  std::optional<Revision> revision;

  explicit Side(const std::string& text) : file(text), revision(Revision::find(text)) {
    if (revision) file = revision->file();
  }

  // Without a plan: why there is none.
  std::optional<remap::Conversion> plan(const PlanCase& with, remap::Diagnostics& why) const {
    Options options = with.options;
    options.rules = file;
    remap::Diagnostics found;
    auto planned = open_and_plan(options, found);
    for (const auto& d : found.items())
      if (d.id == "rules-not-found") throw remap::Error(d);  // nothing is compared
    why = revision ? revision->shown(found) : found;
    if (planned && revision)
      for (auto& rule : planned->plan.rules) rule.place.file = revision->shown(rule.place.file);
    return planned;
  }
};

std::vector<std::string> messages(const remap::Diagnostics& diagnostics) {
  std::vector<std::string> all;
  for (const auto& d : diagnostics.items()) all.push_back(d.id + ": " + d.message);
  return all;
}

// Those that are not `known` from the other rule file.
void add(const remap::Diagnostics& found, const remap::Diagnostics& known, remap::Diagnostics& all) {
  const auto line = [](const remap::Diagnostic& d) -> std::string_view {
    const auto* place = std::get_if<remap::TextPlace>(&d.place);
    return place == nullptr ? std::string_view() : place->source_line.str();
  };
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> before;
  for (const auto& d : known.items()) before.emplace(d.id, d.message, line(d));
  for (const auto& d : found.items())
    if (!before.contains({d.id, d.message, line(d)})) all.add(d);
}

// One case a manifest given; NAME=PATH belongs to the one before it. Without any: those committed beside the new rules,
// or the old.
std::vector<PlanCase> cases_of(const Options& options, const Side& before, const Side& after) {
  std::vector<PlanCase> cases;
  for (const auto& source : options.sources) {
    const bool named = !parse_input(source).name.empty();
    if (named && cases.empty())
      throw remap::Error("usage", {}, fmt::format("--source {}: a manifest comes first", source));
    if (!named) cases.push_back({source, options, {}});
    if (!named) cases.back().options.inputs.clear();
    cases.back().options.inputs.push_back(source);
  }
  if (options.sources.empty()) cases = committed_cases(after.revision ? before.file : after.file, options);
  if (cases.empty())
    throw remap::Error("usage", {}, "there is nothing to plan", "give a checkpoint or a manifest: --source MANIFEST");
  return cases;
}

}  // namespace

int diff(const Options& options) {
  const Side before(options.inputs.at(0)), after(options.inputs.at(1));
  Progress progress(options.quiet, "planning");
  bool changed = false;
  std::string text;
  remap::Diagnostics why;  // what refuses a checkpoint is the result then
  remap::Json all = remap::Json::array();
  // A page is written when all is known; a diff points into its plans.
  struct Compared {
    std::optional<remap::Conversion> before, after;
    remap::PlanDiff diff;
  };
  std::deque<Compared> compared;
  std::vector<remap::DiffSection> sections;
  for (const auto& one : cases_of(options, before, after)) {
    remap::Diagnostics why_before, why_after;
    auto a = before.plan(one, why_before), b = after.plan(one, why_after);
    const bool both = a && b;
    const auto found = both ? remap::diff_plans(a->plan, b->plan) : remap::PlanDiff{};
    changed |= both ? !found.empty() : a || b || messages(why_before) != messages(why_after);
    if (!b) add(why_after, {}, why);
    if (!a) add(why_before, b ? remap::Diagnostics() : why_after, why);
    const std::string refused = a   ? "the new rules make no plan"
                                : b ? "the old rules made no plan"
                                    : "neither the old nor the new rules make a plan";
    if (options.output_format() == Format::json) {
      remap::Json json = both ? remap::render_json(found) : remap::Json{{"remap_diff", 1}, {"no_plan", refused}};
      json["source"] = one.name;
      all.push_back(std::move(json));
    } else if (options.format == "html") {
      Compared& kept = compared.emplace_back(Compared{std::move(a), std::move(b), {}});
      if (both) kept.diff = remap::diff_plans(kept.before->plan, kept.after->plan);
      sections.push_back({one.name, both ? &kept.diff : nullptr, refused});
    } else if (options.format == "markdown") {
      text += fmt::format("**{}**: {}\n", one.name, both ? remap::render_markdown(found) : refused + "\n");
    } else {
      text += fmt::format("{}:{}{}", one.name, !both || found.empty() ? " " : "\n",
                          both ? remap::render_text(found) : refused + "\n");
    }
  }
  progress.end();
  if (options.format == "markdown")
    fmt::print("{}", text);
  else
    show(text, Paint::diff);
  print(why, options);
  if (options.output_format() == Format::json) fmt::print("{}", remap::json_file_text(all));
  if (options.format == "html") fmt::print("{}", remap::render_html(sections));
  return changed ? kFound : kDone;
}

}  // namespace cli
