// A Diagnostic is a value: what went wrong, where, and what to do about it.
//
// Two ways of reporting, visible in a function's signature:
//   - a function that takes `Diagnostics&` reports *all* mistakes it finds and does not throw for them;
//   - a reader that cannot go on throws `Error`, the one exception type, which holds one Diagnostic.
// The library never prints and never exits; `render()` in remap/report.h turns a Diagnostic into text or JSON.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace remap {

enum class Severity { error, warning, note };

// A text that many values share: a long line may have thousands of places.
class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}
  const std::string& str() const {
    static const std::string none;
    return text_ == nullptr ? none : *text_;
  }
  operator const std::string&() const { return str(); }
  bool empty() const { return str().empty(); }
  friend bool operator==(const SharedText& a, const SharedText& b) { return a.text_ == b.text_ || a.str() == b.str(); }

 private:
  std::shared_ptr<const std::string> text_;  // null: an empty one
};

// A range in a text file. Lines and columns count from 1; columns count UTF-8 bytes. `end_column` is one past the last.
// `source_line` is the text of the line, so that a caret can be drawn without opening the file again.
struct TextPlace {
  std::string file;
  int line = 0;
  int column = 0;
  int end_column = 0;
  SharedText source_line;
  bool operator==(const TextPlace&) const = default;
};

// A byte in a binary file, or in a member of an archive (`model.pt!archive/data.pkl@0x1a3`).
struct BytePlace {
  std::string file;
  std::string member;              // empty: the file itself
  std::optional<uint64_t> offset;  // absent: the file as a whole
  bool operator==(const BytePlace&) const = default;
};

using Place = std::variant<std::monostate, TextPlace, BytePlace>;

struct Diagnostic {
  Severity severity = Severity::error;
  std::string id;  // a row of diagnostic_table(), e.g. "pickle-truncated"
  Place place;
  std::string message;                  // what was found, what was expected
  std::vector<std::string> notes = {};  // further facts, one a line; may name other places
  std::string hint = {};                // what to do; may be empty
  bool operator==(const Diagnostic&) const = default;
};

class Error : public std::exception {
 public:
  explicit Error(Diagnostic diagnostic);
  // The usual case: an error of class `id` at `place`.
  Error(std::string id, Place place, std::string message, std::string hint = {});
  const Diagnostic& diagnostic() const { return diagnostic_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Diagnostic diagnostic_;
  std::string text_;  // "place: error[id]: message"
};

// A list of findings. `sort()` orders by place and removes repetitions, so that output does not depend on the order of
// checks.
class Diagnostics {
 public:
  void add(Diagnostic d) { items_.push_back(std::move(d)); }
  void error(std::string id, Place place, std::string message, std::string hint = {},
             std::vector<std::string> notes = {});
  void warning(std::string id, Place place, std::string message, std::string hint = {},
               std::vector<std::string> notes = {});
  bool has_errors() const;
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const std::vector<Diagnostic>& items() const { return items_; }
  void sort();

 private:
  std::vector<Diagnostic> items_;
};

// "model.pt!archive/data.pkl@0x1a3", "rules/family.yaml:41:5", or "" for no place.
std::string to_string(const Place& place);
std::string_view to_string(Severity severity);

// Every class of diagnostic the library can report is one row here; a test checks that no other id is used.
struct DiagnosticRow {
  std::string_view id;
  Severity severity;
  std::string_view purpose;  // one sentence
  bool follows = false;      // as a rule it follows from another finding, and is told after those that do not
};
const std::vector<DiagnosticRow>& diagnostic_table();  // sorted by id
bool follows_from_others(std::string_view id);

}  // namespace remap
