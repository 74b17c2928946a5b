// Findings for whoever shows them in a review.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "remap/report.h"
#include "remap/text.h"
#include "report/way_on.h"

namespace remap {
namespace {

// What GitHub's commands take: %, line ends, and in properties ':' and ',' too.
std::string escaped(const std::string& text, bool property) {
  std::string result;
  for (const char c : text) {
    if (c == '%')
      result += "%25";
    else if (c == '\r')
      result += "%0D";
    else if (c == '\n')
      result += "%0A";
    else if (property && c == ':')
      result += "%3A";
    else if (property && c == ',')
      result += "%2C";
    else
      result += c;
  }
  return result;
}

// The message with what explains it, a line each.
std::string whole_message(const Diagnostic& d) {
  std::string text = d.message;
  if (const std::string hint = report::way_on(d); !hint.empty()) text += "\n" + hint;
  for (const auto& note : d.notes) text += "\nnote: " + note;
  return text;
}

std::string file_of(const Place& place) {
  if (const auto* t = std::get_if<TextPlace>(&place)) return t->file;
  if (const auto* b = std::get_if<BytePlace>(&place)) return b->file;
  return "";
}

// Columns count bytes here, and characters where others read them.
int character_column(const TextPlace& place, int column) {
  const auto before = static_cast<size_t>(std::max(column - 1, 0));
  const std::string_view inside = std::string_view(place.source_line.str()).substr(0, before);
  return static_cast<int>(1 + utf8_length(inside) + before - inside.size());
}

std::string github_line(const Diagnostic& d) {
  const std::string command(d.severity == Severity::note ? "notice" : to_string(d.severity));
  std::string properties;
  const auto add = [&](const std::string& name, const std::string& value) {
    properties += fmt::format("{}{}={}", properties.empty() ? "" : ",", name, escaped(value, true));
  };
  if (const std::string file = file_of(d.place); !file.empty()) add("file", file);
  if (const auto* t = std::get_if<TextPlace>(&d.place); t != nullptr && t->line > 0) {
    add("line", std::to_string(t->line));
    if (t->column > 0) {
      add("col", std::to_string(character_column(*t, t->column)));
      add("endColumn", std::to_string(character_column(*t, t->end_column)));
    }
  }
  add("title", d.id);
  return fmt::format("::{} {}::{}\n", command, properties, escaped(whole_message(d), false));
}

// A path as a URI reference: what is not allowed in one, as %XX.
std::string uri(const std::string& path) {
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return text;
}

Json sarif_result(const Diagnostic& d) {
  Json result = {{"ruleId", d.id}, {"level", to_string(d.severity)}, {"message", {{"text", whole_message(d)}}}};
  const std::string file = file_of(d.place);
  if (file.empty()) return result;
  Json location = {{"artifactLocation", {{"uri", uri(file)}}}};
  if (const auto* t = std::get_if<TextPlace>(&d.place); t != nullptr && t->line > 0) {
    location["region"]["startLine"] = t->line;
    if (t->column > 0) {
      location["region"]["startColumn"] = character_column(*t, t->column);
      location["region"]["endColumn"] = character_column(*t, t->end_column);
    }
    constexpr size_t kMaxSnippet = 400;  // a line may have as many findings as bytes
    const std::string& line = t->source_line;
    if (!line.empty() && line.size() <= kMaxSnippet) location["region"]["snippet"] = {{"text", line}};
  }
  result["locations"] = Json::array({{{"physicalLocation", std::move(location)}}});
  return result;
}

}  // namespace

std::string render_github(const Diagnostics& diagnostics) {
  std::string text;
  for (const auto& d : diagnostics.items()) text += github_line(d);
  return text;
}

Json render_sarif(const Diagnostics& diagnostics, const std::string& version) {
  std::set<std::string> used;
  Json results = Json::array(), rules = Json::array();
  for (const auto& d : diagnostics.items()) {
    used.insert(d.id);
    results.push_back(sarif_result(d));
  }
  for (const auto& row : diagnostic_table())
    if (used.contains(std::string(row.id)))
      rules.push_back({{"id", row.id},
                       {"shortDescription", {{"text", row.purpose}}},
                       {"defaultConfiguration", {{"level", to_string(row.severity)}}}});
  Json driver = {{"name", "remap"}, {"version", version}, {"rules", std::move(rules)}};
  Json run = {
      {"tool", {{"driver", std::move(driver)}}}, {"columnKind", "unicodeCodePoints"}, {"results", std::move(results)}};
  return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs", Json::array({std::move(run)})}};
}

Json render_findings(const Diagnostics& diagnostics) {
  Json findings = Json::array();
  std::map<Severity, int> counts;
  for (const auto& d : diagnostics.items()) {
    findings.push_back(render_json(d));
    ++counts[d.severity];
  }
  return {{"remap_lint", 1},
          {"findings", std::move(findings)},
          {"errors", counts[Severity::error]},
          {"warnings", counts[Severity::warning]},
          {"notes", counts[Severity::note]}};
}

}  // namespace remap
