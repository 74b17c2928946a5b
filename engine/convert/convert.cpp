#include "remap/convert.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/sha256.h"
#include "exec/source_runs.h"
#include "remap/provenance.h"
#include "remap/report.h"

namespace remap {
namespace {

// The original scripts' own check, where a rule file asks for it: loud if a value was lost or counted twice.
std::optional<ParameterSums> checked_sums(const Plan& plan, const std::vector<const Source*>& sources, Sink& output,
                                          const std::atomic<bool>* cancel) {
  const bool rounds = std::any_of(plan.tensors.begin(), plan.tensors.end(), [&](const PlannedTensor& tensor) {
    return !is_made(tensor) && !irreversible_because(plan, tensor).empty();
  });
  if (!plan.parameter_sum || rounds) return std::nullopt;
  auto sums = parameter_sums(plan, sources, output, cancel);
  if (!sums.agree)
    throw Error("parameter-sum", {},
                fmt::format("the values written add up to {:.9g}, those of the source to {:.9g} ({})", sums.target,
                            sums.source, sums_text(plan, sums)),
                "this should not happen: please report it, with the output of 'remap plan --full'");
  return sums;
}

std::string plan_digest(const Plan& plan) {
  Checksum sum;
  const auto add = [&](const std::vector<int64_t>& values) {
    sum.add(uint64_t{values.size()});
    for (const int64_t value : values) sum.add(static_cast<uint64_t>(value));
  };
  const auto add_piece = [&](const Piece& piece) {
    sum.add(uint64_t{piece.source} << 32 | piece.tensor);
    add(piece.target_origin);
    add(piece.source_origin);
    sum.add(uint64_t{piece.axes.size()});
    for (const Axis& axis : piece.axes)
      add({axis.extent, axis.target_step, axis.source_step, axis.target_dim, axis.source_dim});
  };
  for (const PlanSource& source : plan.sources)
    for (const uint32_t tensor : source.computed) sum.add((*source.manifest)[tensor].key);
  for (const PlannedTensor& tensor : plan.tensors) {
    sum.add(tensor.key);
    sum.add(uint64_t{static_cast<uint8_t>(tensor.dtype)});
    add(tensor.shape);
    sum.add(uint64_t{tensor.fill.has_value()});
    sum.add(std::bit_cast<uint64_t>(tensor.fill.value_or(0)));
    sum.add(uint64_t{tensor.pieces.size()});
    for (const Piece& piece : tensor.pieces) add_piece(piece);
    sum.add(uint64_t{tensor.filled.size()});
    for (const FilledPart& part : tensor.filled) {
      add_piece(part.region);
      sum.add(std::bit_cast<uint64_t>(part.value));
      sum.add(std::bit_cast<uint64_t>(part.step));
    }
  }
  return to_string(sum.sum());
}

// Which files were read: their names, however they were given, and what they were.
std::string source_digest(const FilesRead& files) {
  const std::filesystem::path here = std::filesystem::current_path();
  Checksum sum;
  files.visit([&](const std::string& path, const FileStamp& stamp) {
    sum.add((here / path).lexically_normal().string());
    for (const uint64_t value : {stamp.inode, stamp.size_bytes, static_cast<uint64_t>(stamp.mtime_ns)}) sum.add(value);
  });
  return to_string(sum.sum());
}

// A file's name without the folders that its checkpoint is in.
std::string name_in_checkpoint(const Conversion& conversion, const std::string& path) {
  for (const auto& source : conversion.sources) {
    const std::string folder = source.source->folder();
    if (folder.empty()) continue;
    const std::string inside = std::filesystem::path(path).lexically_relative(folder).string();
    if (!inside.empty() && !inside.starts_with("..")) return inside;
  }
  return std::filesystem::path(path).filename().string();
}

// "weight_norm(conv.weight_g, conv.weight_v)", once each.
std::vector<std::string> computed_origins(const Plan& plan, const PlannedTensor& tensor) {
  std::vector<std::string> origins;
  for (const Piece& piece : tensor.pieces) {
    const PlanSource& source = plan.sources[piece.source];
    if (!source.is_computed(piece.tensor)) continue;
    const std::string& key = (*source.manifest)[piece.tensor].key;
    if (std::find(origins.begin(), origins.end(), key) == origins.end()) origins.push_back(key);
  }
  return origins;
}

Json provenance_of(const Conversion& conversion, const OutputFolder& output, const std::atomic<bool>* cancel) {
  const Plan& plan = conversion.plan;
  std::vector<std::string> paths;
  std::set<std::string> seen;  // a file may be read as part of a source and by itself
  conversion.read.visit([&](const std::string& path, const FileStamp& stamp) {
    if (stamp.is_there() && seen.insert(std::filesystem::path(path).lexically_normal().string()).second)
      paths.push_back(path);
  });
  const auto digests = sha256_of_files(paths, {}, cancel);
  Json sources = Json::array();
  for (size_t i = 0; i < paths.size(); ++i)
    sources.push_back({{"file", name_in_checkpoint(conversion, paths[i])},
                       {"bytes", digests[i].size_bytes},
                       {"sha256", digests[i].sha256}});
  Json set = Json::object();
  for (const auto& [name, value] : plan.variants) set[name] = value;
  Json computed = Json::array();
  for (const PlannedTensor& tensor : plan.tensors)
    if (is_computed(plan, tensor)) computed.push_back({{"key", tensor.key}, {"of", computed_origins(plan, tensor)}});
  Json provenance = {{"remap_provenance", 1},
                     {"remap", REMAP_VERSION},
                     {"family", plan.family},
                     {"architecture", plan.architecture},
                     {"rules",
                      {{"file", std::filesystem::path(conversion.rules.file()).filename().string()},
                       {"sha256", sha256(conversion.rules.text())}}},
                     {"set", std::move(set)},
                     {"sources", std::move(sources)},
                     {"outputs", output.digests(cancel)}};
  if (!computed.empty()) provenance["computed"] = std::move(computed);
  return provenance;
}

// Files beside the tensors: names and contents, in the order in which they are written.
std::vector<std::pair<std::string, std::string>> texts_of(const Conversion& conversion) {
  std::vector<std::pair<std::string, std::string>> texts = {{"config.json", json_file_text(conversion.plan.config)}};
  for (const auto& [name, body] : conversion.plan.files) texts.emplace_back(name, json_file_text(body));
  texts.insert(texts.end(), conversion.carried.begin(), conversion.carried.end());
  return texts;
}

std::string digest_of(const std::vector<std::pair<std::string, std::string>>& texts) {
  Checksum sum;
  for (const auto& [name, text] : texts) sum.add(name), sum.add(text);
  return to_string(sum.sum());
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
  completed.made_of.insert(
      {{"plan", plan_digest(plan)}, {"source", source_digest(conversion.read)}, {"version", REMAP_VERSION}});
  completed.limits = conversion.options.limits;
  const auto sources = sources_of(plan, conversion.sources);
  if (completed.clone) completed.source_offsets = offsets_in_sources(plan, sources);
  const auto texts = texts_of(conversion);
  // Parts are written by several commands, of which one may say otherwise what config.json holds.
  if (!completed.part.is_whole()) completed.made_of["configuration"] = digest_of(texts);
  for (const auto& [name, text] : texts)
    if (completed.provenance && name == kProvenanceFile)
      throw Error("output-name", BytePlace{folder, {}, {}}, fmt::format("the file '{}' would be written twice", name),
                  "leave out --provenance, or the file");
  OutputFolder output(folder, plan.tensors, completed);
  // First, so that what is wrong with them is known before the tensors are copied.
  for (const auto& [name, text] : texts) output.add_file(name, text);
  Outcome outcome;
  try {
    outcome = conversion.read.unchanged_during([&] {
      execute(plan.tensors, sources, output, exec);
      if (completed.provenance)
        output.add_file(kProvenanceFile, json_file_text(provenance_of(conversion, output, exec.cancel)));
      return completed.part.is_whole() ? Outcome{checked_sums(plan, sources, output, exec.cancel)} : Outcome{};
    });
  } catch (const Error& error) {
    if (error.diagnostic().id == "cancelled") output.keep();
    throw;
  }
  output.commit();
  return outcome;
}

}  // namespace remap
