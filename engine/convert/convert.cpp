#include "remap/convert.h"

#include <algorithm>

#include <fmt/format.h>

#include "exec/file_runs.h"
#include "remap/report.h"

namespace remap {
namespace {

// The original scripts' own check, where a rule file asks for it: loud if a value was lost or counted twice.
std::optional<ParameterSums> checked_sums(const Plan& plan, const std::vector<const Source*>& sources, Sink& output) {
  const bool rounds = std::any_of(plan.tensors.begin(), plan.tensors.end(), [&](const PlannedTensor& tensor) {
    return !tensor.fill && !irreversible_because(plan, tensor).empty();
  });
  if (!plan.parameter_sum || rounds) return std::nullopt;
  auto sums = parameter_sums(plan, sources, output);
  if (!sums.agree)
    throw Error("parameter-sum", {},
                fmt::format("the values written add up to {:.9g}, those of the source to {:.9g} ({})", sums.target,
                            sums.source, sums_text(plan, sums)),
                "this should not happen: please report it, with the output of 'remap plan --full'");
  return sums;
}

std::vector<std::optional<uint64_t>> offsets_in_sources(const Plan& plan, const std::vector<const Source*>& sources) {
  std::vector<std::optional<uint64_t>> offsets(plan.tensors.size());
  for (size_t t = 0; t < plan.tensors.size(); ++t)
    if (const auto place = exec::place_in_source(plan.tensors[t], sources)) offsets[t] = place->offset_bytes;
  return offsets;
}

}  // namespace

Outcome write(const Conversion& conversion, const std::string& folder, const OutputOptions& options,
              const ExecOptions& exec) {
  const Plan& plan = conversion.plan;
  OutputOptions completed = options;
  completed.inputs.insert(completed.inputs.end(), conversion.files.begin(), conversion.files.end());
  completed.metadata.insert(plan.metadata.begin(), plan.metadata.end());
  const auto sources = sources_of(plan, conversion.sources);
  if (completed.clone) completed.source_offsets = offsets_in_sources(plan, sources);
  OutputFolder output(folder, plan.tensors, completed);
  // First, so that what is wrong with them is known before the tensors are copied.
  output.add_file("config.json", json_file_text(plan.config));
  for (const auto& [name, body] : plan.files) output.add_file(name, json_file_text(body));
  execute(plan.tensors, sources, output, exec);
  Outcome outcome{checked_sums(plan, sources, output)};
  output.commit();
  return outcome;
}

}  // namespace remap
