// What all pages have in common: the frame with its styles and script, escaping, trees of keys, tables.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/built_in.h"
#include "remap/metadata.h"

namespace remap::report {

// The files of engine/report/page: "page.css" and "page.js" have the name "page".
const std::vector<BuiltInFile>& page_styles();
const std::vector<BuiltInFile>& page_scripts();

// Text as it may stand in an element or in a quoted attribute. Control characters, bytes that are not UTF-8 and marks
// that turn the direction of text are written out.
std::string html_text(std::string_view text);

// The whole file. `data` is what the script reads; null: none.
std::string html_page(const std::string& title, const std::string& body, const Json& data = {});

// "<header>" with a headline, what is below it and facts: pairs of name and value.
std::string html_header(const std::string& headline, const std::string& below,
                        const std::vector<std::pair<std::string, std::string>>& facts);
// The field that filters what has the class "leaf", and buttons that open and close all.
std::string html_tools(const std::string& what, bool trees);
// A line that says how many tensors of a list are not shown, and which (", which …"); "" if all are.
std::string html_left_out(size_t n_tensors, std::string_view which = "");
// <details> of a JSON value, nested.
std::string html_json(const std::string& name, const Json& json, size_t depth = 0);

// A key cut at its separators, which stay at the end of what they close; none is cut inside {0..11}.
std::vector<std::string> key_parts(std::string_view key);

// Lines under their keys: nested lists in the order in which they are added. Branches that have a single branch below
// them are one with it.
class HtmlTree {
 public:
  // `leaf` is the rest of the list item behind the last part of the key, HTML; `classes` and `data` are its attributes.
  void add(const std::string& key, std::string leaf, std::string classes, std::string data, uint64_t count,
           uint64_t bytes);
  // Branches are open down to where there would be more than `max_open` lines.
  std::string html(const std::string& label, size_t max_open) const;

 private:
  struct Leaf {
    std::string name, html, classes, data;
    uint64_t count, bytes;
  };
  struct Branch {
    std::vector<std::pair<std::string, size_t>> order;  // a branch below (by name), or a leaf (name "")
    std::map<std::string, Branch> branches;
    std::vector<Leaf> leaves;
    uint64_t count = 0, bytes = 0;
  };
  static void write(const Branch& branch, bool open, std::string& out);
  static void write_branch(const std::string& name, const Branch& branch, bool open, std::string& out);
  static void write_leaf(const Leaf& leaf, std::string& out);

  Branch top_;
  size_t n_lines_ = 0;
};

// "12 tensors, 3.4 MB"
std::string counted_tensors(uint64_t count, uint64_t bytes);

}  // namespace remap::report
