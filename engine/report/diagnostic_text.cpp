#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/report.h"
#include "report/fold.h"
#include "report/way_on.h"

namespace remap {
namespace {

constexpr size_t kMaxWidth = 400;  // bytes of a line; of a list of folded keys, less
constexpr size_t kMaxNotes = 20, kMaxKeys = 6;

// The line with a caret below what is meant. Tabs stay tabs, so that the caret stands right whatever their width.
std::string marked_line(const TextPlace& place, const std::string& hint) {
  if (place.line == 0 || place.column == 0) return "";
  std::string line = fmt::format("{:>5} | ", place.line), caret = "      | ";
  const std::string& source = place.source_line;
  const size_t start = static_cast<size_t>(place.column) - 1;
  const size_t end =
      std::min(static_cast<size_t>(std::max(place.end_column - 1, place.column)), std::max(source.size(), start + 1));
  size_t n_columns = source.size() <= start ? 1 : 0;  // of what is meant
  for (size_t i = 0; i < source.size();) {
    size_t next = i + 1;
    while (next < source.size() && continues_character(source[next])) ++next;
    const std::string_view c = std::string_view(source).substr(i, next - i);
    const std::string shown = c == "\t" ? "\t" : printable(c);
    const size_t columns = shown == c ? 1 : shown.size();
    line += shown;
    if (i < start)
      caret += c == "\t" ? std::string("\t") : std::string(columns, ' ');
    else if (i < end)
      n_columns += columns;
    i = next;
  }
  caret += '^' + std::string(std::max<size_t>(n_columns, 1) - 1, '~');
  return fmt::format("{}\n{}{}{}\n", line, caret, hint.empty() ? "" : " ", hint);
}

std::string cut(const std::string& line, size_t width) {
  return line.size() <= width ? line : fmt::format("{}…", utf8_prefix(line, width));
}

// Of a very long line, the part that is meant.
TextPlace cut(TextPlace place) {
  constexpr size_t kBefore = 80;
  const std::string& line = place.source_line;
  if (place.column == 0 || line.size() <= kMaxWidth) return place;
  const auto column = static_cast<size_t>(place.column) - 1;
  const bool is_far = column + 1 > kMaxWidth / 2;
  const size_t from = is_far ? utf8_prefix(line, std::min(column, line.size()) - kBefore).size() : 0;
  const std::string_view mark = is_far ? "…" : "", part = utf8_prefix(std::string_view(line).substr(from), kMaxWidth);
  const int moved = static_cast<int>(from) - static_cast<int>(mark.size());
  place.source_line = fmt::format("{}{}{}", mark, part, from + part.size() < line.size() ? "…" : "");
  place.column -= moved;
  place.end_column -= moved;
  return place;
}

std::string text_of(const Diagnostic& d, const Place& shown) {
  const std::string place = printable(to_string(d.place)), hint = printable(report::way_on(d));
  std::string text = fmt::format("{}{}{}[{}]: {}\n", place, place.empty() ? "" : ": ", to_string(d.severity), d.id,
                                 printable(d.message));
  const auto* range = std::get_if<TextPlace>(&shown);
  const std::string line = range == nullptr ? "" : marked_line(*range, hint);
  text += line;
  for (const auto& note : d.notes) text += fmt::format("  note: {}\n", printable(note));
  if (line.empty() && !hint.empty()) text += fmt::format("  hint: {}\n", hint);
  return text;
}

// In few lines that are not too long.
std::string short_text(const Diagnostic& d) {
  Diagnostic shown = d;
  if (shown.notes.size() > kMaxNotes) {
    shown.notes.resize(kMaxNotes - 1);
    shown.notes.push_back(fmt::format("… and {} more", d.notes.size() - shown.notes.size()));
  }
  Place place = d.place;
  if (const auto* text = std::get_if<TextPlace>(&d.place)) place = cut(*text);
  std::string result, line;
  for (const char c : text_of(shown, place)) {
    if (c != '\n') {
      line += c;
      continue;
    }
    result += cut(line, kMaxWidth) + "\n";
    line.clear();
  }
  return result;
}

// A message without what differs between findings of one kind: strings in quotes, and numbers, lists of them as one.
struct Frame {
  std::string text;
  std::vector<std::string> quoted;
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

Frame frame_of(const std::string& message) {
  Frame frame;
  for (size_t i = 0; i < message.size();) {
    const char c = message[i];
    if ((c == '\'' || c == '"') && (i == 0 || !is_word(message[i - 1]))) {
      size_t end = message.find(c, i + 1);
      while (end != std::string::npos && end + 1 < message.size() && is_word(message[end + 1]))
        end = message.find(c, end + 1);
      if (end != std::string::npos) {
        frame.quoted.push_back(message.substr(i + 1, end - i - 1));
        frame.text += "''";
        i = end + 1;
        continue;
      }
    }
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      frame.text += c;
      ++i;
      continue;
    }
    while (i < message.size() && std::isdigit(static_cast<unsigned char>(message[i])) != 0) ++i;
    for (const std::string_view before : {"#,", "# ", "#, "})
      if (frame.text.ends_with(before)) frame.text.erase(frame.text.size() - before.size());
    frame.text += '#';
  }
  return frame;
}

// Errors first, and causes before what follows from them.
std::pair<Severity, bool> rank_of(const Diagnostic& d) { return {d.severity, follows_from_others(d.id)}; }

// Findings of one kind at one place; or, where the place is not a text that a person would correct, anywhere for one
// reason.
using Kind = std::tuple<std::pair<Severity, bool>, std::string, std::string, std::string, std::string>;

Kind kind_of(const Diagnostic& d, const Frame& frame) {
  std::string place;
  if (std::holds_alternative<TextPlace>(d.place))
    place = to_string(d.place);
  else
    for (const auto& note : d.notes) place += frame_of(note).text + "\n";
  return {rank_of(d), d.id, std::move(place), frame.text, frame_of(d.hint).text};
}

std::string listed(const std::vector<std::string>& texts) {
  std::string list;
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool full = i == kMaxKeys || (i > 0 && list.size() + texts[i].size() > kMaxWidth / 2);
    list += (i == 0 ? "" : ", ") + (full ? fmt::format("… and {} more", texts.size() - i) : cut(texts[i], kMaxWidth));
    if (full) break;
  }
  return list;
}

// What was probably meant by the names that differ; empty if it is the same for all, or nothing was.
std::map<std::string, std::string> suggestions(const std::vector<const Diagnostic*>& members,
                                               const std::vector<Frame>& frames) {
  std::map<std::string, std::string> meant;
  std::set<std::string> distinct;
  for (size_t i = 0; i < members.size(); ++i) {
    const Frame hint = frame_of(members[i]->hint);
    if (hint.text != "did you mean ''?") return {};
    distinct.insert(hint.quoted.front());
    for (const auto& quoted : frames[i].quoted) meant.emplace(quoted, hint.quoted.front());
  }
  return distinct.size() > 1 ? meant : std::map<std::string, std::string>{};
}

// "24 in all: KEYS (in 2 files: FILES)": that in which they differ, folded.
std::string others_text(const std::vector<const Diagnostic*>& members, const std::vector<Frame>& frames) {
  size_t n_quoted = frames.front().quoted.size(), most = 1;
  std::vector<std::string> names;
  for (size_t q = 0; q < n_quoted; ++q) {
    std::set<std::string_view> distinct;
    for (const Frame& frame : frames) distinct.insert(frame.quoted[q]);
    if (distinct.size() <= most) continue;
    most = distinct.size();
    names.assign(distinct.begin(), distinct.end());
  }
  std::set<std::string> files, messages;
  for (const Diagnostic* d : members) {
    messages.insert(d->message);
    if (const auto* place = std::get_if<BytePlace>(&d->place))
      files.insert(place->member.empty() ? place->file : place->file + "!" + place->member);
  }
  std::string text = messages.size() > 1 ? fmt::format("{} in all", messages.size()) : "";
  if (!names.empty()) {
    const auto meant = suggestions(members, frames);
    if (meant.empty()) names = report::fold_keys(std::move(names));
    for (auto& name : names)
      if (const auto known = meant.find(name); known != meant.end()) name += fmt::format(" ({}?)", known->second);
    text += ": " + printable(listed(names));
  }
  if (files.size() < 2) return text;
  const std::string where =
      fmt::format("in {} files: {}", files.size(), printable(listed(report::fold_keys({files.begin(), files.end()}))));
  return text.empty() ? where : fmt::format("{} ({})", text, where);
}

}  // namespace

