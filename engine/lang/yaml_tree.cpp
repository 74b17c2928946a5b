#include "lang/yaml_tree.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/json_members.h"
#include "base/text.h"
#include "base/yaml_bytes.h"

namespace remap::lang {

SourceText::SourceText(std::string file, std::string text) : file_(std::move(file)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i)
    if (text_[i] == '\n') line_starts_.push_back(i + 1);
}

TextPlace SourceText::place(int line, int column, int length) const {
  constexpr size_t kMaxLine = 10'000;  // a longer one is not shown
  const std::string_view text = this->line(line);
  const std::lock_guard lock(mutex_);
  SharedText& shown = shown_[line];
  if (shown.empty() && text.size() <= kMaxLine) shown = std::string(text);
  return {file_, line, column, column + std::max(length, 1), shown};
}

std::string_view SourceText::line(int number) const {
  if (number < 1 || static_cast<size_t>(number) > line_starts_.size()) return {};
  const auto index = static_cast<size_t>(number);
  const size_t start = line_starts_[index - 1];
  const size_t end = index < line_starts_.size() ? line_starts_[index] - 1 : text_.size();
  std::string_view line = std::string_view(text_).substr(start, end - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name.text == key) return &value;
  return nullptr;
}

std::string_view YamlNode::kind_name() const {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::scalar: return "a single value";
    case Kind::sequence: return "a list";
    case Kind::map: return "a mapping";
  }
  return "nothing";
}

namespace {

// Where the text of a scalar begins in its line; 0 if it is not there as it is.
int text_column_of(const SourceText& source, const YamlNode& node) {
  if (!node.is_scalar() || node.block) return 0;
  const int column = node.column + (node.quoted ? 1 : 0);
  const std::string_view line = source.line(node.line);
  const auto at = static_cast<size_t>(column - 1);
  return at <= line.size() && line.substr(at).starts_with(node.text) ? column : 0;
}

TextPlace place_in(const SourceText& source, const TextSpan& span, size_t at, size_t length) {
  if (span.text_column == 0) return source.place(span.line, span.column);
  if (length == 0) length = span.size - std::min(at, span.size);
  return source.place(span.line, span.text_column + static_cast<int>(at), static_cast<int>(length));
}

}  // namespace

TextPlace place_of(const SourceText& source, const YamlNode& node, size_t offset, size_t length) {
  const TextSpan span{nullptr, node.line, node.column, text_column_of(source, node), node.text.size(), 0};
  return place_in(source, span, offset, length);
}

TextPlace TextSpan::place(size_t at, size_t length) const { return place_in(*source, *this, offset + at, length); }

TextSpan TextSpan::from(size_t at) const {
  TextSpan rest = *this;
  rest.offset += at;
  return rest;
}

TextSpan span_of(std::shared_ptr<const SourceText> source, const YamlNode& node, size_t offset) {
  const int text_column = text_column_of(*source, node);
  return {std::move(source), node.line, node.column, text_column, node.text.size(), offset};
}

