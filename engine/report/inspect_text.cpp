#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/manifest_file.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/json_text.h"
#include "report/structure.h"

namespace remap {
namespace {

constexpr int kShortDepth = 3;
constexpr size_t kShortEntries = 40;
constexpr size_t kShortText = 100;

std::string one_line_of(const Json& json, bool whole) {
  std::string text = report::one_line(json);
  return whole || text.size() <= kShortText ? text : fmt::format("{} …", utf8_prefix(text, kShortText));
}

void print_tree(const Json& json, int depth, bool whole, std::string& out) {
  size_t shown = 0;
  for (const auto& [name, value] : json.items()) {
    if (!whole && ++shown > kShortEntries) {
      out += fmt::format("{:{}}… {} more\n", "", 2 + 2 * depth, json.size() - kShortEntries);
      return;
    }
    const bool deeper = value.is_object() && !value.empty() && (whole || depth + 1 < kShortDepth) &&
                        !value.contains("$tensor") && !value.contains("$tensors");
    out +=
        fmt::format("{:{}}{}:{}\n", "", 2 + 2 * depth, printable(name), deeper ? "" : " " + one_line_of(value, whole));
    if (deeper) print_tree(value, depth + 1, whole, out);
  }
}

// The parts down to a level, as rows.
void add_parts(const report::Part& part, int levels, int depth, std::vector<report::Row>& rows) {
  for (const report::Part& below : part.parts) {
    rows.push_back({fmt::format("{:{}}{}", "", 2 + 2 * depth, printable(below.name)),
                    count_text(below.n_tensors, "tensor"), human_bytes(below.bytes), below.meaning});
    if (levels > 1) add_parts(below, levels - 1, depth + 1, rows);
  }
}

// What the names make up, with what each part holds: as deep as a page shows. "" where the list of tensors, of
// `n_lines` lines, says as much.
std::string parts_text(const report::Structure& structure, size_t n_lines) {
  constexpr size_t kMostRows = 40, kGoodRows = 16;
  constexpr int kMostLevels = 3;
  const auto down_to = [&](int levels) {
    std::vector<report::Row> rows;
    add_parts(structure.whole, levels, 0, rows);
    return rows;
  };
  int levels = 1;
  auto rows = down_to(levels);
  while (rows.size() == 1 && levels < kMostLevels) rows = down_to(++levels);  // all of it has one name in front
  if (rows.size() < 2 || rows.size() > kMostRows || (!structure.has_known && 2 * rows.size() > n_lines)) return "";
  while (++levels <= kMostLevels) {
    auto deeper = down_to(levels);
    if (deeper.size() > kGoodRows || 2 * deeper.size() > n_lines) break;
    rows = std::move(deeper);
  }
  return "\nparts:\n" + report::table(std::move(rows), {60, 12, 12});
}

std::string files_text(const report::Structure& structure) {
  constexpr size_t kMostFiles = 40;
  if (structure.files.empty()) return "";
  std::vector<report::Row> rows;
  for (const report::FileShare& file : structure.files) {
    if (rows.size() == kMostFiles) break;
    rows.push_back({"  " + printable(file.file), count_text(file.n_tensors, "tensor"), human_bytes(file.bytes),
                    file.n_partly == 0                ? ""
                    : file.n_partly == file.n_tensors ? "each in part"
                                                      : fmt::format("{} in part", file.n_partly)});
  }
  std::string text = "\nfiles:\n" + report::table(std::move(rows), {72, 12, 12});
  if (structure.files.size() > kMostFiles) text += fmt::format("  … {} more\n", structure.files.size() - kMostFiles);
  if (structure.n_elsewhere > 0)
    text += fmt::format("  and {} that {} unpacked when read, or the same in several files\n",
                        count_text(structure.n_elsewhere, "tensor"), structure.n_elsewhere == 1 ? "is" : "are");
  return text;
}

}  // namespace

std::string render_text(const Source& source, const InspectTextOptions& options) {
  const Manifest& manifest = source.manifest();
  uint64_t bytes = 0;
  size_t unread = 0;
  std::set<std::string> aliases;
  for (const auto& tensor : manifest.tensors()) {
    unread += tensor.unread != nullptr;
    if (tensor.alias.empty() || aliases.insert(tensor.alias).second) bytes += static_cast<uint64_t>(data_bytes(tensor));
  }
  const report::Structure structure = report::structure_of(source);
  std::string text = fmt::format("{}: {}, {}, {}{}{}\n", printable(source.path()), source.format(),
                                 count_text(manifest.size(), "tensor"), human_bytes(bytes),
                                 structure.step ? fmt::format(", step {}", *structure.step) : "",
                                 unread == 0 ? "" : fmt::format("; {} not read", unread));
  if (structure.n_slots > 0)
    text += fmt::format("  of these, {}, {}: state of the optimizer\n", count_text(structure.n_slots, "tensor"),
                        human_bytes(structure.slot_bytes));
  if (!source.metadata().empty()) {
    text += "\nmetadata:\n";
    print_tree(source.metadata(), 0, options.whole_metadata, text);
  }
  auto remarks = source.remarks();
  for (const auto& notice : source.notices()) {
    remarks.push_back(notice.message);
    if (!notice.hint.empty()) remarks.push_back("  " + notice.hint);
  }
  if (!remarks.empty()) text += "\nremarks:\n";
  for (const auto& remark : remarks) text += fmt::format("  {}\n", printable(remark));
  std::vector<report::Line> lines;
  for (const auto& tensor : manifest.tensors()) {
    const std::string dtype = dtype_text(tensor), shape = shape_text(tensor),
                      why = tensor.unread == nullptr ? "" : "not read: " + tensor.unread->why;
    lines.push_back({{"  " + tensor.key, dtype, shape}, dtype + shape + why});
    if (unread > 0) lines.back().cells.push_back(why);
  }
  const auto rows = options.folded ? report::fold(std::move(lines)) : report::in_order(std::move(lines));
  text += parts_text(structure, rows.size()) + files_text(structure);
  if (!rows.empty()) text += "\ntensors:\n";
  return text + report::table(rows, {100, 8});
}

std::string render_inspect_json(const Source& source) {
  Json more = report::structure_json(report::structure_of(source));
  for (const std::string& remark : source.remarks()) more["remarks"].push_back(remark);
  for (const auto& notice : source.notices()) more["remarks"].push_back(notice.message);
  return manifest_to_json(source.manifest().tensors(), source, false, more);
}

}  // namespace remap
