#include "lint/mend_text.h"

#include <algorithm>

namespace remap::linting {
namespace {

using lang::Comment;
using lang::Lines;
using lang::YamlNode;

const YamlNode& child_at(const YamlNode& node, size_t index) {
  return node.is_map() ? node.entries[index].value : node.items[index];
}
YamlNode& child_at(YamlNode& node, size_t index) {
  return node.is_map() ? node.entries[index].value : node.items[index];
}

// The text between two bytes of a file, comments left aside.
class Reader {
 public:
  Reader(const std::string& text, const std::vector<Comment>& comments)
      : text_(text), lines_(text), comments_(comments) {}

  const Lines& lines() const { return lines_; }
  size_t offset_of(const YamlNode& node) const {
    return node.line < 1 || node.line > lines_.count() ? text_.size() : lines_.offset(node.line, node.column);
  }
  bool in_braces(const YamlNode& node) const {
    const size_t at = offset_of(node);
    return at < text_.size() && (text_[at] == '{' || text_[at] == '[');
  }
  // The first of the signs from `at` on.
  std::optional<size_t> find(size_t at, std::string_view signs) const {
    for (at = past_blanks(at); at < text_.size(); at = past_blanks(at + 1))
      if (signs.find(text_[at]) != std::string_view::npos) return at;
    return std::nullopt;
  }
  size_t past_blanks(size_t at) const {
    while (at < text_.size()) {
      const auto comment =
          std::find_if(comments_.begin(), comments_.end(), [&](const Comment& c) { return c.offset == at; });
      if (comment != comments_.end())
        at += comment->text.size();
      else if (std::string_view(" \t\r\n").find(text_[at]) != std::string_view::npos)
        ++at;
      else
        break;
    }
    return at;
  }

  // Just past what the node is written as. nullopt: it is not where it should be.
  std::optional<size_t> end_of(const YamlNode& node) const {
    if (node.is_scalar()) return end_of_scalar(text_, lines_, node);
    if (node.kind == YamlNode::Kind::null) return end_of_word(offset_of(node));
    std::optional<size_t> end = offset_of(node) + 1;
    if (!node.items.empty()) end = end_of(node.items.back());
    if (!node.entries.empty()) end = end_of(node.entries.back());
    if (!end || !in_braces(node)) return end;
    const auto close = find(*end, node.is_map() ? "}" : "]");
    return close ? std::optional(*close + 1) : std::nullopt;
  }
  std::optional<size_t> end_of(const YamlNode::Entry& entry) const {
    const auto key = end_of(entry.key);
    if (!key) return std::nullopt;
    const size_t colon = past_blanks(*key);
    if (colon >= text_.size() || text_[colon] != ':') return key;  // {a}: no value, not even a colon
    if (entry.value.kind != YamlNode::Kind::null) return end_of(entry.value);
    return end_of_word(text_.find_first_not_of(' ', colon + 1));  // 'null', or nothing at all
  }

 private:
  size_t end_of_word(size_t at) const {
    for (const std::string_view word : {"null", "~"})
      if (at < text_.size() && text_.compare(at, word.size(), word) == 0) return at + word.size();
    size_t end = std::min(at, text_.size());
    while (end > 0 && text_[end - 1] == ' ') --end;
    return end;
  }