namespace {

constexpr int kMaxDepth = 64;

// Builds the tree from yaml-cpp's events: its own tree loses key order, positions of keys, and duplicate keys.
class Builder : public YAML::EventHandler {
 public:
  Builder(const SourceText& source, Diagnostics& diagnostics) : source_(source), diagnostics_(diagnostics) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(make(YamlNode::Kind::null, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    diagnostics_.error("yaml-unsupported", here(mark), "an alias (*name): rule files repeat what they mean",
                       "write the value out");
    add(make(YamlNode::Kind::null, mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_bytes(mark, value);
    YamlNode node = make(YamlNode::Kind::scalar, mark);
    node.text = value;
    const std::string_view line = source_.line(mark.line + 1);
    const auto column = static_cast<size_t>(std::max(mark.column, 0));
    const char first = column < line.size() ? line[column] : ' ';
    node.quoted = tag == "!" && (first == '"' || first == '\'');
    node.block = tag == "!" && !node.quoted;
    if (tag != "!" && tag != "?") refuse_tag(mark, tag);
    if (!node.quoted && !node.block && (value == "~" || value == "null")) node.kind = YamlNode::Kind::null;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  YamlNode root;
  bool has_root = false;

 private:
  struct Frame {
    YamlNode node;
    std::optional<YamlNode> key;                                     // of a map: a key that waits for its value
    std::unordered_map<std::string, std::pair<int, int>> keys = {};  // of a map: line and column
  };

  TextPlace here(const YAML::Mark& mark) const { return source_.place(mark.line + 1, mark.column + 1); }
  static YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark) {
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0)
      diagnostics_.error("yaml-unsupported", here(mark), "an anchor (&name): rule files repeat what they mean",
                         "write the value out");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      diagnostics_.error("yaml-unsupported", here(mark), fmt::format("the tag '{}': tags have no meaning here", tag),
                         "leave it out");
  }
  // yaml-cpp makes of two escapes a byte that is not UTF-8.
  void refuse_bytes(const YAML::Mark& mark, const std::string& value) {
    if (!is_utf8(value))
      diagnostics_.error("yaml-unsupported", here(mark), "an escape \\N or \\_, which readers of YAML take differently",
                         "write \\u0085 or \\u00a0 for the character itself");
  }
  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (stack_.size() >= kMaxDepth) throw YAML::ParserException(mark, "nested too deeply");
    stack_.push_back({make(kind, mark), std::nullopt});
  }
  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }
  void add(YamlNode node) {
    if (stack_.empty()) {
      root = std::move(node);
      has_root = true;
      return;
    }
    Frame& top = stack_.back();
    if (top.node.is_sequence()) {
      top.node.items.push_back(std::move(node));
    } else if (!top.key) {
      check_key(top, node);
      top.key = std::move(node);
    } else {
      top.node.entries.push_back({std::move(*top.key), std::move(node)});
      top.key.reset();
    }
  }
  void check_key(Frame& map, const YamlNode& key) {
    if (!key.is_scalar()) {
      diagnostics_.error("yaml-unsupported", source_.place(key.line, key.column),
                         fmt::format("a key must be a string; this is {}", key.kind_name()));
      return;
    }
    if (key.text == "<<" && !key.quoted)
      diagnostics_.error("yaml-unsupported", place_of(source_, key),
                         "a merge key (<<): rule files repeat what they mean", "write the fields out");
    const int text_column = text_column_of(source_, key);
    const auto [first, is_first] =
        map.keys.emplace(key.text, std::pair(key.line, text_column == 0 ? key.column : text_column));
    if (is_first) return;
    const auto [line, column] = first->second;
    diagnostics_.error("yaml-duplicate-key", place_of(source_, key),
                       fmt::format("'{}' is given twice in one mapping", key.text), "keep one of them",
                       {fmt::format("{}: the first one", to_string(Place(source_.place(line, column))))});
  }

  const SourceText& source_;
  Diagnostics& diagnostics_;
  std::vector<Frame> stack_;
};

// The '{' or '[' that is still open at the end of `text`, where one begins a value; npos if there is none.
size_t open_bracket(std::string_view text) {
  std::vector<size_t> open;
  char before = '\n';  // what the value begins after
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool begins = std::string_view("\n:-,[{").find(before) != std::string_view::npos;
    if (begins && (c == '"' || c == '\'')) {
      i = text.find(c, i + 1);
      if (i == std::string_view::npos) break;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\n')) {
      i = text.find('\n', i);
      if (i == std::string_view::npos) break;
    } else if (begins && (c == '{' || c == '[')) {
      open.push_back(i);
    } else if ((c == '}' || c == ']') && !open.empty()) {
      open.pop_back();
    }
    if (c != ' ') before = c;
  }
  return open.empty() ? std::string_view::npos : open.back();
}

std::string word_at(const SourceText& source, const TextPlace& place) {
  const std::string_view line = source.line(place.line);
  const size_t start = std::min(line.size(), static_cast<size_t>(std::max(place.column - 1, 0)));
  return std::string(line.substr(start, std::min(line.find_first_of(" \t,]}", start), line.size()) - start));
}

