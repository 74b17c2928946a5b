#include <fmt/format.h>

#include "remap/report.h"

namespace remap {
namespace {

// The line with a caret below what is meant. Tabs stay tabs, so that the caret stands right whatever their width.
std::string marked_line(const TextPlace& place, const std::string& hint) {
  if (place.line == 0 || place.column == 0) return "";
  const std::string number = fmt::format("{:>5} | ", place.line);
  std::string caret = "      | ";
  const size_t start = static_cast<size_t>(place.column) - 1;
  for (size_t i = 0; i < start && i < place.source_line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(place.source_line[i]);
    if (byte == '\t') caret += '\t';
    else if ((byte & 0xC0) != 0x80) caret += ' ';  // one column a character, not a byte
  }
  const size_t end = std::min(static_cast<size_t>(std::max(place.end_column - 1, place.column)), std::max(place.source_line.size(), start + 1));
  caret += '^';
  for (size_t i = start + 1; i < end; ++i) caret += '~';
  return fmt::format("{}{}\n{}{}{}\n", number, place.source_line, caret, hint.empty() ? "" : " ", hint);
}

}  // namespace

std::string render_text(const Diagnostic& d) {
  const std::string place = to_string(d.place);
  std::string text = fmt::format("{}{}{}[{}]: {}\n", place, place.empty() ? "" : ": ", to_string(d.severity), d.id, d.message);
  const auto* range = std::get_if<TextPlace>(&d.place);
  const std::string line = range == nullptr ? "" : marked_line(*range, d.hint);
  text += line;
  for (const auto& note : d.notes) text += fmt::format("  note: {}\n", note);
  if (line.empty() && !d.hint.empty()) text += fmt::format("  hint: {}\n", d.hint);
  return text;
}

Json render_json(const Diagnostic& d) {
  Json json = {{"severity", to_string(d.severity)}, {"id", d.id}, {"message", d.message}};
  if (const auto* t = std::get_if<TextPlace>(&d.place)) {
    json["file"] = t->file;
    if (t->line > 0) json["line"] = t->line;
    if (t->column > 0) json["column"] = t->column, json["end_column"] = t->end_column;
  } else if (const auto* b = std::get_if<BytePlace>(&d.place)) {
    json["file"] = b->file;
    if (!b->member.empty()) json["member"] = b->member;
    if (b->offset) json["offset"] = *b->offset;
  }
  if (!d.notes.empty()) json["notes"] = d.notes;
  if (!d.hint.empty()) json["hint"] = d.hint;
  return json;
}

}  // namespace remap
