// The rules of the house, read off the sources themselves: which stage may include which, what they may be called, that
// the engine knows no model family, that every diagnostic is a row of the table, and that every source is listed.
#include "lang/functions.h"
#include "lang/rules.h"
#include "plan/config_layers.h"
#include "remap/diagnostic.h"
#include "remap/document.h"
#include "support/catch.h"
#include "tensor/source_formats.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <re2/re2.h>

namespace fs = std::filesystem;

namespace {

struct SourceText {
  std::string path;  // from the root of the repository: "engine/lang/rules.cpp"
  std::string text;
};

const fs::path kRoot = REMAP_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Every regular file below `folders`, sorted, whose extension is one of `extensions` (none given: all).
std::vector<SourceText> files_below(const std::vector<std::string>& folders, const std::set<std::string>& extensions) {
  std::vector<SourceText> files;
  for (const auto& folder : folders) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (!entry.is_regular_file()) continue;
      if (!extensions.empty() && !extensions.contains(entry.path().extension().string())) continue;
      files.push_back({fs::relative(entry.path(), kRoot).generic_string(), read(entry.path())});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

const std::vector<SourceText>& code() {
  static const auto files = files_below({"engine", "cli"}, {".h", ".cpp"});
  return files;
}

// "file:line: the matched text" for every match of `pattern`.
std::vector<std::string> matches(const std::vector<SourceText>& files, const RE2& pattern) {
  std::vector<std::string> found;
  for (const auto& file : files) {
    re2::StringPiece rest(file.text), match;
    while (pattern.Match(rest, 0, rest.size(), RE2::UNANCHORED, &match, 1) && !match.empty()) {
      const auto line = 1 + std::count(file.text.data(), match.data(), '\n');
      found.push_back(fmt::format("{}:{}: {}", file.path, line, std::string(match.data(), match.size())));
      rest.remove_prefix(static_cast<size_t>(match.data() + match.size() - rest.data()));
    }
  }
  return found;
}

// All texts that the first group of `pattern` matches, with the file where each occurs first.
std::map<std::string, std::string> captures(const std::vector<SourceText>& files, const RE2& pattern) {
  std::map<std::string, std::string> found;
  for (const auto& file : files) {
    re2::StringPiece rest(file.text);
    std::string text;
    while (RE2::FindAndConsume(&rest, pattern, &text)) found.try_emplace(text, file.path);
  }
  return found;
}

// "engine/lang/rules.cpp" -> "lang"; a public header -> "remap"; "cli/main.cpp" -> "cli".
std::string stage_of(const std::string& path) {
  if (path.starts_with("cli/")) return "cli";
  if (path.starts_with("engine/include/remap/")) return "remap";
  std::string stage;
  RE2::PartialMatch(path, "^engine/([a-z0-9_]+)/", &stage);
  return stage;
}

// What a stage may include beside itself and remap/*.h. A stage that is not a row here is a fault.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"remap", {}},
    {"base", {}},
    {"tensor", {"base"}},
    {"ops", {"base", "tensor"}},
    {"formats", {"base", "tensor"}},
    {"read", {"base", "tensor", "ops"}},
    {"lang", {"base", "tensor"}},
    {"layout", {"base", "tensor", "lang"}},
    {"plan", {"base", "tensor", "ops", "lang", "layout"}},
    {"lint", {"base", "tensor", "lang", "layout", "plan"}},
    {"exec", {"base", "tensor", "ops", "read", "plan"}},
    {"verify", {"base", "tensor", "ops", "lang", "layout", "read"}},  // nothing of what it checks
    {"infer", {"base", "tensor", "ops", "lang", "read", "plan", "exec"}},
    {"convert", {"base", "tensor", "plan", "exec", "verify"}},
    {"report", {"base"}},
    {"cli", {}},
};

const auto no_faults = std::vector<std::string>{};

// "name(const Plan&,size_t)" of every function that is declared or defined at the beginning of a line.
std::set<std::string> functions_in(const std::string& text) {
  static const RE2 function(
      R"re((?m)^(?:[A-Za-z_][\w:<>,&* \[\]]*)?[ &*>](\w+)\(((?:[^();]|\([^()]*\))*)\)[^;{}()]*[;{])re");
  std::set<std::string> found;
  re2::StringPiece rest(text);
  std::string name, parameters;
  while (RE2::FindAndConsume(&rest, function, &name, &parameters)) {
    std::string types;
    int depth = 0;
    for (const char c : parameters + ",") {
      depth += c == '<' || c == '(' ? 1 : c == '>' || c == ')' ? -1 : 0;
      types += c == ',' && depth == 0 ? ';' : c;
    }
    RE2::GlobalReplace(&types, R"re(\s*=[^;]*;)re", ";");
    RE2::GlobalReplace(&types, R"re(([ &*>])\w+\s*;)re", "\\1;");  // without the parameters' names
    RE2::GlobalReplace(&types, R"re(\s+|\b\w+::)re", "");
    found.insert(name + "(" + types + ")");
  }
  return found;
}

}  // namespace

