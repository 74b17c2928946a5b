// Checkpoints of every format that is read, as their own libraries wrote them, and hostile ones. An item is a folder:
//   expected.json         "outcome": "tensors", "error" or "either"; "error_names": what the message must hold
//                         "may_have": keys of tensors that may be there beside the expected ones
//   expected.safetensors  the tensors, by keys joined with dots
//   source/               the checkpoint
// Each is converted with `--rules plain --set root=`, and what is written is compared bit for bit. REMAP_SOURCES names
// another folder of items.
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "remap/compare.h"
#include "remap/convert.h"
#include "remap/document.h"
#include "remap/report.h"
#include "support/catch.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;

namespace remap {
namespace {

// What a conversion said; "" if it was done.
std::string convert(const fs::path& source, const fs::path& output) {
  Diagnostics found;
  try {
    Request request{.checkpoint = source.string()};
    request.rules = "plain";
    request.set = {{"root", ""}};
    request.needs_data = true;
    const auto conversion = prepare(request, found);
    if (!conversion) return render_text(found);
    OutputOptions options;
    options.sync = false;
    write(*conversion, output.string(), options);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// What is wrong with the tensors that were written; "" if nothing is.
std::string difference(const fs::path& written, const fs::path& expected, const Json& may_have) {
  const auto got = open_source(written.string()), wanted = open_source(expected.string());
  std::string lines;
  for (size_t i = 0; i < wanted->manifest().size(); ++i) {
    const TensorInfo& tensor = wanted->manifest()[i];
    const size_t at = got->manifest().find(tensor.key);
    if (at == Manifest::npos)
      lines += fmt::format("lacks '{}'\n", tensor.key);
    else if (const TensorInfo& found = got->manifest()[at]; !tensors_equal(*got, at, *wanted, i))
      lines += fmt::format("'{}' differs: {} where {} was expected\n", tensor.key, describe(found), describe(tensor));
  }
  for (const TensorInfo& tensor : got->manifest().tensors())
    if (wanted->manifest().find(tensor.key) == Manifest::npos &&
        std::find(may_have.begin(), may_have.end(), tensor.key) == may_have.end())
      lines += fmt::format("has '{}'\n", tensor.key);
  return lines;
}

// Is it as expected? Else what is wrong.
std::string check(const fs::path& item) {
  const Json expected = read_document((item / "expected.json").string(), "json");
  const std::string outcome = expected.at("outcome");
  test::TempFolder folder;
  const fs::path output = folder.path("out");
  const std::string said = convert(item / expected.value("source", "source"), output);
  if (said.empty())
    return outcome == "error"
               ? "was converted, and should be refused"
               : difference(output, item / "expected.safetensors", expected.value("may_have", Json::array()));
  if (fs::exists(output)) return "was refused, and left an output behind";
  if (outcome == "tensors") return "was refused: " + said;
  for (const auto& name : expected.value("error_names", Json::array()))
    if (said.find(name.get<std::string>()) == std::string::npos)
      return fmt::format("the message does not name '{}': {}", name.get<std::string>(), said);
  return "";
}

std::vector<fs::path> items_of(const fs::path& folder) {
  std::vector<fs::path> items;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "expected.json")) items.push_back(entry.path());
  std::sort(items.begin(), items.end());
  return items;
}

}  // namespace

TEST_CASE("checkpoints of every format are read bit for bit, or refused by name") {
  const char* const given = std::getenv("REMAP_SOURCES");
  const fs::path folder = given != nullptr ? fs::path(given) : fs::path(REMAP_TEST_DATA) / "sources";
  const auto items = items_of(folder);
  REQUIRE(!items.empty());
  size_t right = 0;
  for (const auto& item : items) {
    const std::string wrong = check(item);
    INFO(item.filename().string() << ": " << wrong);
    CHECK(wrong.empty());
    right += wrong.empty() ? 1 : 0;
  }
  if (given != nullptr) std::cout << right << " of " << items.size() << " items as expected\n";
}

namespace {

// A row of the table in docs/formats.md.
struct FormatRow {
  std::string format, name, example, listed, read, by_region, target;
};

std::vector<FormatRow> documented_formats() {
  std::vector<FormatRow> rows;
  std::istringstream page(test::read_file(fs::path(REMAP_SOURCE_DIR) / "docs/formats.md"));
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| format |")) inside = true;
    if (!inside || line.starts_with("|---") || line.starts_with("| format |")) continue;
    if (!line.starts_with("|")) break;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(1));
    for (std::string cell; std::getline(parts, cell, '|');) {
      const size_t begin = cell.find_first_not_of(' ');
      cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') - begin + 1));
    }
    REQUIRE(cells.size() == 7);
    rows.push_back({cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]});
  }
  return rows;
}

const char* yes_or_no(bool is) { return is ? "yes" : "no"; }

// "yes": every tensor is served in place, or in parts of it. "by chunk": as it was cut, some in one piece.
const char* by_region(const Source& source) {
  bool all = true, any = false;
  for (size_t i = 0; i < source.manifest().size(); ++i) {
    const TensorInfo& tensor = source.manifest()[i];
    const size_t n_tiles = tensor.unread ? 0 : source.tile_boxes(i).size();
    any = any || n_tiles > 1;
    all = all && !tensor.unread && (source.in_place(i) || element_count(tensor.shape) == 0 || n_tiles > 1);
  }
  return all ? "yes" : any ? "by chunk" : "no";
}

}  // namespace

TEST_CASE("docs/formats.md says of each format what is true of its example") {
  const auto rows = documented_formats();
  REQUIRE(rows.size() > 5);
  const std::string targets = test::read_file(fs::path(REMAP_SOURCE_DIR) / "tests/fuzz/CMakeLists.txt");
  for (const FormatRow& row : rows) {
    INFO(row.format);
    const fs::path example = fs::path(REMAP_TEST_DATA) / row.example;
    CHECK(targets.find("remap_fuzz(" + row.target + " ") != std::string::npos);
    CHECK(fs::exists(fs::path(REMAP_SOURCE_DIR) / "tests/fuzz" / (row.target + "_fuzz.cpp")));
    std::unique_ptr<Source> source;
    try {
      source = open_source(example.string());
    } catch (const Error& error) {
      CHECK(row.listed == "no");
      CHECK(error.diagnostic().id == "source-unknown-format");  // named for what it is
      CHECK(error.diagnostic().message.find(row.format) != std::string::npos);
    }
    CHECK(row.listed == yes_or_no(source != nullptr));
    CHECK(row.name == (source ? source->format() : ""));
    const auto is_read = [](const TensorInfo& tensor) { return tensor.unread == nullptr; };
    const bool read =
        source && std::all_of(source->manifest().tensors().begin(), source->manifest().tensors().end(), is_read);
    CHECK(row.read == yes_or_no(read));
    CHECK(row.by_region == (read ? by_region(*source) : "no"));
  }
}

TEST_CASE("a checkpoint whose family nobody named is held against every rule file") {
  for (const auto& [family, path] :
       {std::pair{"roberta", REMAP_TEST_DATA "/roberta/source/model.2019.pt"},
        std::pair{"switch_transformers", REMAP_TEST_DATA "/switch/source/checkpoint_1200"}}) {
    Diagnostics found;
    const auto conversion = prepare({.checkpoint = path}, found);
    INFO(render_text(found));
    REQUIRE(conversion);
    CHECK(conversion->rules.family() == family);
  }
}

}  // namespace remap
