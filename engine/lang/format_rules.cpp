// Lays a rule file out again: the tree gives what is written, the text gives the comments and what was a flow
// collection.
//
//   { } and [ ]   rules, spellings, sources and tables where they fit; elsewhere what was written so and
//                 still fits; lists of plain values
//   blocks        everything else, by two spaces; '-' stands two spaces below its key
//   sections      in the order of the documentation; what is unknown comes last
//   comments      on their own lines before what they stand before; three spaces after what they stand behind
//   blank lines   where they were, one at most
#include "remap/format_rules.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/comments.h"
#include "lang/same_meaning.h"

namespace remap {
namespace lang {
namespace {

constexpr size_t kWidth = 140;
constexpr int kRounds = 4;  // that a layout may take until it stays
using Kind = YamlNode::Kind;

// ------------------------------------------------------------ scalars

bool is_any_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// Whether some reader of YAML takes the text for a number, a date, true, false or nothing.
bool looks_typed(const std::string& text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  static const std::set<std::string> kWords = {"~", "null", "true", "false", "yes",  "no",    "on",    "off",
                                               "y", "n",    "<<",   "=",     ".inf", "-.inf", "+.inf", ".nan"};
  if (kWords.contains(lower)) return true;
  return is_any_of(text[0], "0123456789+-.") &&
         lower.find_first_not_of("0123456789+-._:abcdefox") == std::string::npos &&
         lower.find_first_of("0123456789") != std::string::npos;
}

// Whether the text can stand without quotes: what yaml-cpp and YAML agree on.
bool can_be_plain(const std::string& text, bool in_flow) {
  if (text.empty() || is_any_of(text.front(), " \t") || is_any_of(text.back(), " \t:")) return false;
  if (is_any_of(text[0], ",[]{}#&*!|>'\"%@`")) return false;
  if (is_any_of(text[0], "-?:") &&
      (text.size() == 1 || is_any_of(text[1], " \t") || (in_flow && is_any_of(text[1], ",?[]{}"))))
    return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) return false;
    if (text[i] == '#' && i > 0 && text[i - 1] == ' ') return false;
    if (text[i] == ':' && is_any_of(text[i + 1], in_flow ? " ,?[]{}" : " ")) return false;
    if (in_flow && is_any_of(text[i], ",?[]{}")) return false;
  }
  return true;
}

std::string quoted(const std::string& text) {
  const bool plain_bytes =
      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  const bool prefers_single = text.find_first_of("\"\\") != std::string::npos;
  if (plain_bytes && prefers_single && (text.find('\'') == std::string::npos || text.find('\\') != std::string::npos)) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? "''" : std::string(1, c);
    return result + "'";
  }
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += std::string{'\\', c};
    else if (c == '\n')
      result += "\\n";
    else if (c == '\t')
      result += "\\t";
    else if (byte < 0x20 || byte == 0x7F)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result + "\"";
}

// Quotes only where the text would be something else without them.
std::string scalar(const YamlNode& node, bool in_flow) {
  const bool was_text = node.quoted || node.block;
  const bool plain = can_be_plain(node.text, in_flow) && !(was_text && looks_typed(node.text));
  return plain ? node.text : quoted(node.text);
}

// ------------------------------------------------------------ layout

// How collections below are laid out.
enum class Style {
  keep,       // as they were, unless they do not fit
  fit,        // in braces where they fit
  fit_below,  // as it was, and what is in it in braces where it fits
  rules       // a list of rules
};

class Layout {
 public:
  Layout(const std::string& text, const YamlNode& root, std::vector<Comment> comments)
      : text_(text), lines_(text), root_(root), comments_(std::move(comments)) {}

  std::string run() {
    std::vector<std::pair<size_t, std::string>> sections;
    std::string header;
    for (size_t i = 0; i < root_.entries.size(); ++i) {
      const auto& [key, value] = root_.entries[i];
      fresh_ = i == 0;
      leading(offset_of(key), 0);
      if (i == 0) {
        header = std::exchange(out_, {});
        fresh_ = false;
        if (!header.empty() && blank_before(key.line)) header += '\n';
        last_line_ = key.line;
      }
      entry(key, value, 0, "", style_of(key.text),
            i + 1 < root_.entries.size() ? offset_of(root_.entries[i + 1].key) : text_.size());
      sections.emplace_back(rank_of(key.text), std::exchange(out_, {}));
    }
    leading(text_.size(), 0);
    const std::string footer = std::exchange(out_, {});
    std::stable_sort(sections.begin(), sections.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [rank, section] : sections) out_ += section;
    if (const size_t begin = out_.find_first_not_of('\n'); begin != std::string::npos) out_.erase(0, begin);
    return header + out_ + footer;
  }

