#include "convert/recognise.h"

#include <algorithm>
#include <exception>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/parallel_for.h"
#include "plan/load_rules.h"

namespace remap::convert {

std::map<std::string, std::string> companions_of(const Request& request) {
  std::map<std::string, std::string> found;
  for (const auto& name : companions())
    if (const auto given = request.inputs.find(name); given != request.inputs.end()) found.insert(*given);
  return found;
}

std::unique_ptr<Source> open_for(const std::string& path, const Rules& rules, size_t source, const Request& request,
                                 bool whole) {
  OpenOptions options = rules.open_options(source);
  if (whole) options.subtree.clear();
  options.limits = request.limits;
  if (source == 0) options.companions = companions_of(request);
  return open_source(path, options);
}

Openings::Openings(const Request& request) : request_(request) {
  std::error_code ignored;
  is_folder_ = std::filesystem::is_directory(request.checkpoint, ignored);
}

Openings::Kind Openings::kind_of(const Rules& rules) const {
  return is_folder_ ? Kind{rules.subtree(0), rules.sources().front().files} : Kind{};
}

Source* Openings::open(const Rules& rules) {
  const auto [at, fresh] = opened_.try_emplace(kind_of(rules));
  if (fresh) {
    try {
      at->second = open_for(request_.checkpoint, rules, 0, request_, !is_folder_);
    } catch (const Error&) {
      if (!refused_) refused_ = std::current_exception();
    }
  }
  return at->second.get();
}

Source* Openings::open_whole() {
  auto& whole = opened_[{"", ""}];
  if (!whole && !refused_) {
    OpenOptions options;
    options.limits = request_.limits;
    options.companions = companions_of(request_);
    whole = open_source(request_.checkpoint, options);
  }
  return whole.get();
}

std::unique_ptr<Source> Openings::take(const Rules& rules) {
  const auto at = opened_.find(kind_of(rules));
  return at == opened_.end() ? nullptr : std::move(at->second);
}

namespace {

struct Candidate {
  std::string name;  // Rules::load() takes it
  Rules rules;
  bool is_head;  // of a built-in file: the rest is read when it is chosen
};

// A user's files are read whole, so that their mistakes are reported.
std::vector<Candidate> all_rules(const Request& request, Diagnostics& diagnostics) {
  constexpr size_t kWorkOfAHead = 1'000'000;
  const auto names = Rules::known(request.rule_folders);
  std::vector<std::optional<Rules>> rules(names.size());
  parallel_each(names.size(), static_cast<int64_t>(names.size() * kWorkOfAHead),
                [&] { return [&](size_t i) { rules[i] = plan::load_head(names[i], request.rule_folders); }; });
  std::vector<Candidate> all;
  for (size_t i = 0; i < names.size(); ++i) {
    const bool is_head = rules[i].has_value();
    if (!is_head) rules[i] = Rules::load(names[i], diagnostics, request.rule_folders, request.limits);
    if (rules[i]) all.push_back({names[i], std::move(*rules[i]), is_head});
  }
  return all;
}

}  // namespace

std::optional<Rules> recognise(const Request& request, Openings& openings, Diagnostics& diagnostics) {
  auto families = all_rules(request, diagnostics);
  std::vector<Candidate> found;
  std::vector<std::string> notes;
  // Those that read only a part of a checkpoint come first: they tell its format, and rules for another one open
  // nothing.
  std::stable_partition(families.begin(), families.end(),
                        [](const Candidate& one) { return !one.rules.subtree(0).empty(); });
  const Source* first = nullptr;
  std::vector<std::string> ways;  // rules that take any checkpoint, and are never chosen without being asked for
  for (const Candidate& one : families) {
    const Rules& rules = one.rules;
    std::string why;
    if (const auto& set = rules.impl().set;
        !set.recognise && set.sources.front().format.empty() && set.schema.empty()) {
      ways.push_back(fmt::format("--rules {} ({})", rules.family(), rules.title()));
      continue;
    }
    if (first != nullptr && !rules.reads(*first, why)) {
      notes.push_back(fmt::format("{}: {}", rules.family(), why));
      continue;
    }
    // A folder may be ambiguous for rules that do not name its files, and plain for those that do.
    const Source* source = openings.open(rules);
    if (source == nullptr) continue;
    if (first == nullptr) first = source;
    if (rules.recognise(*source, why))
      found.push_back(one);
    else
      notes.push_back(fmt::format("{}: {}", rules.family(), why));
  }
  if (found.empty())  // perhaps only a prefix is in the way
    if (const Source* whole = openings.open_whole())
      std::copy_if(families.begin(), families.end(), std::back_inserter(found),
                   [&](const Candidate& one) { return one.rules.recognise_elsewhere(*whole); });
  if (diagnostics.has_errors()) return std::nullopt;
  if (found.size() == 1 && !found.front().is_head) return found.front().rules;
  if (found.size() == 1) return Rules::load(found.front().name, diagnostics, request.rule_folders, request.limits);
  if (found.empty() && openings.refused()) std::rethrow_exception(openings.refused());
  const BytePlace place{request.checkpoint, {}, {}};
  if (found.empty()) {
    diagnostics.error("family-unknown", place, "no known family looks like this checkpoint",
                      "name the rules with --rules, and look at the keys with 'remap inspect'" +
                          (ways.empty() ? "" : fmt::format("; for any checkpoint: {}", fmt::join(ways, ", "))),
                      notes);
  } else {
    notes.clear();
    for (const auto& one : found)
      notes.push_back(fmt::format("--rules {}: {} ({})", one.name, one.rules.title(), one.rules.file()));
    diagnostics.error("family-ambiguous", place, "more than one family looks like this checkpoint",
                      "choose one with --rules", notes);
  }
  return std::nullopt;
}

}  // namespace remap::convert
