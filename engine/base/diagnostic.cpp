#include "remap/diagnostic.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace remap {
namespace {

// Texts before data, wherever the files lie: the rule that is wrong comes before the keys that it loses.
std::tuple<size_t, std::string, int, int, uint64_t> sort_key(const Place& place) {
  if (const auto* t = std::get_if<TextPlace>(&place)) return {1, t->file, t->line, t->column, 0};
  if (const auto* b = std::get_if<BytePlace>(&place))
    return {2, b->file + "!" + b->member, 0, 0, b->offset.value_or(0)};
  return {0, "", 0, 0, 0};
}

}  // namespace

Error::Error(Diagnostic diagnostic) : diagnostic_(std::move(diagnostic)) {
  const std::string place = to_string(diagnostic_.place);
  text_ = fmt::format("{}{}error[{}]: {}", place, place.empty() ? "" : ": ", diagnostic_.id, diagnostic_.message);
}

Error::Error(std::string id, Place place, std::string message, std::string hint)
    : Error(Diagnostic{Severity::error, std::move(id), std::move(place), std::move(message), {}, std::move(hint)}) {}

void Diagnostics::error(std::string id, Place place, std::string message, std::string hint,
                        std::vector<std::string> notes) {
  add({Severity::error, std::move(id), std::move(place), std::move(message), std::move(notes), std::move(hint)});
}

void Diagnostics::warning(std::string id, Place place, std::string message, std::string hint,
                          std::vector<std::string> notes) {
  add({Severity::warning, std::move(id), std::move(place), std::move(message), std::move(notes), std::move(hint)});
}

bool Diagnostics::has_errors() const {
  return std::any_of(items_.begin(), items_.end(), [](const Diagnostic& d) { return d.severity == Severity::error; });
}

void Diagnostics::sort() {
  std::stable_sort(items_.begin(), items_.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return sort_key(a.place) < sort_key(b.place); });
  items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
}

std::string to_string(const Place& place) {
  if (const auto* t = std::get_if<TextPlace>(&place)) {
    if (t->line == 0) return t->file;
    if (t->column == 0) return fmt::format("{}:{}", t->file, t->line);
    return fmt::format("{}:{}:{}", t->file, t->line, t->column);
  }
  if (const auto* b = std::get_if<BytePlace>(&place)) {
    std::string text = b->file;
    if (!b->member.empty()) text += "!" + b->member;
    if (b->offset) text += fmt::format("@0x{:x}", *b->offset);
    return text;
  }
  return "";
}

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::note: return "note";
  }
  return "error";
}

}  // namespace remap