 private:
  // Those of a forward pass stay where they are: what is computed reads from top to bottom.
  size_t rank_of(const std::string& section) const {
    static const std::vector<std::string> kRules = {
        "remap",    "family", "title",     "source", "sources",  "target",        "recognise",
        "variants", "let",    "normalise", "maps",   "computed", "rules",         "require",
        "notes",    "config", "defaults",  "files",  "carry",    "parameter_sum", "verify"};
    static const std::vector<std::string> kSchema = {"remap_schema",  "model_type", "library", "config",
                                                     "implied",       "require",    "tensors", "base_model",
                                                     "architectures", "fields",     "aliases"};
    if (root_.find("remap") == nullptr && root_.find("remap_schema") == nullptr) return 0;
    const auto& order = root_.find("remap") != nullptr ? kRules : kSchema;
    return static_cast<size_t>(std::find(order.begin(), order.end(), section) - order.begin());
  }
  static Style style_of(const std::string& section) {
    if (section == "rules") return Style::rules;
    if (section == "source" || section == "verify") return Style::fit;
    return section == "sources" || section == "normalise" || section == "maps" || section == "computed"
               ? Style::fit_below
               : Style::keep;
  }

  size_t offset_of(const YamlNode& node) const {
    return node.line > lines_.count() ? text_.size() : lines_.offset(node.line, node.column);
  }
  bool is_flow(const YamlNode& node) const {
    const size_t at = offset_of(node);
    return at < text_.size() && (text_[at] == '{' || text_[at] == '[');
  }
  static bool is_absent(const YamlNode& node) {
    return node.kind == Kind::null && node.text.empty();
  }  // its place says nothing
  static bool is_collection(const YamlNode& node) { return node.is_map() || node.is_sequence(); }
  static bool is_empty(const YamlNode& node) { return node.items.empty() && node.entries.empty(); }
  static const YamlNode& last_leaf(const YamlNode& node) {
    if (!node.items.empty()) return last_leaf(node.items.back());
    if (node.entries.empty()) return node;
    const auto& [key, value] = node.entries.back();
    return is_absent(value) ? key : last_leaf(value);
  }
  static size_t values_in(const YamlNode& node) {
    if (!is_collection(node)) return 1;
    size_t count = 0;
    for (const auto& item : node.items) count += values_in(item);
    for (const auto& [key, value] : node.entries) count += values_in(value);
    return count;
  }
  static bool holds_block_scalar(const YamlNode& node) {
    return node.block || std::any_of(node.items.begin(), node.items.end(), holds_block_scalar) ||
           std::any_of(node.entries.begin(), node.entries.end(),
                       [](const auto& e) { return holds_block_scalar(e.value); });
  }
  // Of a block: what is indented like it, up to `limit`, is in it too.
  bool holds_comment(const YamlNode& node, size_t limit) const {
    const bool in_braces = is_flow(node);
    const size_t begin = offset_of(node), end = offset_of(last_leaf(node));
    return std::any_of(comments_.begin() + static_cast<std::ptrdiff_t>(next_), comments_.end(), [&](const Comment& c) {
      const bool indented = !in_braces && c.own_line && c.column >= node.column && c.offset < limit;
      return indented || (c.offset > begin && c.offset < end);
    });
  }
  static bool all_plain_values(const YamlNode& node) {
    return node.is_sequence() && std::none_of(node.items.begin(), node.items.end(), is_collection);
  }
  static bool is_block_of_rules(const YamlNode& node) { return node.find("rules") != nullptr; }

  static std::string flow(const YamlNode& node) {
    std::string text;
    for (const auto& item : node.items)
      text += (text.empty() ? "" : ", ") + (is_absent(item) ? std::string("null") : flow(item));
    for (const auto& [key, value] : node.entries) {
      text += (text.empty() ? "" : ", ") + scalar(key, true);
      if (!is_absent(value)) text += ": " + flow(value);
    }
    if (node.is_sequence()) return "[" + text + "]";
    if (node.is_map()) return "{" + text + "}";
    return node.kind == Kind::null ? node.text : scalar(node, true);
  }

