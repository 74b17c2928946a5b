// What a file says of the checkpoints it is for: where keys lie, how they are spelt, and what expressions can see.
// A rule file is one with rules; a forward pass written as data is one with steps.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lang/expression.h"
#include "lang/pattern.h"

namespace remap::lang {

// A further file that holds no tensors; expressions see its contents by its name.
struct DocumentSpec {
  std::string name;
  std::string format;  // "json", "yaml" or "lines"
  std::string beside;  // taken from the checkpoint's folder if it is there and no other was given; "": never
  std::string doc;
};

struct SourceSpec {
  std::string name;                // "" for the first
  std::string format;              // "" : any
  std::vector<std::string> roots;  // the first that holds tensors is used; "" is the whole checkpoint
  char separator = '.';
  std::string doc;
  std::optional<KeyPattern> files =
      {};  // the names of the files that make up the checkpoint; its holes begin every key
};

struct Variant {
  std::string name;
  std::optional<Expression> detect, values;
  std::string doc;
  TextPlace place;
};

struct Normalise {
  KeyPattern from, to;
  TextPlace place;
};

struct KeySpace {
  std::shared_ptr<const SourceText> text;
  std::vector<SourceSpec> sources;  // never empty
  std::vector<DocumentSpec> documents;
  std::optional<Expression> recognise;
  Tables tables;
  std::vector<Variant> variants;
  std::vector<std::pair<std::string, Expression>> let;
  std::vector<Normalise> normalise;
};

}  // namespace remap::lang
