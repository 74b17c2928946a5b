// Runs the files of tests/cases: each holds input files, commands, and what the commands print and return. See
// tests/cases/README.md. REMAP_UPDATE=1 writes what was printed into the files; read the difference before you commit
// it.
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "support/catch.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;

namespace {

struct Section {
  enum class Kind { comment, file, run } kind = Kind::comment;
  std::string title;     // file name, or command
  std::string body;      // of a file or comment
  std::string out, err;  // of a run
  int exit_code = 0;
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<Section> parse(const std::string& text) {
  std::vector<Section> sections(1);
  std::string* into = &sections[0].body;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("=== run: ")) {
      sections.push_back({Section::Kind::run, line.substr(9), {}, {}, {}, 0});
      into = &sections.back().body;
    } else if (line.starts_with("=== ")) {
      sections.push_back({Section::Kind::file, line.substr(4), {}, {}, {}, 0});
      into = &sections.back().body;
    } else if (line == "--- stdout") {
      into = &sections.back().out;
    } else if (line == "--- stderr") {
      into = &sections.back().err;
    } else if (line.starts_with("--- exit ")) {
      sections.back().exit_code = std::stoi(line.substr(9));
      into = &sections.back().body;
    } else {
      *into += line + "\n";
    }
  }
  return sections;
}

std::string print(const std::vector<Section>& sections) {
  std::string text;
  for (const auto& s : sections) {
    if (s.kind == Section::Kind::file) text += "=== " + s.title + "\n";
    if (s.kind != Section::Kind::run) {
      text += s.body;
      continue;
    }
    text += "=== run: " + s.title + "\n";
    if (!s.out.empty()) text += "--- stdout\n" + s.out;
    if (!s.err.empty()) text += "--- stderr\n" + s.err;
    text += "--- exit " + std::to_string(s.exit_code) + "\n" + s.body;
  }
  return text;
}

// The program that was built with this one, or that of the folder that the variable names: another build of it, the
// static one.
std::string program_folder() {
  const char* other = std::getenv("REMAP_PROGRAM_DIR");
  return other != nullptr ? other : REMAP_PROGRAM_DIR;
}

// A difference that rounding leaves: "3.15e-05", "0.000105".
std::optional<double> rounding(const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  const bool is_one = *end == '\0' && value > 0 && value < 1e-3;
  return is_one ? std::optional(value) : std::nullopt;
}

// What verify measures depends on the vector units of the processor, which round otherwise: such a difference is as
// wanted if it is of the same order. Spaces count where no such word differs.
bool differs_by_rounding(const std::string& got, const std::string& wanted) {
  std::istringstream got_words(got), wanted_words(wanted);
  bool rounded = false;
  for (std::string a, b; wanted_words >> b;) {
    if (!(got_words >> a)) return false;
    if (a == b) continue;
    const auto x = rounding(a), y = rounding(b);
    if (!(x && y && *x < 10 * *y && *y < 10 * *x)) return false;
    rounded = true;
  }
  std::string more;
  return rounded && !(got_words >> more);
}

// `got`, with what is wanted where nothing but rounding differs: in the rows of verify's table and what it says of all.
std::string without_rounding(const std::string& got, const std::string& wanted) {
  std::istringstream got_lines(got), wanted_lines(wanted);
  std::string text, b;
  for (std::string a; std::getline(got_lines, a);) {
    const bool measured = a.find("  [") != std::string::npos || a.starts_with("max_absolute_diff = ");
    text += (std::getline(wanted_lines, b) && measured && differs_by_rounding(a, b) ? b : a) + "\n";
  }
  return text;
}

// What would change what the cases see.
constexpr const char* kUnset = "REMAP_RULES_DIR GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE PYTHONPYCACHEPREFIX";

Section run(const Section& wanted, const fs::path& folder,
            const std::string& environment = "PATH='" + program_folder() + "':\"$PATH\"") {
  Section got = wanted;
  std::ofstream(folder / ".command") << wanted.title << "\n";  // a file, so that the command may hold quotes
  ::signal(SIGPIPE, SIG_DFL);  // whoever began the tests may ignore it, and a shell cannot take that back
  const std::string command =
      "cd '" + folder.string() + "' && unset " + kUnset + " && " + environment +
      " LC_ALL=C TERM=dumb GIT_CONFIG_GLOBAL=/dev/null sh .command >.stdout 2>.stderr </dev/null";
  const int status = std::system(command.c_str());
  got.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  const auto end_line = [](std::string text) { return text.empty() || text.back() == '\n' ? text : text + "\n"; };
  got.out = without_rounding(end_line(slurp(folder / ".stdout")), wanted.out);
  got.err = end_line(slurp(folder / ".stderr"));
  return got;
}

