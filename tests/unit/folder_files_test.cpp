// Which files of a folder belong together, and what their names say is missing.
#include "formats/folder_files.h"

#include <filesystem>

#include "base/links_outside.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::formats;
using remap::test::contains;
using remap::test::error_of;

TEST_CASE("parts of one checkpoint are checked by the numbers in their names") {
  struct Row {
    const char* what;
    std::vector<std::string> parts;
    std::string error;                     // "": nothing is missing
    std::vector<std::string> others = {};  // further files of the folder
  };
  const std::vector<Row> rows = {
      {"one file", {"model.pt"}, ""},
      {"one file with a number", {"checkpoint_1200.pt"}, ""},
      {"ranks from 0", {"a.00.pth", "a.01.pth", "a.02.pth"}, ""},
      {"ranks from 1", {"a.1.pth", "a.2.pth"}, ""},
      {"two digits", {"r9.pt", "r10.pt", "r8.pt"}, "'r7.pt' is not there"},
      {"a gap", {"a.00.pth", "a.02.pth"}, "'a.01.pth' is not there"},
      {"the beginning", {"a.2.pth", "a.3.pth"}, "'a.1.pth' is not there"},
      {"steps of a training",
       {"step_1000.pt", "step_2000.pt"},
       "is not there: files that differ in a number are parts"},
      {"counted shards", {"m-00001-of-00002.bin", "m-00002-of-00002.bin"}, ""},
      {"counted from 0", {"m-0-of-2.bin", "m-1-of-2.bin"}, ""},
      {"the last is missing", {"m-00001-of-00003.bin", "m-00002-of-00003.bin"}, "'m-00003-of-00003.bin' is not there"},
      {"the first is missing", {"m-00002-of-00002.bin"}, "'m-00001-of-00002.bin' is not there"},
      {"one is missing inside", {"m-1-of-3.bin", "m-3-of-3.bin"}, "'m-2-of-3.bin' is not there"},
      {"another count",
       {"m-1-of-2.bin", "m-2-of-2.bin", "m-1-of-3.bin"},
       "says that there are 2 files and 'm-1-of-3.bin'"},
      {"more than counted",
       {"m-1-of-2.bin", "m-2-of-2.bin", "m-3-of-2.bin"},
       "'m-3-of-2.bin' is one of more files than the 2"},
      {"ranks of a world", {"x_world_size_2_rank_0.pt", "x_world_size_2_rank_1.pt"}, ""},
      {"a rank of a world",
       {"x_world_size_3_rank_0.pt", "x_world_size_3_rank_1.pt"},
       "'x_world_size_3_rank_2.pt' is not there"},
      {"another world", {"x_world_size_1_rank_0.pt", "x_world_size_2_rank_0.pt"}, "says that there are 1 files"},
      {"layers and ranks", {"l0-m0.pt", "l0-m1.pt", "l1-m0.pt", "l1-m1.pt"}, ""},
      {"one of them",
       {"l0-m0.pt", "l0-m1.pt", "l1-m0.pt"},
       "'l1-m1.pt' is not there, though files with each of its numbers are"},
      {"the same number twice", {"r1.pt", "r01.pt"}, "'r1.pt' and 'r01.pt' have the same numbers"},
      {"a number too large", {"r0.pt", "r99999999999999999999.pt"}, "'r1.pt' is not there"},
      {"names that the rules know", {"a-0.pt", "b-5.pt"}, ""},
      {"a download", {"a.0.pt", "a.1.pt"}, "'a.2.pt' is incomplete: 'a.2.pt.part' says", {"a.2.pt.part"}},
      {"a download of something else", {"a.0.pt", "a.1.pt"}, "", {"notes.zip.part", "a.1.pt.lock"}},
      {"written into by aria2", {"m.safetensors"}, "'m.safetensors' is incomplete", {"m.safetensors.aria2"}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    std::vector<std::string> all = row.parts;
    all.insert(all.end(), row.others.begin(), row.others.end());
    const std::string error = error_of([&] { check_parts("folder", row.parts, all); });
    INFO(error);
    CHECK(contains(error, row.error.empty() ? "nothing was thrown" : "source-parts: "));
    CHECK(contains(error, row.error));
  }
}

TEST_CASE("a name tells that a file is one of several") {
  CHECK(one_of_several("model-00001-of-00004.bin") == "'model-00001-of-00004.bin' is one of 4 files, by its name");
  for (const char* whole : {"model-00001-of-00001.bin", "model.bin", "one-of-2.bin", "consolidated.00.pth"})
    CHECK(one_of_several(whole).empty());
}

TEST_CASE("files that differ in numbers are one group, in the order of the numbers") {
  const auto groups = group_files({"m10.pt", "m2.pt", "other.pt", "m1.pt"});
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].text() == "'m1.pt' to 'm10.pt', 3 files");
  CHECK(groups[1].text() == "'other.pt'");
  CHECK(quoted_list({"a", "b", "c", "d", "e", "f"}) == "'a', 'b', 'c', 'd' and 2 more");
}

