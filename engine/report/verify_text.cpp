// What `remap verify` says.
#include <algorithm>

#include <fmt/format.h>

#include "remap/report.h"
#include "remap/text.h"
#include "report/fold.h"

namespace remap {
namespace {

using report::Line;
using report::Row;

std::string number(double value) { return value == 0 ? "0" : fmt::format("{:.3g}", value); }

std::string folded_keys(const std::vector<std::string>& keys) {
  std::vector<Line> lines;
  for (const auto& key : keys) lines.push_back({{key}, ""});
  std::string text;
  for (const Row& row : report::fold(std::move(lines))) text += "  " + row.front() + "\n";
  return text;
}

std::vector<std::string> keys_by(const VerifyReport& report, VouchedBy by) {
  std::vector<std::string> keys;
  for (const auto& tensor : report.tensors)
    if (tensor.by == by) keys.push_back(tensor.key);
  return keys;
}

}  // namespace

std::string render_text(const VerifyReport& report) {
  std::string text = fmt::format("{}: {}\nsource as {}, target as {}; {}\n\n", report.family, report.architecture,
                                 report.source_library, report.target_library, count_text(report.n_samples, "sample"));
  std::vector<Row> rows = {{"layer", "shape", "max abs diff", "mean abs diff", ""}};
  for (size_t l = 0; l < report.layers.size(); ++l) {
    const LayerDifference& layer = report.layers[l];
    rows.push_back({layer.name, to_string(layer.shape), number(layer.max_absolute_diff),
                    number(layer.mean_absolute_diff),
                    report.first_divergence == l ? "← the two diverge here"
                    : layer.agrees               ? ""
                                                 : "differs"});
  }
  text += report::table(rows, {48, 24, 12, 13});
  if (report.first_divergence)
    text += fmt::format("\nfirst divergence: {}\n", report.layers[*report.first_divergence].name);
  if (!report.cause.empty()) text += fmt::format("likely cause: {}\n", report.cause);
  const auto forward = keys_by(report, VouchedBy::forward_and_bytes), bytes = keys_by(report, VouchedBy::bytes);
  text += fmt::format("\n{} tensors: {} by the forward pass and their bytes, {} by their bytes alone, {} by nothing\n",
                      report.tensors.size(), forward.size(), bytes.size(),
                      report.tensors.size() - forward.size() - bytes.size());
  if (!bytes.empty())
    text += fmt::format("bytes alone ({}):\n{}",
                        report.all_layers ? "no forward pass reads them" : "not read by the layers compared",
                        folded_keys(bytes));
  if (!report.duplicates.empty()) text += "the same part of the source twice:\n";
  for (const auto& [key, first] : report.duplicates) text += fmt::format("  {} = {}\n", key, first);
  for (const auto& tensor : report.tensors)
    if (!tensor.fault.empty()) text += fmt::format("wrong: '{}': {}\n", tensor.key, tensor.fault);
  if (report.sums)
    text += fmt::format("\nsum of parameters: source {:.9g}, target {:.9g}{}\n", report.sums->source,
                        report.sums->target, report.sums->agree ? "" : ": THEY DIFFER");
  text += fmt::format("\nmax_absolute_diff = {}\n{}\n", number(report.max_absolute_diff),
                      report.passed ? "the two agree" : "THE TWO DO NOT AGREE");
  return text;
}

Json render_json(const VerifyReport& report) {
  Json json = {{"remap_verify", 1},
               {"family", report.family},
               {"architecture", report.architecture},
               {"source_library", report.source_library},
               {"target_library", report.target_library},
               {"samples", report.n_samples},
               {"passed", report.passed},
               {"max_absolute_diff", report.max_absolute_diff}};
  json["first_divergence"] =
      report.first_divergence ? Json(report.layers[*report.first_divergence].name) : Json(nullptr);
  json["cause"] = report.cause;
  json["layers"] = Json::array();
  for (const auto& layer : report.layers)
    json["layers"].push_back({{"name", layer.name},
                              {"shape", layer.shape},
                              {"max_absolute_diff", layer.max_absolute_diff},
                              {"mean_absolute_diff", layer.mean_absolute_diff},
                              {"agrees", layer.agrees}});
  json["tensors"] = Json::array();
  for (const auto& tensor : report.tensors) {
    Json entry = {{"key", tensor.key},
                  {"vouched_by", tensor.by == VouchedBy::forward_and_bytes ? "forward and bytes"
                                 : tensor.by == VouchedBy::bytes           ? "bytes"
                                                                           : "nothing"}};
    if (!tensor.fault.empty()) entry["fault"] = tensor.fault;
    json["tensors"].push_back(std::move(entry));
  }
  json["unused"] = report.unused;
  json["duplicates"] = Json::array();
  for (const auto& [key, first] : report.duplicates) json["duplicates"].push_back({{"key", key}, {"same_as", first}});
  if (report.sums)
    json["parameter_sum"] = {
        {"source", report.sums->source}, {"target", report.sums->target}, {"agree", report.sums->agree}};
  return json;
}

}  // namespace remap