// The fenced blocks of a Markdown file that begin with ```KIND: start and end of their bodies.
std::vector<std::pair<size_t, size_t>> blocks(const std::string& text, const std::string& kind) {
  std::vector<std::pair<size_t, size_t>> found;
  const std::string open = "```" + kind + "\n";
  for (size_t at = text.find(open); at != std::string::npos; at = text.find(open, at)) {
    const size_t start = at + open.size(), end = text.find("```\n", start);
    found.emplace_back(start, end);
    at = end;
  }
  return found;
}

// The console blocks of a page, and its files (```yaml NAME), in order: start and end of their bodies, and the file's
// name.
struct PageBlock {
  size_t start, end;
  std::string file;
};
std::vector<PageBlock> page_blocks(const std::string& text) {
  std::vector<PageBlock> found;
  for (const auto& [start, end] : blocks(text, "console")) found.push_back({start, end, ""});
  const std::string open = "```yaml ";
  for (size_t at = text.find(open); at != std::string::npos; at = text.find(open, at + 1)) {
    const size_t start = text.find('\n', at) + 1;
    found.push_back({start, text.find("```\n", start), text.substr(at + open.size(), start - 1 - at - open.size())});
  }
  std::sort(found.begin(), found.end(), [](const PageBlock& a, const PageBlock& b) { return a.start < b.start; });
  return found;
}

// "$ command" lines and what each prints, standard error after standard output.
std::vector<Section> parse_console(const std::string& text) {
  std::vector<Section> sections;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("$ "))
      sections.push_back({Section::Kind::run, line.substr(2), {}, {}, {}, 0});
    else
      sections.back().out += line + "\n";
  }
  return sections;
}

// Lines of `got` that are wanted, in order; "…" alone on a line stands for any lines.
bool fits(const std::string& got, const std::string& wanted) {
  if (wanted.find("…\n") == std::string::npos) return got == wanted;
  size_t at = 0;
  std::string rest = wanted;
  bool anywhere = false;
  while (!rest.empty()) {
    const size_t gap = rest.find("…\n");
    const std::string part = rest.substr(0, gap);
    const size_t found =
        anywhere ? got.find(part, at) : (got.compare(at, part.size(), part) == 0 ? at : std::string::npos);
    if (found == std::string::npos) return false;
    at = found + part.size();
    if (gap == std::string::npos)
      return anywhere ? got.size() >= part.size() && got.compare(got.size() - part.size(), part.size(), part) == 0
                      : at == got.size();
    rest = rest.substr(gap + std::string("…\n").size());
    anywhere = true;
  }
  return true;
}

void check(const Section& got, const Section& wanted) {
  INFO(wanted.title);
  CHECK(got.out == wanted.out);
  CHECK(got.err == wanted.err);
  CHECK(got.exit_code == wanted.exit_code);
}

std::vector<fs::path> case_files(const char* name) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(REMAP_SOURCE_DIR) / name))
    if (entry.path().extension() == ".case") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  REQUIRE(!files.empty());
  return files;
}

// What cases find in the folder they run in.
void link_data(const remap::test::TempFolder& folder) {
  fs::create_directory_symlink(REMAP_TEST_DATA, folder.path("data"));
  fs::create_directory_symlink(fs::path(REMAP_SOURCE_DIR) / "tests/manifests", folder.path("manifests"));
  fs::create_directory_symlink(REMAP_SOURCE_DIR, folder.path("repository"));
}

void run_files_of(const char* name) {
  const auto files = case_files(name);
  const bool update = std::getenv("REMAP_UPDATE") != nullptr;
  for (const auto& file : files) {
    DYNAMIC_SECTION(file.filename().string()) {
      remap::test::TempFolder folder;
      link_data(folder);
      auto sections = parse(slurp(file));
      for (auto& section : sections) {
        if (section.kind == Section::Kind::file) folder.write(section.title, section.body);
        if (section.kind != Section::Kind::run) continue;
        const Section got = run(section, folder.path());
        if (update) {
          section = got;
          continue;
        }
        check(got, section);
      }
      if (update) std::ofstream(file, std::ios::binary) << print(sections);
    }
  }
}

// The errors among findings, each as its id and place.
using Errors = std::vector<std::string>;
void add_error(const nlohmann::json& finding, Errors& errors) {
  if (finding.value("severity", "") != "error") return;
  std::string text = finding.value("id", "");
  for (const char* field : {"file", "member", "line", "column", "offset"})
    if (finding.contains(field)) text += fmt::format(" {}", finding[field].dump());
  errors.push_back(text);
}
// A finding a line, as commands print them to standard error; other lines are the argument parser's.
void add_lines(const fs::path& file, Errors& errors) {
  std::istringstream lines(slurp(file));
  for (std::string line; std::getline(lines, line);)
    if (const auto finding = nlohmann::json::parse(line, nullptr, false); finding.is_object())
      add_error(finding, errors);
}

}  // namespace

