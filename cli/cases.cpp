#include "cli/cases.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "remap/document.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

void add_choices(const std::string& path, Options& options) {
  const remap::Json choices = remap::read_document(path, "json");
  if (!choices.is_object())
    throw remap::Error("usage", remap::BytePlace{path, {}, {}}, "not a JSON object",
                       R"({"NAME": "VALUE"} was expected)");
  for (const auto& [name, value] : choices.items()) {
    if (!value.is_string())
      throw remap::Error("usage", remap::BytePlace{path, {}, {}}, fmt::format("the choice '{}' is not a string", name),
                         R"({"NAME": "VALUE"} was expected)");
    options.set.push_back(name + "=" + value.get<std::string>());
  }
}

void add_sidecar(const std::string& what, const fs::path& path, PlanCase& to) {
  if (what == "set")
    add_choices(path.string(), to.options);
  else if (what == "config")
    to.options.config = path.string();
  else
    to.options.inputs.push_back(what + "=" + path.string());
}

}  // namespace

std::vector<PlanCase> committed_cases(const std::string& rule_file, const Options& options) {
  const fs::path folder = fs::path(rule_file).parent_path() / "tests" / fs::path(rule_file).stem();
  std::map<std::string, PlanCase> cases;
  std::map<fs::path, std::string> others;  // sidecars and plans: the case they belong to
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const fs::path path = entry.path();
    const std::string stem = path.stem().string(), extension = path.extension().string();
    const size_t plus = stem.find('+');
    if (extension == ".plan" || plus != std::string::npos) {
      others[path] = stem.substr(0, plus);
    } else if (extension == ".json" || extension == ".tsv") {
      PlanCase made{stem, {}, (folder / (stem + ".plan")).string()};
      made.options.rules = rule_file;
      made.options.limits = options.limits;
      made.options.inputs = {path.string()};
      if (!cases.emplace(stem, std::move(made)).second)
        throw remap::Error("usage", remap::BytePlace{path.string(), {}, {}}, "two manifests have this name");
    }
  }
  for (const auto& [path, name] : others) {
    const auto it = cases.find(name);
    if (it == cases.end())
      throw remap::Error("usage", remap::BytePlace{path.string(), {}, {}},
                         fmt::format("there is no manifest {}.json or {}.tsv beside it", name, name),
                         "remove the file, or add the manifest");
    if (path.extension() != ".plan") add_sidecar(path.stem().string().substr(name.size() + 1), path, it->second);
  }
  std::vector<PlanCase> sorted;
  for (auto& [name, made] : cases) sorted.push_back(std::move(made));
  return sorted;
}

bool expects_refusal(const PlanCase& one) {
  std::ifstream file(one.expected);
  std::string line;
  return std::getline(file, line) && line + "\n" == kNoPlan;
}

}  // namespace cli