std::string render_text(const Diagnostic& d) {
  const auto* text = std::get_if<TextPlace>(&d.place);
  return text_of(d, text == nullptr ? d.place : cut(*text));
}

std::vector<FoldedFinding> fold_findings(const Diagnostics& diagnostics) {
  struct Group {
    std::vector<const Diagnostic*> members;
    std::vector<Frame> frames;
  };
  std::map<Kind, size_t> index;
  std::vector<std::pair<Kind, Group>> groups;
  for (const Diagnostic& d : diagnostics.items()) {
    Frame frame = frame_of(d.message);
    Kind kind = kind_of(d, frame);
    const auto [it, fresh] = index.emplace(kind, groups.size());
    if (fresh) groups.emplace_back(std::move(kind), Group{});
    Group& group = groups[it->second].second;
    group.members.push_back(&d);
    group.frames.push_back(std::move(frame));
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return std::get<0>(a.first) < std::get<0>(b.first); });
  std::vector<FoldedFinding> folded;
  for (const auto& [kind, group] : groups)
    folded.push_back({*group.members.front(), group.members.size(),
                      group.members.size() == 1 ? "" : others_text(group.members, group.frames)});
  return folded;
}

std::string render_text(const Diagnostics& diagnostics, const FindingsTextOptions& options) {
  std::string text;
  if (options.full) {
    std::vector<const Diagnostic*> all;
    for (const Diagnostic& d : diagnostics.items()) all.push_back(&d);
    std::stable_sort(all.begin(), all.end(),
                     [](const Diagnostic* a, const Diagnostic* b) { return rank_of(*a) < rank_of(*b); });
    for (const Diagnostic* d : all) text += render_text(*d);
    return text;
  }
  const auto lines_in = [](const std::string& s) { return static_cast<size_t>(std::count(s.begin(), s.end(), '\n')); };
  const auto folded = fold_findings(diagnostics);
  size_t lines = 0, shown = 0;
  for (; shown < folded.size(); ++shown) {
    std::string next = short_text(folded[shown].first);
    if (!folded[shown].others.empty()) next += fmt::format("  {}\n", folded[shown].others);
    const size_t rest = shown + 1 < folded.size() ? 1 : 0;  // for the line that says what is not shown
    if (lines + lines_in(next) + rest > options.max_lines) {
      // What is found first is shown in any case, as far as there is room.
      if (shown > 0) break;
      const size_t room = options.max_lines - 1;
      size_t end = 0;
      for (size_t i = 0; i < room; ++i) end = next.find('\n', end) + 1;
      return fmt::format(
          "{}… cut short{}; {}\n", next.substr(0, end),
          folded.size() > 1 ? fmt::format(", and {} more findings", diagnostics.size() - folded[0].count) : "",
          options.way_on);
    }
    text += next;
    lines += lines_in(next);
  }
  size_t left = 0;
  for (size_t i = shown; i < folded.size(); ++i) left += folded[i].count;
  if (left > 0)
    text += fmt::format("… and {} of {}; {}\n", count_text(left, "more finding"),
                        count_text(folded.size() - shown, "kind"), options.way_on);
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
  if (const std::string hint = report::way_on(d); !hint.empty()) json["hint"] = hint;
  return json;
}

}  // namespace remap
