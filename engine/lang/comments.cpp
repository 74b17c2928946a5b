#include "lang/comments.h"

#include <algorithm>

namespace remap::lang {

Lines::Lines(const std::string& text) : text_(text), starts_(1, 0) {
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') starts_.push_back(i + 1);
}

int Lines::line_of(size_t offset) const {
  return static_cast<int>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin());
}

std::string_view Lines::line(int number) const {
  const size_t begin = starts_[static_cast<size_t>(number) - 1];
  const size_t end =
      static_cast<size_t>(number) < starts_.size() ? starts_[static_cast<size_t>(number)] - 1 : text_.size();
  return std::string_view(text_).substr(begin, end - begin);
}

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

// A folded line end is one blank of the text, and n+1 of them are n line ends.
std::optional<size_t> end_of_plain(const std::string& source, size_t at, const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    if (at >= source.size()) return std::nullopt;
    if (!is_blank(text[i]) || source[at] == text[i]) {
      if (source[at] != text[i]) return std::nullopt;
      // Blanks before a line end are not in the text: go on only if the run matches to its end.
      ++i, ++at;
      continue;
    }
    while (at < source.size() && is_blank(source[at])) ++at;
    while (i < text.size() && is_blank(text[i])) ++i;
  }
  return at;
}

std::optional<size_t> end_of_quoted(const std::string& source, size_t at) {
  const char quote = source[at];
  for (size_t i = at + 1; i < source.size(); ++i) {
    if (quote == '"' && source[i] == '\\')
      ++i;
    else if (source[i] == quote && quote == '\'' && i + 1 < source.size() && source[i + 1] == '\'')
      ++i;
    else if (source[i] == quote)
      return i + 1;
  }
  return std::nullopt;
}

// All lines that are blank or indented as the first that is not.
size_t end_of_block(const Lines& lines, const YamlNode& node, size_t size) {
  int line = node.line + 1;
  if (node.text.find_first_not_of('\n') == std::string::npos)
    return line <= lines.count() ? lines.offset(line, 1) : size;
  while (line <= lines.count() && lines.line(line).find_first_not_of(' ') == std::string_view::npos) ++line;
  if (line > lines.count()) return size;
  const size_t indentation = lines.line(line).find_first_not_of(' ');
  while (line <= lines.count()) {
    const size_t first = lines.line(line).find_first_not_of(' ');
    if (first != std::string_view::npos && first < indentation) return lines.offset(line, 1);
    ++line;
  }
  return size;
}

void leaves_of(const YamlNode& node, std::vector<const YamlNode*>& leaves) {
  if (node.is_scalar() || (node.kind == YamlNode::Kind::null && !node.text.empty())) leaves.push_back(&node);
  for (const auto& item : node.items) leaves_of(item, leaves);
  for (const auto& [key, value] : node.entries) {
    leaves_of(key, leaves);
    leaves_of(value, leaves);
  }
}

class Scanner {
 public:
  Scanner(const std::string& text, const Lines& lines) : text_(text), lines_(lines) {}

  // Between two scalars, every '#' begins a comment.
  void gap(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (text_[i] != '#') continue;
      size_t stop = text_.find('\n', i);
      if (stop == std::string::npos) stop = text_.size();
      Comment comment{i, lines_.line_of(i), lines_.column_of(i), false, text_.substr(i, stop - i)};
      comment.text.erase(comment.text.find_last_not_of(" \t") + 1);
      const std::string_view before = lines_.line(comment.line).substr(0, static_cast<size_t>(comment.column) - 1);
      comment.own_line = before.find_first_not_of(" \t-") == std::string_view::npos;
      if (const size_t dash = before.find('-'); comment.own_line && dash != std::string_view::npos)
        comment.column = static_cast<int>(dash) + 1;
      comments.push_back(std::move(comment));
      i = stop;
    }
  }
  std::vector<Comment> comments;

 private:
  const std::string& text_;
  const Lines& lines_;
};

}  // namespace

std::optional<size_t> end_of_scalar(const std::string& text, const Lines& lines, const YamlNode& node) {
  if (node.line < 1 || node.line > lines.count()) return std::nullopt;
  const size_t at = lines.offset(node.line, node.column);
  if (at >= text.size()) return std::nullopt;
  if (node.block) return end_of_block(lines, node, text.size());
  return node.quoted ? end_of_quoted(text, at) : end_of_plain(text, at, node.text);
}

std::optional<std::vector<Comment>> comments_of(const std::string& text, const YamlNode& root) {
  const Lines lines(text);
  std::vector<const YamlNode*> leaves;
  leaves_of(root, leaves);
  Scanner scanner(text, lines);
  size_t at = 0;
  for (const YamlNode* leaf : leaves) {
    const auto end = end_of_scalar(text, lines, *leaf);
    const size_t begin = end ? lines.offset(leaf->line, leaf->column) : 0;
    if (!end || begin < at) return std::nullopt;
    scanner.gap(at, begin);
    if (leaf->block) {  // a comment may follow the sign
      const size_t line_end = std::min(text.find('\n', begin), text.size());
      scanner.gap(begin, std::min(line_end, *end));
    }
    at = *end;
  }
  scanner.gap(at, text.size());
  return std::move(scanner.comments);
}

}  // namespace remap::lang
