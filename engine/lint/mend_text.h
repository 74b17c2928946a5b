// Changes of a YAML file's text that are seen as changes of its tree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lang/comments.h"

namespace remap::linting {

// From the root: the how-manieth item, or entry's value, of each node in turn.
using NodePath = std::vector<size_t>;

// One of two: an entry of a map goes, or a scalar gets another text.
struct TreeChange {
  NodePath path;  // of the entry's value, or of the scalar
  std::optional<std::string> text;
};

const lang::YamlNode& node_at(const lang::YamlNode& root, const NodePath& path);

// The scalar that stands at the place, quoted or not. nullopt: none does, or it is the key of an entry.
std::optional<NodePath> scalar_at(const lang::SourceText& source, const lang::YamlNode& root, const TextPlace& place);

// The entry of the map at `path` whose key stands at the place.
std::optional<NodePath> entry_at(const lang::SourceText& source, const lang::YamlNode& root, const NodePath& path,
                                 const TextPlace& place);

lang::YamlNode changed(lang::YamlNode root, const TreeChange& change);

// The text after the change: as many lines as before, comments kept. nullopt where it cannot be written so: a scalar
// of several lines, a text whose comments are not known.
std::optional<std::string> changed_text(const std::string& text, const lang::YamlNode& root, const TreeChange& change);

}  // namespace remap::linting