  const std::string& text_;
  const Lines lines_;
  const std::vector<Comment>& comments_;
};

// Where an entry stands with the comma that goes with it.
std::optional<std::pair<size_t, size_t>> range_of_entry(const Reader& reader, const YamlNode& map, size_t index) {
  const auto end = reader.end_of(map.entries[index]);
  if (!end) return std::nullopt;
  const size_t begin = reader.offset_of(map.entries[index].key);
  if (!reader.in_braces(map)) return std::pair(begin, *end);
  if (index + 1 < map.entries.size()) {
    const auto comma = reader.find(*end, ",");
    return comma ? std::optional(std::pair(begin, *comma + 1)) : std::nullopt;
  }
  if (index == 0) return std::pair(begin, *end);
  const auto before = reader.end_of(map.entries[index - 1]);
  const auto comma = before ? reader.find(*before, ",") : std::nullopt;
  return comma ? std::optional(std::pair(*comma, *end)) : std::nullopt;
}

}  // namespace

const YamlNode& node_at(const YamlNode& root, const NodePath& path) {
  const YamlNode* node = &root;
  for (const size_t index : path) node = &child_at(*node, index);
  return *node;
}

std::optional<NodePath> scalar_at(const lang::SourceText& source, const YamlNode& root, const TextPlace& place) {
  // The last one that begins before it on its line: positions in a scalar are known only if it is of one line.
  std::optional<NodePath> found;
  int column = 0;
  const auto offer = [&](const YamlNode& node, const std::optional<NodePath>& path) {
    if (!node.is_scalar() || node.line != place.line || node.column > place.column || node.column <= column) return;
    column = node.column;
    found = path;
  };
  const auto visit = [&](const auto& self, const YamlNode& node, NodePath& path) -> void {
    offer(node, path);
    path.push_back(0);
    for (size_t i = 0; i < node.items.size() + node.entries.size(); ++i) {
      path.back() = i;
      if (node.is_map()) offer(node.entries[i].key, std::nullopt);
      self(self, child_at(node, i), path);
    }
    path.pop_back();
  };
  NodePath path;
  visit(visit, root, path);
  if (!found) return std::nullopt;
  const TextPlace whole = lang::place_of(source, node_at(root, *found));
  return place.column <= std::max(whole.end_column, whole.column + 1) ? found : std::nullopt;
}

std::optional<NodePath> entry_at(const lang::SourceText& source, const YamlNode& root, const NodePath& path,
                                 const TextPlace& place) {
  const YamlNode& map = node_at(root, path);
  for (size_t i = 0; i < map.entries.size(); ++i) {
    const TextPlace at = lang::place_of(source, map.entries[i].key);
    if (at.line != place.line || at.column != place.column) continue;
    NodePath entry = path;
    entry.push_back(i);
    return entry;
  }
  return std::nullopt;
}

YamlNode changed(YamlNode root, const TreeChange& change) {
  YamlNode* node = &root;
  for (size_t i = 0; i + 1 < change.path.size(); ++i) node = &child_at(*node, change.path[i]);
  if (change.text)
    child_at(*node, change.path.back()).text = *change.text;
  else
    node->entries.erase(node->entries.begin() + static_cast<std::ptrdiff_t>(change.path.back()));
  return root;
}

std::optional<std::string> changed_text(const std::string& text, const YamlNode& root, const TreeChange& change) {
  const auto comments = lang::comments_of(text, root);
  if (!comments) return std::nullopt;
  const Reader reader(text, *comments);
  if (change.text) {
    const YamlNode& scalar = node_at(root, change.path);
    const auto end = reader.end_of(scalar);
    const size_t begin = reader.offset_of(scalar);
    if (scalar.block || !end || text.substr(begin, *end - begin).find('\n') != std::string::npos) return std::nullopt;
    // What JSON quotes YAML reads; format_rules() then chooses the quotes.
    return text.substr(0, begin) + Json(*change.text).dump() + text.substr(*end);
  }
  const NodePath parent(change.path.begin(), change.path.end() - 1);
  const YamlNode& map = node_at(root, parent);
  const auto range = range_of_entry(reader, map, change.path.back());
  if (!range) return std::nullopt;
  const auto [begin, end] = *range;
  std::string rest;  // what stays of the entry: its comments and line ends
  const std::string indentation(static_cast<size_t>(map.entries[change.path.back()].key.column) - 1, ' ');
  for (size_t at = begin; at < end; ++at) {
    const auto comment =
        std::find_if(comments->begin(), comments->end(), [&](const Comment& c) { return c.offset == at; });
    if (comment != comments->end()) {
      rest += (rest.ends_with('\n') ? indentation : " ") + comment->text;
      at += comment->text.size() - 1;
    } else if (text[at] == '\n') {
      rest += '\n';
    }
  }
  return text.substr(0, begin) + rest + text.substr(end);
}

}  // namespace remap::linting