  // Whether the collection stands in braces behind `used` columns.
  bool stands_in_braces(const YamlNode& node, size_t used, Style style, size_t limit) const {
    if (is_empty(node)) return true;
    if (holds_comment(node, limit) || holds_block_scalar(node) || style == Style::rules) return false;
    const bool fits = used + utf8_length(flow(node)) <= kWidth;
    if (all_plain_values(node)) return fits || is_flow(node);
    if (style == Style::fit) return fits && !is_block_of_rules(node);
    return is_flow(node) && (fits || values_in(node) == 1);
  }

  // ------------------------------------------------------------ comments and lines

  bool blank_before(int line) const {
    return line > 1 && line <= lines_.count() && line > last_line_ && lines_.is_blank(line - 1);
  }
  void blank_line(int line) {
    if (!fresh_ && blank_before(line)) out_ += '\n';
    fresh_ = false;
    last_line_ = line;
  }
  void comment_line(const Comment& comment, size_t indent) {
    blank_line(comment.line);
    out_ += std::string(indent, ' ') + comment.text + '\n';
  }
  // All comments before an offset that nothing has taken yet.
  void leading(size_t offset, size_t indent) {
    for (; next_ < comments_.size() && comments_[next_].offset < offset; ++next_)
      comment_line(comments_[next_], indent);
  }
  // Comments at the end of a block, as long as they are indented like it.
  void trailing(size_t limit, int column, size_t indent) {
    for (; next_ < comments_.size() && comments_[next_].offset < limit && comments_[next_].own_line &&
           comments_[next_].column >= column;
         ++next_)
      comment_line(comments_[next_], indent);
  }
  // The comments of something that stands on one line: the last one behind it, the others before it.
  std::string own_comments(const YamlNode& node, size_t limit, size_t indent) {
    const size_t end = is_absent(node) ? 0 : offset_of(last_leaf(node));
    std::vector<Comment> taken;
    for (; next_ < comments_.size() && comments_[next_].offset < limit &&
           (!comments_[next_].own_line || comments_[next_].offset < end);
         ++next_)
      taken.push_back(comments_[next_]);
    if (taken.empty()) return "";
    const bool behind = !taken.back().own_line;
    for (size_t i = 0; i + (behind ? 1 : 0) < taken.size(); ++i) comment_line(taken[i], indent);
    return behind ? "   " + taken.back().text : "";
  }

  // ------------------------------------------------------------ nodes

  // `lead` begins the first line instead of the indentation: "- ".
  void entry(const YamlNode& key, const YamlNode& value, size_t indent, const std::string& lead, Style style,
             size_t limit) {
    const size_t above = lead.empty() ? indent : lead.find('-');
    const std::string begin = (lead.empty() ? std::string(indent, ' ') : lead) + scalar(key, false) + ":";
    if (style == Style::fit && key.text == "rules") style = Style::rules;  // of a 'within' block
    if (is_collection(value) && !stands_in_braces(value, utf8_length(begin) + 1, style, limit)) {
      std::string behind;
      if (next_ < comments_.size() && comments_[next_].offset < offset_of(value) && !comments_[next_].own_line)
        behind = "   " + comments_[next_++].text;
      if (lead.empty()) blank_line(key.line);
      out_ += begin + behind + '\n';
      fresh_ = true;
      block(value, indent + 2, "", style == Style::fit_below ? Style::fit : style, limit);
      // A list may stand as far left as its key: what follows it belongs to the next key.
      if (value.column > key.column && !is_flow(value)) trailing(limit, value.column, indent + 2);
      fresh_ = false;
      return;
    }
    one_line(begin, key.line, value, indent, above, lead.empty(), limit);
  }

  void one_line(const std::string& begin, int line, const YamlNode& value, size_t indent, size_t above,
                bool may_have_blank, size_t limit) {
    const std::string behind = own_comments(value, limit, above);
    if (may_have_blank) blank_line(line);
    if (is_absent(value))
      out_ += begin + behind + '\n';
    else if (value.block)
      block_scalar(begin, value, indent, behind);
    else if (is_collection(value) || value.kind == Kind::null)
      out_ += begin + " " + flow(value) + behind + '\n';
    else
      wrapped_scalar(begin, value, indent, behind);
  }

