#include "remap/lint.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "cli/cases.h"
#include "cli/inputs.h"
#include "cli/line_diff.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/write_file.h"
#include "remap/report.h"
#include "remap/text.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// What is planned with a rule file.
struct Examples {
  std::vector<remap::Checkpoint> checkpoints;
  std::vector<remap::LintCase> cases;
  std::vector<remap::NamedSource> named;  // of all, whether planned or not

  void add(remap::Checkpoint opened, bool planned) {
    named.insert(named.end(), opened.sources.begin(), opened.sources.end());
    if (planned) cases.push_back({opened.sources, opened.options});
    checkpoints.push_back(std::move(opened));
  }
};

std::optional<remap::Checkpoint> open_case(const remap::Rules& rules, const Options& options) {
  remap::Diagnostics said;  // again when it is planned
  remap::Request request = request_of(options);
  request.loaded = rules;
  return remap::open_checkpoint(request, said);
}

// The cases that stand beside the rules. A manifest without an expected plan may be of another variant, or of what the
// rules do not take.
void add_committed(const remap::Rules& rules, const Options& options, Examples& examples) {
  for (const auto& one : committed_cases(rules.file(), options)) {
    auto opened = open_case(rules, one.options);
    if (!opened) continue;
    std::error_code ignored;
    std::string why;
    const bool wanted = fs::exists(one.expected, ignored) ? !expects_refusal(one)
                                                          : rules.recognise(*opened->sources.front().source, why);
    examples.add(std::move(*opened), wanted);
  }
}

// The manifests given, each checkpoint with its further sources: the k-th of one name belongs to the k-th checkpoint,
// the last one to all that follow.
struct Given {
  std::vector<std::string> checkpoints;
  std::map<std::string, std::vector<std::string>> others;
  explicit Given(const std::vector<std::string>& manifests) {
    for (const auto& text : manifests) {
      const NamedPath one = parse_input(text);
      if (one.name.empty())
        checkpoints.push_back(one.path);
      else
        others[one.name].push_back(one.path);
    }
  }
  std::vector<std::string> inputs(size_t k, const std::function<bool(const std::string&)>& takes) const {
    std::vector<std::string> all = {checkpoints[k]};
    for (const auto& [name, paths] : others)
      if (takes(name)) all.push_back(name + "=" + paths[std::min(k, paths.size() - 1)]);
    return all;
  }
};

// All of those given if there is one rule file, else those that it recognises. `used` notes which checkpoints were.
void add_given(const remap::Rules& rules, const Given& given, const Options& options, bool only_rules,
               Examples& examples, std::vector<bool>& used) {
  const auto needs = rules.sources();
  const auto takes = [&](const std::string& name) {
    return only_rules ||  // what they do not know is refused
           std::find(remap::companions().begin(), remap::companions().end(), name) != remap::companions().end() ||
           std::any_of(needs.begin(), needs.end(), [&](const auto& need) { return need.name == name; });
  };
  for (size_t k = 0; k < given.checkpoints.size(); ++k) {
    Options one = options;
    one.inputs = given.inputs(k, takes);
    auto opened = open_case(rules, one);
    std::string why;
    if (!opened || (!only_rules && !rules.recognise(*opened->sources.front().source, why))) continue;
    used[k] = true;
    examples.add(std::move(*opened), true);
  }
}

bool is_finding(const remap::Diagnostic& d) { return d.severity != remap::Severity::note; }

// "2 warnings, 1 note"
std::string counts_of(const remap::Diagnostics& diagnostics) {
  size_t counts[3] = {};
  for (const auto& d : diagnostics.items()) ++counts[static_cast<size_t>(d.severity)];
  std::string text;
  const char* names[3] = {"error", "warning", "note"};
  for (size_t i = 0; i < 3; ++i)
    if (counts[i] > 0) text += (text.empty() ? "" : ", ") + remap::count_text(counts[i], names[i]);
  return text;
}

// A rule file, and what becomes of it with --fix.
struct Mended {
  std::string file, before;
  remap::MendedRules after;
};

// What --fix has done, or would do: "2 files: 3 mended, 1 warning"
std::string summary(const remap::Diagnostics& found, size_t files, const std::vector<Mended>& all,
                    const Options& options) {
  size_t mended = 0;
  for (const auto& one : all) mended += one.after.mended.size();
  const std::string counts = counts_of(found);
  std::string text = remap::count_text(files, "file") + ": ";
  if (mended > 0 && options.show_fix) return text + fmt::format("{}, {} with a certain mend", counts, mended);
  if (mended > 0) text += fmt::format("{} mended, ", mended);
  text += !counts.empty() ? counts : mended > 0 ? "nothing else found" : "nothing found";
  const bool asked = options.fix || options.show_fix;
  const bool any = std::any_of(found.items().begin(), found.items().end(), is_finding);
  return text + (asked && mended == 0 && any ? "; none has a certain mend" : "");
}

void print_findings(const remap::Diagnostics& diagnostics, const std::string& summary, const Options& options) {
  const std::string& format = options.format;
  if (format == "github") return fmt::print("{}", remap::render_github(diagnostics));
  const auto dump = [](const remap::Json& json) {
    return json.dump(2, ' ', false, remap::Json::error_handler_t::replace);
  };
  if (format == "sarif") return fmt::print("{}\n", dump(remap::render_sarif(diagnostics, REMAP_VERSION)));
  if (format == "json") return fmt::print("{}\n", dump(remap::render_findings(diagnostics)));
  fmt::print("{}{}\n", remap::render_text(diagnostics, {.full = options.full}), summary);
}

// ------------------------------------------------------------ rule files, and what is planned with them

