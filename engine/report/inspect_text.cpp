#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/report.h"
#include "report/fold.h"

namespace remap {
namespace {

constexpr int kShortDepth = 3;
constexpr size_t kShortEntries = 40;
constexpr size_t kShortText = 100;

std::string one_line_of(const Json& json, bool whole) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (whole || text.size() <= kShortText) return text;
  size_t end = kShortText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + " …";
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

// What the first parts of keys mean in files of training programs.
struct PartRow {
  std::string_view name, meaning;
};
constexpr PartRow kParts[] = {
    {"optimizer", "state of the optimizer"},
    {"optimizers", "state of the optimizer"},
    {"optimizer_state", "state of the optimizer"},
    {"optimizer_states", "state of the optimizer"},
    {"optimizer_state_dict", "state of the optimizer"},
    {"last_optimizer_state", "state of the optimizer"},
    {"optim", "state of the optimizer"},
    {"opt_state", "state of the optimizer"},
    {"lr_scheduler", "state of the training"},
    {"lr_schedulers", "state of the training"},
    {"rng_state", "state of the training"},
    {"cuda_rng_state", "state of the training"},
    {"ema", "a copy of the weights, averaged over the training"},
    {"model_ema", "a copy of the weights, averaged over the training"},
    {"ema_state_dict", "a copy of the weights, averaged over the training"},
};

// Of a file of which the model is one part: the parts, with what each holds. "" for others.
std::string parts_text(const Manifest& manifest) {
  constexpr size_t kMostParts = 40;
  struct Part {
    size_t tensors = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, Part> parts;
  bool known = false;
  const auto row_of = [](std::string_view name) {
    return std::find_if(std::begin(kParts), std::end(kParts), [&](const PartRow& row) { return row.name == name; });
  };
  for (const auto& tensor : manifest.tensors()) {
    const std::string name = tensor.key.substr(0, tensor.key.find_first_of("./"));
    Part& part = parts[name];
    ++part.tensors;
    part.bytes += static_cast<uint64_t>(data_bytes(tensor));
    known = known || (part.tensors == 1 && row_of(name) != std::end(kParts));
    if (parts.size() > kMostParts) return "";
  }
  if (!known) return "";
  std::vector<report::Line> lines;
  for (const auto& [name, part] : parts) {
    const auto row = row_of(name);
    lines.push_back({{"  " + name, part.tensors == 1 ? "1 tensor" : fmt::format("{} tensors", part.tensors),
                      human_bytes(part.bytes), row == std::end(kParts) ? "" : std::string(row->meaning)},
                     name});
  }
  return "\nparts:\n" + report::table(report::in_order(std::move(lines)), {60, 12, 12});
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
  std::string text =
      fmt::format("{}: {}, {} tensors, {}{}\n", printable(source.path()), source.format(), manifest.size(),
                  human_bytes(bytes), unread == 0 ? "" : fmt::format("; {} not read", unread));
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
  text += parts_text(manifest);
  if (!lines.empty()) text += "\ntensors:\n";
  return text +
         report::table(options.folded ? report::fold(std::move(lines)) : report::in_order(std::move(lines)), {100, 8});
}

}  // namespace remap