TEST_CASE("a link that leads out of the folder is met, one into a download cache is not") {
  const remap::test::TempFolder folder;
  for (const char* name : {"models/snapshots/1/own", "models/snapshots/1/deep/own", "models/blobs/cached",
                           "elsewhere/other", "elsewhere/below/other", "third"})
    folder.write(name, "x");
  const std::string here = folder.path("models/snapshots/1");
  namespace fs = std::filesystem;
  fs::create_symlink("own", here + "/inside");
  fs::create_symlink("../../blobs/cached", here + "/cached");
  fs::create_symlink("../../../blobs/cached", here + "/deep/cached");
  fs::create_symlink("../../../elsewhere/other", here + "/outside");
  fs::create_symlink("gone", here + "/gone");
  fs::create_symlink("deep", here + "/near");
  fs::create_symlink(".", here + "/loop");
  fs::create_symlink("../../../elsewhere", here + "/far");
  fs::create_symlink("../models/snapshots/1/own", folder.path("elsewhere/back"));
  fs::create_symlink("../third", folder.path("elsewhere/away"));
  for (const auto siblings : {LinksOutside::Siblings::few, LinksOutside::Siblings::many})
    for (const std::string& asked : {here, here + "/"}) {
      LinksOutside links(asked);
      for (const char* name : {"own", "inside", "cached", "deep/own", "deep/cached", "gone", "not there", "no/thing",
                               "near", "near/own", "near/cached", "loop", "loop/loop/own", "far/back"}) {
        INFO(name);
        CHECK_FALSE(links.leads_outside(here + "/" + name, siblings));
      }
      CHECK_FALSE(links.leads_outside(folder.path("elsewhere/other"), siblings));
      for (const char* name : {"outside", "far/other", "far/below/other", "loop/outside"}) {
        INFO(name);
        CHECK(links.leads_outside(here + "/" + name, siblings));
      }
      CHECK(links.leads_outside(folder.path("elsewhere/away"), siblings));
    }
  LinksOutside links(here);
  CHECK(links.empty());
  CHECK(links.leads_outside(here + "/outside"));
  CHECK(links.text() == "'outside' is a link to '../../../elsewhere/other', outside of the folder");
  for (const char* name : {"far/other", "far/below/other", "outside"})
    CHECK(links.leads_outside(here + "/" + name, LinksOutside::Siblings::many));
  CHECK(links.text() == "'outside' is a link to '../../../elsewhere/other', outside of the folder; so is 'far'");
  CHECK(links.leads_outside(folder.path("elsewhere/away")));
  CHECK(links.text() == "'outside' is a link to '../../../elsewhere/other', outside of the folder; so are 'far' and '" +
                            folder.path("elsewhere/away") + "'");
}

TEST_CASE("an error in a file outside of the folder does not show what is in it") {
  const remap::test::TempFolder folder;
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  folder.write("c/model.safetensors",
               std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "x");
  folder.write("secret", "word: 1234\n");
  std::filesystem::create_symlink("../secret", folder.path("c/config.json"));
  Diagnostic found;
  try {
    open_source(folder.path("c"));
  } catch (const Error& error) {
    found = error.diagnostic();
  }
  CHECK(found.id == "json-syntax");
  CHECK(found.place == Place(BytePlace{folder.path("c/config.json"), {}, {}}));
  CHECK(contains(found.message, "not valid JSON: "));
  CHECK_FALSE(contains(found.message, "last read"));
  CHECK(found.notes == std::vector<std::string>{"'config.json' is a link to '../secret', outside of the folder"});
}