  void block(const YamlNode& node, size_t indent, const std::string& lead, Style style, size_t limit) {
    const size_t n = node.is_map() ? node.entries.size() : node.items.size();
    for (size_t i = 0; i < n; ++i) {
      size_t next = limit;
      for (size_t j = i + 1; j < n && next == limit; ++j)
        if (node.is_map() || !is_absent(node.items[j]))
          next = std::min(offset_of(node.is_map() ? node.entries[j].key : node.items[j]), limit);
      const bool first = i == 0 && !lead.empty();
      if (!first && (node.is_map() || !is_absent(node.items[i])))
        leading(offset_of(node.is_map() ? node.entries[i].key : node.items[i]), indent);
      if (node.is_map()) {
        entry(node.entries[i].key, node.entries[i].value, indent, first ? lead : "", style, next);
      } else {
        const YamlNode& value = node.items[i];
        if (!first && !is_absent(value)) blank_line(value.line);
        item(value, indent, first ? lead : std::string(indent, ' '), style, next);
      }
    }
  }

  void item(const YamlNode& value, size_t indent, const std::string& lead, Style style, size_t limit) {
    const std::string dash = lead + "- ";
    const Style own = style == Style::rules ? Style::fit : style;
    const bool is_rule = style == Style::rules && is_block_of_rules(value);
    if (is_collection(value) && (is_rule || !stands_in_braces(value, utf8_length(dash), own, limit))) {
      const int column = is_flow(value) ? 0 : value.column;
      block(value, indent + 2, dash, own, limit);
      if (column > 0) trailing(limit, column, indent + 2);
      return;
    }
    one_line(lead + "-", value.line, value, indent, std::min(lead.find('-'), lead.size()), false, limit);
  }

  // A text written over several lines that does not fit on one is folded.
  void wrapped_scalar(const std::string& begin, const YamlNode& value, size_t indent, const std::string& behind) {
    const std::string line = begin + " " + scalar(value, false);
    const auto end = end_of_scalar(text_, lines_, value);
    const bool several = end && lines_.line_of(*end - 1) > value.line;
    const bool folds = several && utf8_length(line) > kWidth && value.text.find_first_of("\n\t") == std::string::npos &&
                       value.text.find("  ") == std::string::npos && value.text.front() != ' ' &&
                       value.text.back() != ' ';
    if (!folds) {
      out_ += line + behind + '\n';
      return;
    }
    out_ += begin + " >-" + behind + '\n';
    std::string current;
    const auto flush = [&] {
      out_ += std::string(indent + 2, ' ') + current + '\n';
      current.clear();
    };
    for (size_t at = 0; at < value.text.size();) {
      const size_t space = std::min(value.text.find(' ', at), value.text.size());
      const std::string word = value.text.substr(at, space - at);
      if (!current.empty() && indent + 2 + utf8_length(current) + 1 + utf8_length(word) > kWidth) flush();
      current += (current.empty() ? "" : " ") + word;
      at = space + 1;
    }
    flush();
  }

  // | and > stay as they were, moved to where they stand now; those that say their own indentation or keep line ends
  // are quoted.
  void block_scalar(const std::string& begin, const YamlNode& value, size_t indent, const std::string& behind) {
    const std::string_view first = lines_.line(value.line).substr(static_cast<size_t>(value.column) - 1);
    const std::string sign(first.substr(0, std::min(first.find_first_of(" \t#"), first.size())));
    const auto end = end_of_scalar(text_, lines_, value);
    if (!end || sign.find_first_of("0123456789+") != std::string::npos ||
        value.text.find_first_not_of('\n') == std::string::npos) {
      out_ += begin + " " + scalar(value, false) + behind + '\n';
      return;
    }
    out_ += begin + " " + sign + behind + '\n';
    int last = lines_.line_of(*end - 1);
    while (last > value.line && lines_.is_blank(last)) --last;
    size_t indentation = std::string_view::npos;
    for (int line = value.line + 1; line <= last && indentation == std::string_view::npos; ++line)
      indentation = lines_.line(line).find_first_not_of(' ');
    for (int line = value.line + 1; line <= last; ++line) {
      const std::string_view content = lines_.line(line);
      const std::string_view rest = content.size() > indentation ? content.substr(indentation) : "";
      out_ += rest.empty() ? "\n" : std::string(indent + 2, ' ') + std::string(rest) + "\n";
    }
    last_line_ = last;
  }

