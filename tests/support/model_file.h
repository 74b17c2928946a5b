// The forward passes that ship (schemas/NAME.model.yaml).
#pragma once

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "support/catch.h"
#include "verify/model_file.h"

namespace remap::test {

inline forward::ModelFile shipped_model(const std::string& name) {
  const std::string path = REMAP_SOURCE_DIR "/schemas/" + name + ".model.yaml";
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Diagnostics diagnostics;
  auto parsed = forward::parse_model_file(std::make_shared<lang::SourceText>(path, text), diagnostics);
  for (const auto& d : diagnostics.items()) UNSCOPED_INFO(d.message);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace remap::test
