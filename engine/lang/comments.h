// The comments of a YAML text, which its tree does not have.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lang/yaml_tree.h"

namespace remap::lang {

struct Comment {
  size_t offset = 0;
  int line = 0, column = 0;
  bool own_line = false;  // nothing but '-' stands before it on its line; then the column is that of the first one
  std::string text;       // from '#' on, without blanks at its end
};

// Where each line of a text begins.
class Lines {
 public:
  explicit Lines(const std::string& text);
  size_t offset(int line, int column) const {
    return starts_[static_cast<size_t>(line) - 1] + static_cast<size_t>(column) - 1;
  }
  int line_of(size_t offset) const;
  int column_of(size_t offset) const {
    return static_cast<int>(offset - starts_[static_cast<size_t>(line_of(offset)) - 1]) + 1;
  }
  int count() const { return static_cast<int>(starts_.size()); }
  std::string_view line(int number) const;
  bool is_blank(int number) const { return line(number).find_first_not_of(" \t") == std::string_view::npos; }

 private:
  const std::string& text_;
  std::vector<size_t> starts_;
};

// Just past a scalar as written; nullopt if the text there is not the node's.
std::optional<size_t> end_of_scalar(const std::string& text, const Lines& lines, const YamlNode& node);

// In the order of the text. nullopt if a scalar of the tree is not where it should be: then nobody knows what a '#' is.
std::optional<std::vector<Comment>> comments_of(const std::string& text, const YamlNode& root);

}  // namespace remap::lang
