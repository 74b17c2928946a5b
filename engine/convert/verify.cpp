#include "remap/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/progress_counter.h"
#include "exec/check_target.h"
#include "plan/load_rules.h"
#include "remap/execute.h"
#include "remap/files_read.h"
#include "verify/layers.h"
#include "verify/probe.h"

namespace remap {
namespace {

// What the conversion rounds would differ by that much, and hide what else is different.
forward::Rounding rounding_of(const Plan& plan, const std::vector<const Source*>& sources) {
  forward::Rounding rounding;
  for (const auto& tensor : plan.tensors)
    for (const Piece& piece : tensor.pieces) {
      const DType from = sources[piece.source]->manifest()[piece.tensor].dtype;
      if (from != tensor.dtype && size_bytes(from) >= size_bytes(tensor.dtype))
        rounding[{sources[piece.source], piece.tensor}] = tensor.dtype;
    }
  return rounding;
}

uint64_t bytes_of(const Source& source) {
  uint64_t bytes = 0;
  for (const auto& tensor : source.manifest().tensors())
    if (tensor.unread == nullptr) bytes += static_cast<uint64_t>(data_bytes(tensor));
  return bytes;
}

std::vector<std::pair<std::string, std::string>> duplicates_in(const Plan& plan) {
  std::map<std::pair<uint32_t, uint32_t>, std::vector<const PlannedTensor*>> by_source;  // that of the first piece
  std::vector<std::pair<std::string, std::string>> duplicates;
  for (const auto& tensor : plan.tensors) {
    if (tensor.pieces.empty()) continue;
    auto& others = by_source[{tensor.pieces.front().source, tensor.pieces.front().tensor}];
    const auto same = std::find_if(others.begin(), others.end(), [&](const PlannedTensor* other) {
      return other->pieces == tensor.pieces && other->filled == tensor.filled;
    });
    if (same != others.end())
      duplicates.emplace_back(tensor.key, (*same)->key);
    else
      others.push_back(&tensor);
  }
  return duplicates;
}

// Every tensor of the plan and of the target, with what vouches for it.
std::vector<TensorAccount> account(const Plan& plan, const std::vector<const Source*>& sources, const Source& target,
                                   const std::set<std::string>& read, const ProgressFunction& progress) {
  std::vector<TensorAccount> accounts;
  std::set<std::string> planned;
  auto faults = exec::target_faults(plan.tensors, sources, target, progress);
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const std::string& key = plan.tensors[i].key;
    planned.insert(key);
    TensorAccount one{key, VouchedBy::none, std::move(faults[i])};
    if (one.fault.empty()) one.by = read.contains(key) ? VouchedBy::forward_and_bytes : VouchedBy::bytes;
    accounts.push_back(std::move(one));
  }
  for (const auto& info : target.manifest().tensors())
    if (!planned.contains(info.key)) accounts.push_back({info.key, VouchedBy::none, "no rule gives it"});
  std::sort(accounts.begin(), accounts.end(), [](const auto& x, const auto& y) { return x.key < y.key; });
  return accounts;
}

}  // namespace

namespace {

VerifyReport verify_files(const Rules& rules, const Plan& plan, const std::vector<NamedSource>& sources,
                          const Source& target, const Json& config, const VerifyOptions& options) {
  const Rules::Impl& impl = rules.impl();
  if (!names_forward_passes(rules))
    throw Error("usage", {}, fmt::format("{} names no forward passes", rules.file()),
                "add 'verify: {source: NAME, target: NAME}'");
  const auto plan_sources = sources_of(plan, sources);
  forward::Side from{forward::load_model(impl.source_model),
                     {},
                     options.config,
                     {options.documents, rounding_of(plan, plan_sources), options.max_records}};
  forward::Side to{forward::load_model(impl.target_model), {}, config, {{}, {}, options.max_records}};
  for (const auto& [name, value] : plan.variants)
    if (name == "root") roots_of_first(from.model) = {value};
  from.sources = named_in(from.model, sources);
  to.sources = {{"", &target}};

  VerifyReport report;
  report.family = plan.family;
  report.architecture = plan.architecture;
  report.source_library =
      from.model.library +
      (from.options.rounding.empty() ? "" : " with the weights rounded as the conversion rounds them");
  report.target_library = to.model.library;

  auto samples = options.input.empty() ? forward::make_probe(to.model, config)
                                       : forward::read_probe(to.model, config, options.input);
  for (forward::Sample& sample : samples)
    for (const auto& [name, value] : plan.variants) sample.values[name] = value;
  report.n_samples = samples.size();
  // About what both passes read, for each sample; then the bytes that are compared.
  uint64_t a_pass = bytes_of(target);
  for (const auto& source : from.sources) a_pass += bytes_of(*source.source);
  const uint64_t passes = a_pass * samples.size(), total = passes + bytes_of(target);
  ProgressCounter progress(options.progress, total);
  from.options.progress = to.options.progress = &progress;
  auto compared = compare_layers(from, to, samples, options.atol);
  report.layers = std::move(compared.layers);
  report.all_layers = options.max_records == 0 || report.layers.size() < options.max_records;
  report.max_absolute_diff = compared.max_absolute_diff;
  report.first_divergence = compared.first_divergence;
  report.cause = std::move(compared.cause);

  report.tensors = account(plan, plan_sources, target, compared.read,
                           [&](uint64_t done, uint64_t of) { progress.reach(passes + std::min(done, of)); });
  for (const auto& info : target.manifest().tensors())
    if (!compared.read.contains(info.key)) report.unused.push_back(info.key);
  report.duplicates = duplicates_in(plan);
  if (plan.parameter_sum) report.sums = parameter_sums(plan, plan_sources, target);
  const bool bytes_agree = std::all_of(report.tensors.begin(), report.tensors.end(),
                                       [](const TensorAccount& one) { return one.fault.empty(); });
  report.passed =
      bytes_agree && (!report.sums || report.sums->agree) && !report.first_divergence && !report.layers.empty();
  progress.finish();
  return report;
}

}  // namespace

bool names_forward_passes(const Rules& rules) { return rules.impl().source_model && rules.impl().target_model; }

VerifyReport verify(const Rules& rules, const Plan& plan, const std::vector<NamedSource>& sources, const Source& target,
                    const Json& config, const VerifyOptions& options) {
  FilesRead files;
  for (const NamedSource& source : sources) files.add(*source.source);
  files.add(target);
  return files.unchanged_during([&] { return verify_files(rules, plan, sources, target, config, options); });
}

}  // namespace remap