// What yaml-cpp says is about where it stopped; the mistake is often elsewhere.
void report_syntax(const SourceText& source, const YAML::Exception& e, Diagnostics& diagnostics) {
  const TextPlace stopped = source.place(e.mark.line + 1, e.mark.column + 1);
  const std::string_view stopped_line = source.line(stopped.line);
  const size_t indentation = stopped_line.find_first_not_of(" \t");
  if (const size_t tab = stopped_line.find('\t'); tab < indentation)
    return diagnostics.error("yaml-syntax", source.place(stopped.line, static_cast<int>(tab) + 1),
                             "a tab: YAML is indented by spaces", "write two spaces for each level");
  const auto says = [&](const char* text) { return e.msg.find(text) != std::string::npos; };
  const bool unclosed = says("flow not found") || says("illegal block entry") || says("unknown token");
  const std::string_view before =
      std::string_view(source.text()).substr(0, static_cast<size_t>(std::max(e.mark.pos, 0)));
  const size_t at = unclosed ? open_bracket(before) : std::string_view::npos;
  // In words of our own: versions of yaml-cpp differ in theirs.
  const std::string alias = says("referenced anchor is not defined") ? word_at(source, stopped) : "";
  const std::string message =
      alias.empty() ? e.msg : fmt::format("'{}' refers to an anchor that is not defined", alias);
  if (at == std::string_view::npos)
    return diagnostics.error(
        "yaml-syntax", stopped, fmt::format("not YAML: {}", message),
        "a string that begins with '*', '{' or '&', or that holds ', ' or '}' inside braces, has to be quoted");
  const auto line =
      static_cast<int>(std::count(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
  const size_t line_start = at == 0 ? 0 : before.rfind('\n', at) + 1;
  if (line == stopped.line)
    return diagnostics.error(
        "yaml-syntax", stopped,
        fmt::format("not YAML: this does not belong inside the '{}' of column {}", before[at], at - line_start + 1),
        "quote strings that hold '[', ']', '{', '}', '?' or a comma");
  diagnostics.error("yaml-syntax", source.place(line, static_cast<int>(at - line_start) + 1),
                    fmt::format("'{}' is not closed before line {}", before[at], stopped.line),
                    fmt::format("add the '{}', or quote a string that holds one", before[at] == '{' ? '}' : ']'));
}

TextPlace place_at(const SourceText& source, size_t offset) {
  const std::string_view before = std::string_view(source.text()).substr(0, offset);
  const auto line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
  return source.place(line, static_cast<int>(offset - (before.rfind('\n') + 1)) + 1);
}

// False if there are bytes that are not text; says so.
bool check_bytes(const SourceText& source, Diagnostics& diagnostics) {
  const std::string& text = source.text();
  if (const size_t bad = utf8_end(text); bad < text.size()) {
    diagnostics.error("yaml-syntax", place_at(source, bad),
                      fmt::format("the byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text[bad])),
                      "save the file as UTF-8");
    return false;
  }
  if (const size_t bad = find_control(text); bad < text.size()) {
    if (text[bad] == '\r')
      diagnostics.error("yaml-syntax", place_at(source, bad), "a carriage return that does not end a line",
                        "save the file with \\n or \\r\\n at the end of each line");
    else
      diagnostics.error("yaml-syntax", place_at(source, bad),
                        fmt::format("the control character 0x{:02x}, which YAML does not allow", text[bad]),
                        fmt::format("remove it, or write \\x{:02x} between double quotes", text[bad]));
    return false;
  }
  return true;
}

}  // namespace

std::optional<YamlNode> parse_yaml(const SourceText& source, Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.size();
  if (!check_bytes(source, diagnostics)) return std::nullopt;
  Builder builder(source, diagnostics);
  try {
    std::istringstream stream(source.text());
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder) || !builder.has_root) {
      diagnostics.error("yaml-syntax", source.place(1, 1), "the file is empty");
      return std::nullopt;
    }
    Diagnostics ignored;
    Builder second(source, ignored);
    if (parser.HandleNextDocument(second)) {
      diagnostics.error("yaml-unsupported", source.place(second.root.line, second.root.column),
                        "a second document begins here; one file holds one document");
      return std::nullopt;
    }
  } catch (const YAML::Exception& e) {
    report_syntax(source, e, diagnostics);
    return std::nullopt;
  }
  if (diagnostics.size() != errors_before) return std::nullopt;
  return std::move(builder.root);
}

namespace {

Json scalar_to_json(const YamlNode& node) {
  const std::string& t = node.text;
  if (node.quoted || node.block) return t;
  if (t == "true") return true;
  if (t == "false") return false;
  if (t.empty()) return t;
  const char* end = t.data() + t.size();
  const bool numeric_start =
      (t[0] >= '0' && t[0] <= '9') || (t[0] == '-' && t.size() > 1 && t[1] >= '0' && t[1] <= '9');
  if (numeric_start) {
    int64_t integer = 0;
    const auto [p, e] = std::from_chars(t.data(), end, integer);
    const size_t digits = t[0] == '-' ? 1 : 0;
    if (e == std::errc() && p == end && (t[digits] != '0' || t.size() == digits + 1)) return integer;
    double number = 0;
    const auto [q, e2] = std::from_chars(t.data(), end, number);
    if (e2 == std::errc() && q == end && t.find_first_of(".eE") != std::string::npos) return number;
  }
  return t;
}

}  // namespace

Json to_json(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null: return nullptr;
    case YamlNode::Kind::scalar: return scalar_to_json(node);
    case YamlNode::Kind::sequence: {
      Json list = Json::array();
      for (const auto& item : node.items) list.push_back(to_json(item));
      return list;
    }
    case YamlNode::Kind::map: {
      Json object = Json::object();
      JsonMembers members(object);
      for (const auto& [key, value] : node.entries) members.set(key.text, to_json(value));
      return object;
    }
  }
  return nullptr;
}

}  // namespace remap::lang
