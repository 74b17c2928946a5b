// A YAML document as a tree with exact positions. Stricter than YAML where YAML surprises: one document, no anchors,
// aliases or merge keys, no tags, no duplicate keys. Scalars stay text; their type is decided by whoever reads them
// (yaml-cpp would make 8 of 010 and true of yes).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/metadata.h"

namespace remap::lang {

// The text of one rule or schema file; gives places in it, to several threads.
class SourceText {
 public:
  SourceText(std::string file, std::string text);
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }
  // Lines and columns from 1; `length` bytes from there are marked.
  TextPlace place(int line, int column, int length = 1) const;
  std::string_view line(int number) const;  // without its end; "" if there is no such line

 private:
  std::string file_, text_;
  std::vector<size_t> line_starts_;
  mutable std::mutex mutex_;
  mutable std::map<int, SharedText> shown_;  // the lines that places were given in
};

struct YamlNode {
  struct Entry;
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  std::string text;     // of a scalar
  bool quoted = false;  // of a scalar: 'x' or "x", always a string
  bool block = false;   // of a scalar: | or >; positions inside it are not known
  int line = 0, column = 0;
  std::vector<YamlNode> items;  // of a sequence
  std::vector<Entry> entries;   // of a map, in order

  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_map() const { return kind == Kind::map; }
  bool is_sequence() const { return kind == Kind::sequence; }
  const YamlNode* find(std::string_view key) const;
  std::string_view kind_name() const;  // "a list", "a mapping", "a single value", "nothing"
};
struct YamlNode::Entry {
  YamlNode key, value;  // keys are scalars
};

// Place of a node; of a scalar: `length` bytes from `offset` in its text (whole text if length is 0).
TextPlace place_of(const SourceText& source, const YamlNode& node, size_t offset = 0, size_t length = 0);

// Where the text of a scalar stands, for messages: all that an expression or a pattern keeps of its node.
struct TextSpan {
  std::shared_ptr<const SourceText> source;
  int line = 0, column = 0;  // of the scalar
  int text_column = 0;       // of its text, behind a quote; 0: escapes or folded lines move it, and nobody knows where
  size_t size = 0;           // bytes of its text
  size_t offset = 0;         // in its text: what is meant begins there
  // `length` bytes from `at` (all that is left if it is 0).
  TextPlace place(size_t at = 0, size_t length = 0) const;
  TextSpan from(size_t at) const;
};
TextSpan span_of(std::shared_ptr<const SourceText> source, const YamlNode& node, size_t offset = 0);

// nullopt if the text is not YAML or uses what is refused (then `diagnostics` says where).
std::optional<YamlNode> parse_yaml(const SourceText& source, Diagnostics& diagnostics);

// A node as plain data: unquoted true/false/null, integers and floats by JSON's spelling (and 1e-05, .5 is text); else
// text.
Json to_json(const YamlNode& node);

}  // namespace remap::lang
