#include <algorithm>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/compare.h"
#include "remap/files_read.h"
#include "remap/html.h"
#include "remap/provenance.h"
#include "remap/report.h"
#include "remap/text.h"

namespace cli {
namespace {

struct Finding {
  std::string key, text;
  remap::Json json;
  bool compared = true;  // false: nobody can tell whether the two are equal
};

Finding not_compared(const remap::TensorInfo& a, const remap::TensorInfo& b) {
  const auto side = [](const char* which, const remap::TensorInfo& t) {
    return fmt::format("the {} is not read: {}", which, t.unread->why);
  };
  const std::string why = a.unread == nullptr || b.unread == nullptr
                              ? a.unread != nullptr ? side("first", a) : side("second", b)
                          : a.unread->why == b.unread->why ? fmt::format("neither is read: {}", a.unread->why)
                                                           : side("first", a) + "; " + side("second", b);
  return {a.key,
          fmt::format("not compared: {} ({} {} and {} {})", why, dtype_text(a), shape_text(a), dtype_text(b),
                      shape_text(b)),
          {{"not_compared", why}},
          false};
}

// What can be told without looking at their values; nullopt: nothing.
std::optional<Finding> told_apart(const remap::TensorInfo& ta, const remap::TensorInfo& tb, double atol) {
  if (ta.unread != nullptr || tb.unread != nullptr) return not_compared(ta, tb);
  if (ta.shape != tb.shape)
    return Finding{ta.key,
                   fmt::format("shape {} and {}", remap::to_string(ta.shape), remap::to_string(tb.shape)),
                   {{"shape", {ta.shape.list(), tb.shape.list()}}}};
  const bool complex = ta.dtype == remap::DType::c64 || ta.dtype == remap::DType::c128,
             complex_b = tb.dtype == remap::DType::c64 || tb.dtype == remap::DType::c128;
  const bool sub_byte = is_sub_byte(ta.dtype) || is_sub_byte(tb.dtype);
  if (ta.dtype != tb.dtype && (atol == 0 || complex != complex_b || sub_byte))
    return Finding{ta.key,
                   fmt::format("dtype {} and {}", name(ta.dtype), name(tb.dtype)),
                   {{"dtype", {name(ta.dtype), name(tb.dtype)}}}};
  return std::nullopt;
}

std::optional<Finding> finding_of(const std::string& key, const remap::TensorDifference& d, double atol) {
  if (d.bits_equal || (atol > 0 && d.count_nan_mismatch == 0 && d.max_absolute_diff <= atol)) return std::nullopt;
  return Finding{
      key,
      d.count_different == 0
          ? "equal in value, not in bits"
          : fmt::format("{} of {} elements differ, max_absolute_diff = {:g}, mean {:g}{}", d.count_different, d.count,
                        d.max_absolute_diff, d.mean_absolute_diff,
                        d.count_nan_mismatch > 0 ? fmt::format(", {} NaN on one side only", d.count_nan_mismatch) : ""),
      {{"count_different", d.count_different},
       {"count", d.count},
       {"max_absolute_diff", d.max_absolute_diff},
       {"mean_absolute_diff", d.mean_absolute_diff}}};
}

std::pair<std::vector<Finding>, size_t> compare_all(const remap::Source& a, const remap::Source& b, double atol,
                                                    const remap::ProgressFunction& progress) {
  std::vector<Finding> findings;
  std::vector<remap::TensorPair> pairs;
  for (size_t i = 0; i < a.manifest().size(); ++i) {
    const remap::TensorInfo& tensor = a.manifest()[i];
    const size_t j = b.manifest().find(tensor.key);
    if (j == remap::Manifest::npos)
      findings.push_back({tensor.key, "only in the first", {{"only_in", 1}}});
    else if (auto finding = told_apart(tensor, b.manifest()[j], atol))
      findings.push_back(std::move(*finding));
    else
      pairs.push_back({i, j});
  }
  const auto differences = remap::compare_tensors(a, b, pairs, progress);
  size_t equal = 0;
  for (size_t p = 0; p < pairs.size(); ++p)
    if (auto finding = finding_of(a.manifest()[pairs[p].a].key, differences[p], atol))
      findings.push_back(std::move(*finding));
    else
      ++equal;
  std::sort(findings.begin(), findings.end(), [](const Finding& x, const Finding& y) { return x.key < y.key; });
  for (const auto& tensor : b.manifest().tensors())
    if (a.manifest().find(tensor.key) == remap::Manifest::npos)
      findings.push_back({tensor.key, "only in the second", {{"only_in", 2}}});
  return {std::move(findings), equal};
}

std::string_view name_of(remap::FileCheck check) {
  switch (check) {
    case remap::FileCheck::same: return "same";
    case remap::FileCheck::other: return "other";
    case remap::FileCheck::missing: return "missing";
    case remap::FileCheck::unlisted: return "unlisted";
  }
  return "";
}

int compare_checksums(const Options& options) {
  Progress progress(options.quiet, "comparing");
  const auto checked = remap::check_provenance(options.inputs.front(), limits_of(options), progress.function());
  progress.end();
  const auto n_same = std::count_if(checked.files.begin(), checked.files.end(), [](const remap::CheckedFile& file) {
    return file.check == remap::FileCheck::same;
  });
  if (options.output_format() == Format::json) {
    remap::Json json = {{"same", n_same}, {"files", remap::Json::array()}, {"provenance", checked.provenance}};
    for (const auto& file : checked.files)
      json["files"].push_back({{"file", file.file}, {"check", name_of(file.check)}, {"sha256", file.sha256}});
    fmt::print("{}", remap::json_file_text(json));
  } else if (options.format == "html") {
    remap::ComparisonPage page = {
        options.inputs.front(), "remap-provenance.json", "by SHA-256", "files", static_cast<size_t>(n_same), 0, {}};
    for (const auto& file : checked.files)
      if (file.check != remap::FileCheck::same) page.different.push_back({file.file, file.message, 0});
    fmt::print("{}", remap::render_html(page));
  } else {
    for (const auto& file : checked.files)
      if (file.check != remap::FileCheck::same)
        fmt::print("{}: {}\n", remap::printable(file.file), remap::printable(file.message));
    fmt::print("{} as written, {} not\n", remap::count_text(static_cast<size_t>(n_same), "file"),
               checked.files.size() - static_cast<size_t>(n_same));
  }
  return checked.holds() ? kDone : kFound;
}

}  // namespace

int compare(const Options& options) {
  if (options.checksums) return compare_checksums(options);
  if (options.inputs.size() != 2)
    throw remap::Error("usage", {}, fmt::format("two checkpoints are compared; {} given", options.inputs.size()),
                       "remap compare A B");
  Progress progress(options.quiet, "opening");
  const auto a = open_whole(options.inputs[0], options), b = open_whole(options.inputs[1], options);
  const remap::FilesRead files({a.get(), b.get()});
  progress.begin("comparing");
  const auto [findings, equal] =
      files.unchanged_during([&] { return compare_all(*a, *b, options.atol, progress.function()); });
  progress.end();
  const auto n_not_compared = static_cast<size_t>(
      std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return !f.compared; }));
  const std::string how = options.atol > 0 ? fmt::format("within {:g}", options.atol) : "bit for bit";
  if (options.output_format() == Format::json) {
    remap::Json json = {{"equal", equal}, {"atol", options.atol}, {"differences", remap::Json::array()}};
    if (n_not_compared > 0) json["not_compared"] = n_not_compared;
    for (const auto& f : findings) {
      remap::Json one = {{"key", f.key}};
      one.update(f.json);
      json["differences"].push_back(std::move(one));
    }
    fmt::print("{}", remap::json_file_text(json));
  } else if (options.format == "html") {
    remap::ComparisonPage page = {options.inputs[0], options.inputs[1], how, "tensors", equal, n_not_compared, {}};
    for (const auto& f : findings) page.different.push_back({f.key, f.text, f.json.value("max_absolute_diff", 0.0)});
    fmt::print("{}", remap::render_html(page));
  } else {
    for (const auto& f : findings) fmt::print("{}: {}\n", remap::printable(f.key), remap::printable(f.text));
    fmt::print("{} equal {}, {} differ{}\n", remap::count_text(equal, "tensor"), how, findings.size() - n_not_compared,
               n_not_compared == 0 ? "" : fmt::format(", {} not compared", n_not_compared));
  }
  return findings.empty() ? kDone : kFound;
}

}  // namespace cli
