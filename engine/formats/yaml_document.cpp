#include "formats/yaml_document.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/json_members.h"
#include "base/yaml_bytes.h"
#include "formats/json_text.h"
#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

constexpr size_t kMaxYamlDepth = 64;
constexpr std::string_view kOwnTags = "tag:yaml.org,2002:";

std::optional<double> decimal(std::string_view text) {
  double number = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool digits = text.find_first_of("0123456789") != std::string_view::npos;
  return error == std::errc() && end == text.data() + text.size() && digits ? std::optional(number) : std::nullopt;
}

// 10, 1_000, 0x1F; and 010 is 8.
std::optional<int64_t> integer(std::string text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  std::erase(text, '_');
  const int base = text.starts_with("0x") ? 16 : text.size() > 1 && text[0] == '0' ? 8 : 10;
  const std::string_view digits = std::string_view(text).substr(base == 16 ? 2 : 0);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (digits.empty() || digits[0] == '-' || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return negative ? -number : number;
}

// A scalar without quotes.
Json plain_value(const std::string& text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (lower.empty() || lower == "~" || lower == "null") return nullptr;
  if (lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "no" || lower == "off") return false;
  if (const auto number = integer(text)) return *number;
  const bool is_number = text.find_first_not_of("+-.0123456789eE") == std::string::npos;
  if (const auto number = is_number ? decimal(text) : std::nullopt) return *number;
  return text;
}

class DocumentBuilder : public YAML::EventHandler {
 public:
  DocumentBuilder(const std::string& text, const std::string& file, uint64_t max_nodes)
      : text_(text), file_(file), max_nodes_(max_nodes) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchored_.find(anchor);
    if (known == anchored_.end()) fail(mark, "an alias stands inside of what it names");
    count(mark, known->second.second - 1);
    put(mark, known->second.first, known->second.second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!is_utf8(value)) fail(mark, "an escape \\N or \\_, of which yaml-cpp makes a byte that is not UTF-8");
    const bool is_own = tag.starts_with(kOwnTags) && tag.substr(kOwnTags.size()) != "str";
    add(mark, anchor, tag.empty() || tag == "?" || is_own ? plain_value(value) : Json(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::object());
  }
  void OnMapEnd() override { close(); }

  std::optional<Json> root;

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& message) const {
    const auto at = static_cast<uint64_t>(std::clamp<int64_t>(mark.pos, 0, static_cast<int64_t>(text_.size())));
    throw Error("document-syntax", text_place(file_, text_, at), "not YAML that remap reads: " + message);
  }

 private:
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    Json value;
    std::optional<std::string> key = {};
    std::unordered_set<std::string> names = {};  // of the members of a mapping
    std::vector<Json> merged = {};               // under '<<'
    uint64_t n_nodes = 1;
  };

  void count(const YAML::Mark& mark, uint64_t n) {
    n_nodes_ += n;
    if (n_nodes_ > max_nodes_)
      throw Error(
          "limit-exceeded", text_place(file_, text_, static_cast<uint64_t>(std::max(mark.pos, 0))),
          fmt::format("more than {} values, those of aliases counted each time (max_metadata_nodes)", max_nodes_));
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    if (stack_.size() >= kMaxYamlDepth) fail(mark, fmt::format("nested deeper than {} levels", kMaxYamlDepth));
    stack_.push_back({mark, anchor, std::move(value)});
    count(mark, 1);
  }
  void add(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    count(mark, 1);
    if (anchor != 0) anchored_[anchor] = {value, 1};
    put(mark, std::move(value), 1);
  }
  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    for (const Json& other : frame.merged)
      for (const auto& [name, value] : other.items())
        if (frame.names.insert(name).second) append_member(frame.value, name, value);
    if (frame.anchor != 0) anchored_[frame.anchor] = {frame.value, frame.n_nodes};
    put(frame.mark, std::move(frame.value), frame.n_nodes);
  }

  void put(const YAML::Mark& mark, Json value, uint64_t n_nodes) {
    if (stack_.empty()) {
      root = std::move(value);
      return;
    }
    Frame& top = stack_.back();
    top.n_nodes += n_nodes;
    if (top.value.is_array()) {
      top.value.push_back(std::move(value));
    } else if (!top.key) {
      if (value.is_structured()) fail(mark, "a key is a list or a mapping; it must be a string or a number");
      top.key = value.is_string() ? value.get<std::string>() : value.dump();
    } else {
      const std::string key = *std::exchange(top.key, std::nullopt);
      if (key == "<<") return merge(mark, top, value);
      if (!top.names.insert(key).second) fail(mark, fmt::format("'{}' is given twice in one mapping", key));
      append_member(top.value, key, std::move(value));
    }
  }
  void merge(const YAML::Mark& mark, Frame& into, const Json& value) {
    const std::vector<Json> list = value.is_array() ? value.get<std::vector<Json>>() : std::vector<Json>{value};
    for (const Json& one : list) {
      if (!one.is_object()) fail(mark, "'<<' adds the fields of a mapping, and this is none");
      into.merged.push_back(one);
    }
  }

  const std::string& text_;
  const std::string& file_;
  const uint64_t max_nodes_;
  uint64_t n_nodes_ = 0;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, std::pair<Json, uint64_t>> anchored_;
};

}  // namespace

Json parse_yaml_document(const std::string& text, const std::string& file, const Limits& limits) {
  if (!is_utf8(text)) throw Error("document-syntax", BytePlace{file, {}, {}}, "the file is not UTF-8 text");
  if (const size_t bad = find_control(text); bad < text.size())
    throw Error("document-syntax", BytePlace{file, {}, bad},
                fmt::format("the control character 0x{:02x}, which YAML does not allow", text[bad]));
  DocumentBuilder builder(text, file, limits.max_metadata_nodes);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder) || !builder.root) return Json::object();  // nothing but comments
    DocumentBuilder second(text, file, limits.max_metadata_nodes);
    if (parser.HandleNextDocument(second))
      throw Error("document-syntax", BytePlace{file, {}, {}}, "the file holds several YAML documents; one is read");
  } catch (const YAML::Exception& e) {
    // In words of our own: versions of yaml-cpp differ in theirs.
    const bool is_alias = e.msg.find("anchor is not defined") != std::string::npos;
    builder.fail(e.mark, is_alias ? "an alias (*name) names an anchor that is not defined" : e.msg);
  }
  return std::move(*builder.root);
}

}  // namespace remap::formats