TEST_CASE("includes go one way") {
  static const RE2 include(R"re((?m)^[ \t]*#[ \t]*include[ \t]*"([^"]+)")re");
  REQUIRE(code().size() > 20);
  std::vector<std::string> faults;
  for (const auto& file : code()) {
    const std::string stage = stage_of(file.path);
    const auto row = kMayInclude.find(stage);
    if (row == kMayInclude.end()) {
      faults.push_back(fmt::format("{}: the stage '{}' is not in the law", file.path, stage));
      continue;
    }
    for (const auto& [header, _] : captures({file}, include)) {
      const std::string from = header.substr(0, header.find('/'));
      const bool beside = fs::exists((kRoot / file.path).parent_path() / header);
      if (beside || from == stage || from == "remap" || row->second.contains(from)) continue;
      faults.push_back(fmt::format("{} includes {}", file.path, header));
    }
  }
  CHECK(faults == no_faults);
}

// Presets with CMAKE_UNITY_BUILD compile some sources of a stage as one: a function of an unnamed namespace would be
// called there instead of the one that the stage has, or stand there twice.
TEST_CASE("no function of an unnamed namespace has the name and parameters of another one of its stage") {
  static const RE2 unnamed(R"re((?ms)^namespace \{$(.*?)^\}  // namespace$)re");
  CHECK(functions_in("size_t a(const B& b, std::map<C, D> e = {}) {\nvoid f();\n  int no(int i);\n") ==
        std::set<std::string>{"a(constB&;map<C,D>;)", "f(;)"});
  // By stage, by function: where it is.
  std::map<std::string, std::map<std::string, std::string>> declared, unnamed_ones;
  std::vector<std::string> faults;
  for (const auto& file : code())
    if (file.path.ends_with(".h"))
      for (const auto& function : functions_in(file.text)) declared[stage_of(file.path)].emplace(function, file.path);
  for (const auto& file : code()) {
    if (!file.path.ends_with(".cpp")) continue;
    const std::string stage = stage_of(file.path);
    re2::StringPiece rest(file.text);
    std::string body;
    std::set<std::string> own;
    while (RE2::FindAndConsume(&rest, unnamed, &body)) own.merge(functions_in(body));
    for (const auto& function : own) {
      for (const auto& [name, others] : std::vector<std::pair<std::string, decltype(declared)*>>{
               {stage, &unnamed_ones}, {stage, &declared}, {"remap", &declared}, {"base", &declared}})
        if (const auto other = (*others)[name].find(function); other != (*others)[name].end())
          faults.push_back(fmt::format("{}: {} is in {}, too", file.path, function, other->second));
      unnamed_ones[stage].emplace(function, file.path);
    }
  }
  CHECK(faults == no_faults);
}

TEST_CASE("the engine and the command line name no model family") {
  // Spelt so that a search for the names does not find this file.
  static const RE2 family(
      "(?i)rober"
      "ta|xmo"
      "d|data2"
      "vec|fla"
      "va|switch_"
      "transformers");
  CHECK(matches(code(), family) == no_faults);
}

TEST_CASE("the engine opens files through open_descriptor(), which asks for more of them in time") {
  static const RE2 opens(R"re([^\w:]::(open|openat|creat)\()re");
  std::vector<SourceText> files = files_below({"engine"}, {".h", ".cpp"});
  std::erase_if(files, [](const auto& file) { return file.path == "engine/base/open_descriptor.cpp"; });
  CHECK(matches(files, opens) == no_faults);
}

TEST_CASE("messages, comments and pages are written in plain English") {
  // Where another language shows through, and what to write instead.
  struct Word {
    const char* pattern;  // its first group, if it matches anything, excuses the phrase
    const char* instead;
  };
  const Word words[] = {
      {R"(\b([Tt]here )?(?:is|are|was|were) no (?:longer|more|less|[a-z]+))", "'is not a …'"},
      {R"(\b()nothing is called ')", "'unknown name'"},
      {R"(\b()does not tell '\{\}')", "'cannot tell … from …'"},
      {R"(\b()(?:is|are) too much\b)", "'extra'"},
      {R"(\b()no text '\{\}')", "'no string'"},
  };
  auto files = files_below({"engine", "cli", "rules", "schemas", "docs"}, {".h", ".cpp", ".yaml", ".md", ".1"});
  files.push_back({"README.md", read(kRoot / "README.md")});
  std::vector<std::string> faults;
  for (const auto& word : words) {
    const RE2 pattern(fmt::format("({})", word.pattern));
    REQUIRE(pattern.ok());
    for (const auto& file : files) {
      re2::StringPiece rest(file.text);
      for (std::string found, excuse; RE2::FindAndConsume(&rest, pattern, &found, &excuse);) {
        if (!excuse.empty() || found.ends_with(" longer")) continue;
        faults.push_back(fmt::format("{}: '{}'; write {}", file.path, found, word.instead));
      }
    }
  }
  CHECK(faults == no_faults);
}

TEST_CASE("the program that docs/library.md shows is the one that the tests build") {
  const std::string page = read(kRoot / "docs/library.md"), program = read(kRoot / "tests/consumer/main.cpp");
  static const RE2 block("(?s)```cpp\n(.*?)```");
  re2::StringPiece rest(page);
  size_t n_blocks = 0;
  for (std::string code_block; RE2::FindAndConsume(&rest, block, &code_block); ++n_blocks)
    CHECK(program.find(code_block) != std::string::npos);
  CHECK(n_blocks > 0);
}

TEST_CASE("no source of the engine is over 500 lines, and no class over 300") {
  std::vector<std::string> faults;
  static const RE2 type(R"(^(?:class|struct) (\w+).*\{$)");
  for (const auto& file : code()) {
    if (!file.path.starts_with("engine/")) continue;
    int line = 0, began = 0;
    std::string name;
    std::istringstream lines(file.text);
    for (std::string text; std::getline(lines, text);) {
      ++line;
      if (RE2::FullMatch(text, type, &name)) began = line;
      if (text == "};" && began > 0) {
        if (line - began >= 300)
          faults.push_back(fmt::format("{}: {} has {} lines", file.path, name, line - began + 1));
        began = 0;
      }
    }
    if (line > 500) faults.push_back(fmt::format("{}: {} lines", file.path, line));
  }
  CHECK(faults == no_faults);
}

TEST_CASE("no rule file is over 150 lines") {
  std::vector<std::string> faults;
  for (const auto& file : files_below({"rules"}, {".yaml"}))
    if (const auto lines = std::count(file.text.begin(), file.text.end(), '\n'); lines > 150)
      faults.push_back(fmt::format("{}: {} lines", file.path, lines));
  CHECK(faults == no_faults);
}

TEST_CASE("no line of the sources is over 120 columns") {
  std::vector<std::string> faults;
  for (const auto& file : files_below({"engine", "cli", "tests"}, {".h", ".cpp"})) {
    size_t line = 0;
    for (size_t begin = 0; begin < file.text.size(); ++line) {
      const size_t end = std::min(file.text.find('\n', begin), file.text.size());
      // Characters, not bytes: those that continue one are not counted.
      const auto columns = std::count_if(file.text.begin() + static_cast<std::ptrdiff_t>(begin),
                                         file.text.begin() + static_cast<std::ptrdiff_t>(end),
                                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
      if (columns > 120) faults.push_back(fmt::format("{}:{}: {} columns", file.path, line + 1, columns));
      begin = end + 1;
    }
  }
  CHECK(faults == no_faults);
}

TEST_CASE("every diagnostic that is reported is a row of the table, and every row is reported somewhere") {
  std::set<std::string> rows, subjects;
  for (const auto& row : remap::diagnostic_table()) {
    rows.insert(std::string(row.id));
    subjects.insert(std::string(row.id.substr(0, row.id.find('-'))));
  }
  auto files = code();
  const std::set<std::string> tables = {"engine/base/diagnostic_table.cpp", "engine/report/way_on.cpp"};
  std::erase_if(files, [&](const auto& file) { return tables.contains(file.path); });
  for (const auto& [id, _] :
       captures({{"way_on.cpp", read(kRoot / "engine/report/way_on.cpp")}}, RE2(R"re(\{"([a-z0-9-]+)",)re")))
    CHECK(rows.contains(id));

  // An id is what an error is given on the spot, or a word that looks like one and is handed to a function that reports
  // later.
  static const RE2 reported(R"re((?:\bError|[.>]error|[.>]warning)\s*\(\s*"([^"]*)")re");
  static const RE2 built(R"re(\bSeverity::[a-z]+,\s*"([^"]*)")re");
  static const RE2 word(R"re("([a-z0-9]+(?:-[a-z0-9]+)*)")re");
  const auto words = captures(files, word);
  auto ids = captures(files, reported);
  ids.merge(captures(files, built));
  for (const auto& [text, path] : words)
    if (text.find('-') != std::string::npos && subjects.contains(text.substr(0, text.find('-'))))
      ids.try_emplace(text, path);
  std::vector<std::string> faults;
  for (const auto& [id, path] : ids)
    if (!rows.contains(id)) faults.push_back(fmt::format("{}: '{}' is not a row of diagnostic_table()", path, id));
  for (const auto& id : rows)
    if (!words.contains(id)) faults.push_back(fmt::format("nothing reports '{}'", id));
  CHECK(faults == no_faults);
}

TEST_CASE("no file names a path of a developer's machine") {
  static const RE2 path(
      "(?m)(?:^|[^A-Za-z0-9_.])/(?:wo"
      "rk|ro"
      "ot|ho"
      "me)/[A-Za-z]");
  auto files = files_below({"engine", "cli", "rules", "schemas", "tests", "docs", ".ci"}, {});
  for (const char* name : {"CMakeLists.txt", "CMakePresets.json", "Makefile", "README.md"})
    if (fs::exists(kRoot / name)) files.push_back({name, read(kRoot / name)});
  // Text only: what a pickle or a compressed chunk looks like says nothing.
  std::erase_if(files, [](const auto& file) { return file.text.find('\0') != std::string::npos; });
  REQUIRE(files.size() > 40);
  CHECK(matches(files, path) == no_faults);
}

TEST_CASE("a file that names its interpreter can be run as the documentation runs it") {
  std::vector<std::string> faults;
  for (const auto& file : files_below({"tests", "docs", ".ci", ".github"}, {}))
    if (file.text.starts_with("#!") &&
        (fs::status(kRoot / file.path).permissions() & fs::perms::owner_exec) == fs::perms::none)
      faults.push_back(file.path);
  CHECK(faults == no_faults);
}

TEST_CASE(
    "every format that a reader says is a row of the table of source formats, or the list that stands in for one") {
  static const RE2 format(R"re((?:format\(\) const override \{ return |format_ = |source_of\()"([a-z0-9]+)")re");
  std::set<std::string> said;
  for (const auto& [name, path] : captures(files_below({"engine/formats"}, {".cpp", ".h"}), format)) said.insert(name);
  CHECK(said.erase("manifest") == 1);
  const auto names = remap::source_format_names();
  CHECK(said == std::set<std::string>(names.begin(), names.end()));
}

// What editors complete and show is what the parser takes: the same fields, with the same words.
TEST_CASE("the editors' schema of rule files is the engine's table of fields, and every rule file names it") {
  const remap::Json schema = remap::read_document((kRoot / "schemas/rules.schema.json").string(), "json");
  const auto faults_of = [](const std::string& what, remap::Json properties,
                            const std::vector<remap::lang::FieldRow>& rows) {
    std::vector<std::string> faults;
    for (const auto& row : rows) {
      const std::string name(row.name);
      if (!properties.contains(name))
        faults.push_back(fmt::format("{}: '{}' is missing", what, name));
      else if (properties[name].value("description", "") != row.purpose)
        faults.push_back(fmt::format("{}: '{}' is described in other words", what, name));
      properties.erase(name);
    }
    for (const auto& [name, _] : properties.items())
      faults.push_back(fmt::format("{}: '{}' is not a field", what, name));
    return faults;
  };
  remap::Json rule = schema["$defs"]["rule"]["properties"];
  CHECK(rule.contains("rules"));  // of a 'within' block, not of a rule
  rule.erase("rules");
  CHECK(faults_of("rule", rule, remap::lang::rule_field_table()) == no_faults);
  CHECK(faults_of("file", schema["properties"], remap::lang::file_field_table()) == no_faults);
  for (const auto& file : files_below({"rules"}, {".yaml"})) {
    CAPTURE(file.path);
    CHECK(file.text.starts_with("# yaml-language-server: $schema=../schemas/rules.schema.json\n"));
  }
}

// So that a field is not called unknown which the real class writes.
TEST_CASE("the target schemas know every field of the config.json files in tests/data") {
  std::map<std::string, remap::lang::Schema> schemas;
  for (const auto& file : files_below({"schemas"}, {".yaml"})) {
    remap::Diagnostics diagnostics;
    if (file.text.find("remap_schema: 1") == std::string::npos) continue;
    const auto schema =
        remap::lang::parse_schema(std::make_shared<remap::lang::SourceText>(file.path, file.text), diagnostics);
    CAPTURE(file.path);
    REQUIRE(schema);
    CHECK_FALSE(schema->fields.empty());
    schemas.emplace(schema->model_type, *schema);
  }
  size_t n_configs = 0;
  std::vector<std::string> faults;
  for (const auto& file : files_below({"tests/data"}, {".json"})) {
    if (fs::path(file.path).filename() != "config.json" || file.path.find("/expected") == std::string::npos) continue;
    const remap::Json config = remap::read_document((kRoot / file.path).string(), "json");
    const auto schema = schemas.find(config.value("model_type", ""));
    if (schema == schemas.end()) continue;
    ++n_configs;
    for (const auto& unknown : remap::plan::unknown_fields(config, schema->second))
      faults.push_back(fmt::format("{}: {}", file.path, unknown.path));
  }
  CHECK(n_configs > 10);
  CHECK(faults == no_faults);
}

// The functions of the language are in its documentation.
TEST_CASE("docs/rule-language.md names every function, every field and every choice") {
  const std::string docs = read(kRoot / "docs/rule-language.md");
  std::vector<std::string> faults;
  for (const auto& row : remap::lang::function_table())
    if (!RE2::PartialMatch(docs, "`" + RE2::QuoteMeta(std::string(row.name)) + "[`(]"))
      faults.push_back(std::string(row.name));
  for (const auto* table : {&remap::lang::rule_field_table(), &remap::lang::file_field_table()})
    for (const auto& row : *table)
      if (!RE2::PartialMatch(docs, "\\b" + RE2::QuoteMeta(std::string(row.name)) + "\\b"))
        faults.push_back(std::string(row.name));
  for (const auto& row : remap::lang::choice_table())
    if (docs.find(fmt::format("\n| `{}` |", row.name)) == std::string::npos) faults.push_back(std::string(row.name));
  CHECK(faults == no_faults);
}

TEST_CASE("docs/lint.md names everything that lint can say") {
  const std::string docs = read(kRoot / "docs/lint.md");
  std::vector<std::string> faults;
  for (const auto& row : remap::diagnostic_table())
    if (row.id.starts_with("lint-") && docs.find("`" + std::string(row.id) + "`") == std::string::npos)
      faults.push_back(std::string(row.id));
  CHECK(faults == no_faults);
}

TEST_CASE("docs/coverage.md counts its lines rightly, and names rule files that there are") {
  static const RE2 total(R"(\| ([a-z ]+) \| (\d+) \| [^|]+ \|)");
  static const RE2 script(R"(\| [a-z0-9_]+/[a-z0-9_/]*convert_[a-z0-9_]+ \| ([a-z ]+) \| ([a-z0-9-]*).* \|)");
  std::map<std::string, int> counted, said;
  std::istringstream lines(read(kRoot / "docs/coverage.md"));
  std::string verdict, what;
  int scripts = 0, number = 0;
  for (std::string line; std::getline(lines, line);) {
    if (RE2::FullMatch(line, total, &verdict, &number)) said[verdict] = number;
    if (!RE2::FullMatch(line, script, &verdict, &what)) continue;
    ++counted[verdict], ++scripts;
    CAPTURE(line);
    if (verdict == "ships") CHECK(fs::exists(kRoot / "rules" / (what + ".yaml")));
  }
  CHECK(scripts == 202);
  CHECK(counted == said);
}

TEST_CASE("every source, public header and test is listed for the build") {
  std::vector<std::string> faults;
  const auto listed = [](const std::string& list, const std::string& name) {
    return RE2::PartialMatch(list, "(?:^|[\\s(/])" + RE2::QuoteMeta(name) + "(?:$|[\\s)])");
  };
  for (const auto& file : code()) {
    const fs::path path = kRoot / file.path;
    const bool is_public = stage_of(file.path) == "remap";
    if (path.extension() != ".cpp" && !is_public) continue;
    const fs::path list = is_public ? kRoot / "engine/CMakeLists.txt" : path.parent_path() / "CMakeLists.txt";
    if (!listed(read(list), path.filename().string())) faults.push_back(file.path);
  }
  const std::string tests = read(kRoot / "tests/CMakeLists.txt");
  for (const auto& file : files_below({"tests/unit"}, {".cpp"})) {
    std::string name;
    RE2::FullMatch(file.path, "tests/unit/(.+)_test\\.cpp", &name);
    if (!RE2::PartialMatch(tests, "remap_test(?:_program)?\\(" + RE2::QuoteMeta(name) + "[\\s)]"))
      faults.push_back(file.path);
  }
  CHECK(faults == no_faults);
}