// Of schemas and forward passes what is wrong is said, and nothing else is done.
std::vector<remap::Rules> load_all(const std::vector<std::string>& files, const Options& options,
                                   remap::Diagnostics& diagnostics) {
  std::vector<remap::Rules> all;
  for (const auto& file : files) {
    std::error_code ignored;
    const bool is_file = fs::is_regular_file(file, ignored);
    const auto kind = is_file ? remap::rule_file_kind(file, limits_of(options)) : remap::RuleFileKind::rules;
    if (kind == remap::RuleFileKind::schema || kind == remap::RuleFileKind::model) {
      remap::lint_schema(file, diagnostics, limits_of(options));
      continue;
    }
    remap::Diagnostics own;  // a rule file with mistakes says nothing about the next one
    // A name that nothing binds may follow from what no rule matches: it is planned.
    if (auto rules = remap::Rules::load_to_plan(file, own, rule_folders(options), limits_of(options)))
      all.push_back(std::move(*rules));
    for (const auto& d : own.items()) {
      if (d.id == "rules-not-found") throw Error(d);
      diagnostics.add(d);
    }
  }
  return all;
}

Examples examples_of(const remap::Rules& rules, const Given& given, const Options& options, bool only_rules,
                     std::vector<bool>& used) {
  Examples examples;
  add_committed(rules, options, examples);
  add_given(rules, given, options, only_rules, examples, used);
  return examples;
}

remap::Diagnostics find(const std::vector<std::string>& files, const Given& given, const Options& options) {
  remap::Diagnostics diagnostics;
  const auto all = load_all(files, options, diagnostics);
  std::vector<bool> used(given.checkpoints.size());
  for (const auto& one : all) {
    const Examples examples = examples_of(one, given, options, files.size() == 1, used);
    remap::lint(one, {examples.named, examples.cases, all, options.reverse}, diagnostics);
  }
  for (size_t k = 0; k < used.size() && !all.empty(); ++k)
    if (!used[k])
      diagnostics.warning("lint-manifest-unused", remap::BytePlace{given.checkpoints[k], {}, {}},
                          "none of the rule files recognises it: nothing was tried on it",
                          "name only the rule file that it is for, or correct its 'recognise'");
  diagnostics.sort();
  return diagnostics;
}

// ------------------------------------------------------------ --fix and --diff

std::vector<Mended> mend_all(const std::vector<std::string>& files, const Given& given, const Options& options) {
  remap::Diagnostics ignored;  // said of what is there afterwards
  std::vector<Mended> all;
  std::vector<bool> used(given.checkpoints.size());
  for (const auto& one : load_all(files, options, ignored)) {
    const Examples examples = examples_of(one, given, options, files.size() == 1, used);
    auto after = remap::mend(one, examples.cases);
    if (!after.mended.empty()) all.push_back({one.file(), one.text(), std::move(after)});
  }
  return all;
}

void write_all(const std::vector<Mended>& all) {
  for (const auto& one : all) check_file(one.file, Existing::replace);  // before any is written
  for (const auto& one : all) {
    if (read_file(one.file) != one.before)
      throw Error("io-changed", remap::BytePlace{one.file, {}, {}}, "is not what was read: it was not mended",
                  "run it again; of a rule file that is built in, mend a copy: remap rules show NAME > NAME.yaml");
    write_file(one.file, one.after.text, Existing::replace);
  }
}

void print_mended(const std::vector<Mended>& all, std::FILE* stream) {
  for (const auto& one : all)
    for (const auto& d : one.after.mended)
      fmt::print(stream, "{}: mended[{}]: {}\n", remap::printable(to_string(d.place)), d.id,
                 remap::printable(d.message));
}

std::string patches(const std::vector<Mended>& all) {
  std::string text;
  for (const auto& one : all) {
    const std::string name = remap::printable(one.file);
    text += patch(name + (name.find(' ') == name.npos ? "" : "\t"), one.before, one.after.text);
  }
  return text;
}

}  // namespace

std::vector<std::string> rule_files(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const auto& input : inputs) {
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      files.push_back(input);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(input, error))
      if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
          remap::rule_file_kind(entry.path().string()) != remap::RuleFileKind::other)
        found.push_back(entry.path().string());
    if (error)
      throw Error("io-read", remap::BytePlace{input, {}, {}},
                  fmt::format("the folder cannot be listed: {}", error.message()));
    if (found.empty())
      throw Error("usage", remap::BytePlace{input, {}, {}}, "the folder holds no rule files and no schemas",
                  "name the folder that they are in, or the files");
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

int lint(const Options& options) {
  if (options.show_fix && options.format != "text")
    throw Error("usage", {}, fmt::format("--diff and --format {} do not go together", options.format),
                "what --diff prints is a patch");
  const auto files = rule_files(options.inputs);
  const Given given(options.manifests);
  if (given.checkpoints.empty() && !given.others.empty())
    throw Error("usage", {}, "--manifest: no checkpoint was given", "further sources are NAME=PATH beside it");
  Progress progress(options.quiet, "looking");
  std::vector<Mended> mended;
  if (options.fix || options.show_fix) mended = mend_all(files, given, options);
  progress.end();
  if (options.show_fix) {
    show(patches(mended), Paint::patch);
  } else {
    write_all(mended);
    print_mended(mended, options.format == "text" ? stdout : stderr);
  }
  progress.begin("looking");
  const auto found = find(files, given, options);
  progress.end();
  if (options.show_fix)
    fmt::print(stderr, "{}\n", summary(found, files.size(), mended, options));
  else
    print_findings(found, summary(found, files.size(), mended, options), options);
  return std::any_of(found.items().begin(), found.items().end(), is_finding) ? kFound : kDone;
}

}  // namespace cli