// Whatever a command of these files plans is planned and linted by tests/support/plan_and_lint.sh. That no family, or
// more than one, is recognised, and that the command line is wrong, says nothing about a rule file.
TEST_CASE("lint reports what plan refuses, at the same places, for every broken rule file", "[planned]") {
  size_t refused = 0;
  for (const char* name : {"tests/cases", "tests/lint"})
    for (const auto& file : case_files(name)) {
      if (name == std::string("tests/cases") && !file.filename().string().starts_with("bad-")) continue;
      remap::test::TempFolder folder, replays, tools;
      link_data(folder);
      fs::create_symlink(fs::path(REMAP_SOURCE_DIR) / "tests/support/plan_and_lint.sh", tools.path("remap"));
      const std::string environment = fmt::format("PATH='{}':\"$PATH\" REMAP_REAL='{}/remap' REMAP_REPLAYS='{}'",
                                                  tools.path(), REMAP_PROGRAM_DIR, replays.path());
      for (const auto& section : parse(slurp(file))) {
        if (section.kind == Section::Kind::file) folder.write(section.title, section.body);
        if (section.kind == Section::Kind::run) run(section, folder.path(), environment);
      }
      for (size_t n = 0; fs::exists(replays.path(std::to_string(n) + ".command")); ++n) {
        const std::string stem = replays.path(std::to_string(n));
        Errors planned, linted;
        add_lines(stem + ".plan", planned);
        add_lines(stem + ".lint-error", linted);
        const auto report = nlohmann::json::parse(slurp(stem + ".lint"), nullptr, false);
        if (report.is_object())
          for (const auto& finding : report["findings"]) add_error(finding, linted);
        std::erase_if(planned, [](const std::string& e) {
          return e.starts_with("family-") || e.starts_with("usage") || e.starts_with("rules-not-found");
        });
        refused += !planned.empty();
        INFO(file.filename().string() << ": " << slurp(stem + ".command"));
        for (const auto& error : planned) {
          INFO(error);
          CHECK(std::find(linted.begin(), linted.end(), error) != linted.end());
        }
      }
    }
  CHECK(refused > 60);
}

// Three programs' worth, since each runs remap a hundred times: ctest gives each tag a test of its own.
TEST_CASE("the files of tests/cases give what they say", "[cases]") { run_files_of("tests/cases"); }
TEST_CASE("the files of tests/lint give what they say", "[lint]") { run_files_of("tests/lint"); }

TEST_CASE("the examples of the documentation give what they say", "[docs]") {
  std::vector<fs::path> files = {fs::path(REMAP_SOURCE_DIR) / "README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(REMAP_SOURCE_DIR) / "docs"))
    if (entry.path().extension() == ".md") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  const bool update = std::getenv("REMAP_UPDATE") != nullptr;
  for (const auto& file : files) {
    DYNAMIC_SECTION(file.filename().string()) {
      std::string text = slurp(file);
      auto cases = blocks(text, "case");
      for (auto block = cases.rbegin(); block != cases.rend(); ++block) {  // from the end: an update moves what follows
        remap::test::TempFolder folder;
        auto sections = parse(text.substr(block->first, block->second - block->first));
        for (auto& section : sections) {
          if (section.kind == Section::Kind::file) folder.write(section.title, section.body);
          if (section.kind != Section::Kind::run) continue;
          const Section got = run(section, folder.path());
          if (update)
            section = got;
          else
            check(got, section);
        }
        if (update) text.replace(block->first, block->second - block->first, print(sections));
      }
      if (update) std::ofstream(file, std::ios::binary) << text;
      // The console blocks and files of one page share a folder that looks like the repository.
      remap::test::TempFolder folder;
      for (const char* name : {"rules", "schemas", "tests"})
        fs::create_directory_symlink(fs::path(REMAP_SOURCE_DIR) / name, folder.path(name));
      for (const auto& block : page_blocks(text)) {
        const std::string body = text.substr(block.start, block.end - block.start);
        if (!block.file.empty()) {
          folder.write(block.file, body);
          continue;
        }
        for (const auto& section : parse_console(body)) {
          const Section got = run(section, folder.path());
          INFO(section.title);
          INFO(got.out + got.err);
          CHECK(fits(got.out + got.err, section.out));
          CHECK((got.exit_code == 0 || section.out != "…\n"));  // which any error would fit
        }
      }
    }
  }
}