  const std::string& text_;
  const Lines lines_;
  const YamlNode& root_;
  const std::vector<Comment> comments_;
  size_t next_ = 0;  // comment
  std::string out_;
  bool fresh_ = true;  // nothing stands above in this block
  int last_line_ = 0;  // of the text, of what was laid out last
};

// ------------------------------------------------------------ what is said

// Sections may change places.
bool same_file(const YamlNode& a, const YamlNode& b) {
  return a.entries.size() == b.entries.size() &&
         std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
           const YamlNode* other = b.find(entry.key.text);
           return other != nullptr && same_meaning(entry.value, *other);
         });
}

std::vector<std::string> texts_of(const std::vector<Comment>& comments) {
  std::vector<std::string> texts;
  for (const auto& comment : comments) texts.push_back(comment.text);
  std::sort(texts.begin(), texts.end());
  return texts;
}

// yaml-cpp gives no text for 'null' and '~', and a place that may be the next thing's for nothing at all.
void name_nulls(YamlNode& node, const std::string& text, const Lines& lines) {
  if (node.kind == Kind::null && node.line <= lines.count())
    for (const char* word : {"null", "Null", "NULL", "~"}) {
      const size_t at = lines.offset(node.line, node.column), after = at + std::string_view(word).size();
      if (text.compare(at, after - at, word) == 0 && (after >= text.size() || is_any_of(text[after], " \t\n,]}")))
        node.text = word;
    }
  for (auto& item : node.items) name_nulls(item, text, lines);
  for (auto& [key, value] : node.entries) name_nulls(value, text, lines);
}

// Line ends as \n; a byte order mark and lines' '\r' mean nothing.
std::string plain_lines(const std::string& text) {
  std::string result;
  for (size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 >= text.size() || text[i + 1] != '\n') result += text[i];
  return result;
}

struct CommentedTree {
  YamlNode root;
  std::vector<Comment> comments;

  // None if YAML reads the text as something else than it shows.
  static std::optional<CommentedTree> of(const std::string& file, const std::string& text) {
    Diagnostics unused;
    auto root = parse_yaml(SourceText(file, text), unused);
    if (!root) return std::nullopt;
    name_nulls(*root, text, Lines(text));
    auto comments = comments_of(text, *root);
    if (!comments) return std::nullopt;
    return CommentedTree{std::move(*root), std::move(*comments)};
  }
};

}  // namespace
}  // namespace lang

std::optional<std::string> format_rules(const std::string& file, const std::string& text, Diagnostics& diagnostics) {
  const auto said = lang::parse_yaml(lang::SourceText(file, text), diagnostics);
  if (!said) return std::nullopt;
  const auto refuse = [&](const std::string& message, const std::string& hint) {
    diagnostics.error("format-refused", lang::SourceText(file, text).place(1, 1), message, hint);
    return std::nullopt;
  };
  const bool ours = said->is_map() && (said->find("remap") != nullptr || said->find("remap_schema") != nullptr ||
                                       said->find("remap_model") != nullptr || said->find("remap_fields") != nullptr);
  if (!ours)
    return refuse(
        "this is neither a rule file nor a schema: it has no section 'remap', 'remap_schema' or 'remap_model'",
        "name other files");
  // A comment in an odd place may find its own only after a second time; what is given stays as it is from then on.
  std::string current = lang::plain_lines(text);
  auto tree = lang::CommentedTree::of(file, current);
  if (!tree)
    return refuse("this file cannot be laid out: YAML reads it as something else than it shows",
                  "write it as UTF-8, without tabs, with line ends as \\n");
  for (int round = 0; round < lang::kRounds; ++round) {
    std::string next = lang::Layout(current, tree->root, tree->comments).run();
    if (next == current) return next;
    auto after = lang::CommentedTree::of(file, next);
    if (!after || !lang::same_file(*said, after->root) ||
        lang::texts_of(tree->comments) != lang::texts_of(after->comments))
      break;
    current = std::move(next);
    tree = std::move(after);
  }
  return refuse("this file cannot be laid out without changing what it says", "please report it, with the file");
}

}  // namespace remap
