// The output folder: byte for byte what the real libraries write, whole or not there at all.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "formats/safetensors_writer.h"
#include "remap/diagnostic.h"
#include "remap/execute.h"
#include "remap/output.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"

using namespace remap;
namespace fs = std::filesystem;

namespace {

// A folder of its own for each test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "remap-output-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  // Everything in it, hidden names included, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      names.push_back(fs::relative(entry.path(), path_).string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path path_;
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.is_open());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

const std::string kData = REMAP_TEST_DATA;

// A plan that writes the tensors of a source as they are, in the order of the keys or in the one given.
std::vector<PlannedTensor> identity(const Source& source, std::vector<std::string> order = {}) {
  if (order.empty())
    for (const TensorInfo& info : source.manifest().tensors()) order.push_back(info.key);
  std::vector<PlannedTensor> plan;
  for (const std::string& key : order) {
    const size_t index = source.manifest().find(key);
    INFO(key);
    REQUIRE(index != Manifest::npos);
    const TensorInfo& info = source.manifest()[index];
    PlannedTensor& target = plan.emplace_back(PlannedTensor{key, info.dtype, info.shape, {}, {}, 0});
    if (element_count(info.shape) == 0) continue;
    std::vector<Axis> axes;
    for (size_t d = 0; d < info.shape.size(); ++d)
      axes.push_back({info.shape[d], 1, 1, static_cast<uint8_t>(d), static_cast<uint8_t>(d)});
    target.pieces.push_back({0, static_cast<uint32_t>(index), axes, {}, {}});
  }
  return plan;
}

void write_identity(const Source& source, const std::string& path, const OutputOptions& options = {},
                    std::vector<std::string> order = {}, int threads = 0) {
  const auto plan = identity(source, std::move(order));
  OutputFolder output(path, plan, options);
  execute(plan, {&source}, output, {threads, {}, nullptr});
  output.commit();
}

std::vector<PlannedTensor> one_tensor(Shape shape = {2}, DType dtype = DType::f32) {
  return {{"w", dtype, std::move(shape), {}, 0.0, 0}};
}

void write_one(const std::string& path, const OutputOptions& options = {}) {
  const auto plan = one_tensor();
  OutputFolder output(path, plan, options);
  execute(plan, {}, output);
  output.commit();
}

Diagnostic error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.diagnostic();
  }
  FAIL("no error");
  return {};
}

}  // namespace

TEST_CASE("a single file has the bytes that the real library writes") {
  for (const char* file : {"output/every-dtype.safetensors", "switch/expected/model.safetensors"}) {
    const auto source = open_source(kData + "/" + file);
    for (const int threads : {1, 3}) {  // by system calls, and between mappings
      INFO(file << ", threads: " << threads);
      const TemporaryFolder folder;
      write_identity(*source, folder / "out", {}, {}, threads);
      CHECK((read_file(folder / "out/model.safetensors") == read_file(kData + "/" + file)));
      CHECK(folder.names() == std::vector<std::string>{"out", "out/model.safetensors"});
    }
  }
}

TEST_CASE("the same bytes come from memory as from a mapped file, and from tiles") {
  const TemporaryFolder folder;
  const auto mapped = open_source(kData + "/switch/expected/model.safetensors");
  std::vector<test::MemoryTensor> in_place, tiled;
  TileBuffer scratch;
  for (size_t t = 0; t < mapped->manifest().size(); ++t) {
    const TensorInfo& info = mapped->manifest()[t];
    test::MemoryTensor tensor{info.key, info.dtype, info.shape,
                              std::vector<std::byte>(static_cast<size_t>(data_bytes(info)))};
    read_box(*mapped, t, {Shape(info.shape.size(), 0), info.shape}, tensor.bytes.data(), scratch);
    in_place.push_back(tensor);
    for (const int64_t extent : info.shape) tensor.tile.push_back((extent + 1) / 2);
    tiled.push_back(tensor);
  }
  const std::string expected = read_file(kData + "/switch/expected/model.safetensors");
  for (const int threads : {1, 3})
    for (const auto* tensors : {&in_place, &tiled}) {
      const std::string out = folder / ((tensors == &tiled ? "tiled" : "memory") + std::to_string(threads));
      write_identity(test::MemorySource(*tensors), out, {}, {}, threads);
      CHECK((read_file(out + "/model.safetensors") == expected));
    }
}

TEST_CASE("shards and their index have the bytes that transformers writes") {
  // The order of the model's own state dict, by which transformers fills shards.
  std::vector<std::string> order = {"model.embed_tokens.weight"};
  for (const char* layer : {"0", "1", "2"})
    for (const char* part :
         {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
          "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"})
      order.push_back(std::string("model.layers.") + layer + "." + part + ".weight");
  order.push_back("model.norm.weight");
  order.push_back("lm_head.weight");
  const TemporaryFolder folder;
  const auto source = open_source(kData + "/output/sharded");
  OutputOptions options;
  options.max_shard_bytes = 100'000;
  write_identity(*source, folder / "out", options, order);
  for (const auto& entry : fs::directory_iterator(kData + "/output/sharded")) {
    const std::string name = entry.path().filename().string();
    INFO(name);
    CHECK((read_file(folder / ("out/" + name)) == read_file(entry.path().string())));
  }
  CHECK(folder.names().size() == 5);
}

TEST_CASE("a tensor larger than a shard stands alone") {
  const TemporaryFolder folder;
  const std::vector<PlannedTensor> plan = {{"a", DType::u8, {4}, {}, 1.0, 0},
                                           {"b", DType::u8, {50}, {}, 2.0, 0},
                                           {"c", DType::u8, {6}, {}, 3.0, 0},
                                           {"d", DType::u8, {4}, {}, 4.0, 0}};
  OutputOptions options;
  options.max_shard_bytes = 10;
  OutputFolder output(folder / "out", plan, options);
  execute(plan, {}, output);
  output.commit();
  const auto index = Json::parse(read_file(folder / "out/model.safetensors.index.json"));
  CHECK(index["metadata"]["total_size"] == 64);
  CHECK(index["weight_map"] == Json{{"a", "model-00001-of-00003.safetensors"},
                                    {"b", "model-00002-of-00003.safetensors"},
                                    {"c", "model-00003-of-00003.safetensors"},
                                    {"d", "model-00003-of-00003.safetensors"}});
}

TEST_CASE("an output that is not committed leaves nothing behind") {
  const TemporaryFolder folder;
  {
    OutputFolder output(folder / "out", one_tensor());
    output.add_file("config.json", "{}\n");
    CHECK(folder.names().size() == 5);  // the hidden folder, its journal, the output in it and two files
    CHECK_FALSE(fs::exists(folder / "out"));
  }
  CHECK(folder.names().empty());
}

TEST_CASE("a failure midway leaves nothing behind, and an old output as it was") {
  const TemporaryFolder folder;
  write_one(folder / "out");
  const std::string before = read_file(folder / "out/model.safetensors");
  test::MemorySource source(
      {{"a", DType::u8, {1}, std::vector<std::byte>(1), {1}}, {"b", DType::u8, {1}, std::vector<std::byte>(1), {1}}});
  source.fail_at.insert({1, 0});
  OutputOptions force;
  force.force = true;
  CHECK(error_of([&] { write_identity(source, folder / "new"); }).id == "io-read");
  CHECK(error_of([&] { write_identity(source, folder / "out", force); }).id == "io-read");
  CHECK(folder.names() == std::vector<std::string>{"out", "out/model.safetensors"});
  CHECK(read_file(folder / "out/model.safetensors") == before);
}

TEST_CASE("an existing output is replaced only by force, and wholly") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "out");
  write_file(folder / "out/old.bin", "old");
  const Diagnostic error = error_of([&] { write_one(folder / "out"); });
  CHECK(error.id == "output-exists");
  CHECK(error.hint.find("--force") != std::string::npos);
  CHECK(folder.names() == std::vector<std::string>{"out", "out/old.bin"});
  OutputOptions force;
  force.force = true;
  write_one(folder / "out", force);
  CHECK(folder.names() == std::vector<std::string>{"out", "out/model.safetensors"});
  write_one(folder / "fresh/", force);  // force where there is nothing to replace; a slash at the end
  CHECK(fs::exists(folder / "fresh/model.safetensors"));
}

TEST_CASE("an output that appears while another is written is not overwritten") {
  const TemporaryFolder folder;
  OutputFolder output(folder / "out", one_tensor());
  fs::create_directory(folder / "out");
  CHECK(error_of([&] { output.commit(); }).id == "output-exists");
}

TEST_CASE("force replaces folders of plain files, nothing else") {
  const TemporaryFolder folder;
  OutputOptions force;
  force.force = true;
  write_file(folder / "file", "precious");
  fs::create_directories(folder / "home/documents");
  fs::create_directory(folder / "real");
  fs::create_symlink("real", folder / "link");
  const auto before = folder.names();
  for (const char* name : {"file", "home", "link"}) {
    INFO(name);
    CHECK(error_of([&] { write_one(folder / name, force); }).id == "output-not-replaceable");
  }
  CHECK(folder.names() == before);
  CHECK(read_file(folder / "file") == "precious");
}

TEST_CASE("places where nothing can be written are refused") {
  const TemporaryFolder folder;
  const Diagnostic missing = error_of([&] { write_one(folder / "no/such/out"); });
  CHECK(missing.id == "io-write");
  CHECK(missing.message == "the folder '" + (folder / "no/such") + "' does not exist");
  write_file(folder / "file", "");
  CHECK(error_of([&] { write_one(folder / "file/out"); }).id == "io-write");
  for (const char* name : {"", ".", "..", "/", "a/.."}) CHECK(error_of([&] { write_one(name); }).id == "output-name");
  // Root may write anywhere, so it steps down for a moment, where there is anybody else.
  const bool root = ::geteuid() == 0;
  if (root && ::seteuid(65534) != 0) {
    WARN("there is nobody else to be: not tried");
    return;
  }
  if (root) REQUIRE(::seteuid(0) == 0);
  ::chmod(folder.path().c_str(), 0555);
  if (root) REQUIRE(::seteuid(65534) == 0);
  const Diagnostic denied = error_of([&] { write_one(folder / "out"); });
  if (root) REQUIRE(::seteuid(0) == 0);
  ::chmod(folder.path().c_str(), 0755);
  CHECK(denied.id == "io-write");
  CHECK(denied.message.find("Permission denied") != std::string::npos);
}

TEST_CASE("what does not fit is refused before work starts") {
  const TemporaryFolder folder;
  const Diagnostic full = error_of([&] { OutputFolder output(folder / "out", one_tensor({int64_t{1} << 55})); });
  CHECK(full.id == "output-disk-full");
  CHECK(full.message.find("the output needs 144.12 PB, and ") == 0);
  struct rlimit old {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  struct rlimit small = old;
  small.rlim_cur = 1000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Diagnostic limited = error_of([&] { OutputFolder output(folder / "out", one_tensor({1000})); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  CHECK(limited.id == "output-disk-full");
  CHECK(limited.message.find("larger than the 1.00 kB that this process may write") != std::string::npos);
  CHECK(folder.names().empty());
}

TEST_CASE("names and types the format cannot hold are refused") {
  const TemporaryFolder folder;
  const auto refuse = [&](const PlannedTensor& tensor) {
    return error_of([&] { OutputFolder output(folder / "out", {tensor}); }).id;
  };
  CHECK(refuse({"w", DType::c128, {1}, {}, 0.0, 0}) == "output-dtype");
  CHECK(refuse({"__metadata__", DType::f32, {1}, {}, 0.0, 0}) == "output-name");
  CHECK(refuse({"\xff", DType::f32, {1}, {}, 0.0, 0}) == "output-name");
  OutputFolder output(folder / "out", one_tensor());
  output.add_file("config.json", "{}");
  for (const char* name : {"", ".", "..", "a/b", "../x", "config.json", "model.safetensors"}) {
    INFO(name);
    CHECK(error_of([&] { output.add_file(name, ""); }).id == "output-name");
  }
  auto two = one_tensor();
  two.push_back({"x", DType::f32, {2}, {}, 0.0, 0});
  OutputOptions second;
  second.max_shard_bytes = 8, second.part = {2, 2};
  OutputFolder part(folder / "parts", two, second);
  part.add_file("config.json", "{}");
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    INFO(name);
    CHECK(error_of([&] { part.add_file(name, ""); }).id == "output-name");
  }
}

TEST_CASE("files and folder have the permissions the user asks for by umask") {
  const TemporaryFolder folder;
  const mode_t old = ::umask(027);
  write_one(folder / "out");
  ::umask(old);
  struct stat info {};
  ::stat((folder / "out").c_str(), &info);
  CHECK((info.st_mode & 0777) == 0750);
  ::stat((folder / "out/model.safetensors").c_str(), &info);
  CHECK((info.st_mode & 0777) == 0640);
}

TEST_CASE("a model without tensors is a file too") {
  const TemporaryFolder folder;
  OutputFolder(folder / "out", {}).commit();
  CHECK(read_file(folder / "out/model.safetensors") ==
        std::string("\x20\0\0\0\0\0\0\0", 8) + R"({"__metadata__":{"format":"pt"}})");
}

TEST_CASE("a folder that holds an input is not replaced, whatever way leads to it") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "src/parts");
  fs::create_directories(folder / "out");
  fs::create_directories(folder / "elsewhere");
  write_file(folder / "src/model.bin", "weights");
  write_file(folder / "out/model.bin", "weights");
  write_file(folder / "elsewhere/far.bin", "weights");
  fs::create_symlink("out", folder / "link");
  fs::create_symlink("../../out/model.bin", folder / "src/parts/0");    // a part of the source is in the output
  fs::create_symlink("../elsewhere/far.bin", folder / "out/near.bin");  // a link of the output is the input
  fs::create_hard_link(folder / "out/model.bin", folder / "second.bin");
  fs::create_symlink("src", folder / "loop");
  fs::create_symlink("..", folder / "src/up");  // leads above: not a part of the source
  struct Row {
    const char* out;
    const char* input;
    bool refused;
  };
  const Row rows[] = {
      {"out", "out", true},
      {"out/", "out/model.bin", true},
      {"elsewhere/../out", "out/model.bin", true},
      {"./out", "link/model.bin", true},
      {"out", "link/", true},
      {"link/../out", "src/../out/model.bin", true},
      {"out", "out/near.bin", true},
      {"out", "second.bin", true},
      {"out", "src", true},
      {"out", "loop/parts/0", true},
      {"out", "src/parts", true},
      {"out", "out/not/there", true},
      {"out", "src/model.bin", false},
      {"out", "elsewhere", false},
      {"out", "out/../src/model.bin", false},
      {"out", "not/there", false},
      {"out", "", false},
      {"elsewhere", "out/near.bin", true},
  };
  for (const Row& row : rows) {
    INFO(row.out << " from " << row.input);
    OutputOptions options;
    options.force = true;
    options.inputs = {*row.input == 0 ? "" : folder / row.input};
    const auto before = folder.names();
    const Diagnostic refusal = [&] {
      try {
        const OutputFolder output(folder / row.out, one_tensor(), options);
      } catch (const Error& e) {
        return e.diagnostic();
      }
      return Diagnostic{};
    }();
    CHECK(refusal.id == (row.refused ? "output-holds-input" : ""));
    CHECK(folder.names() == before);
    options.force = false;  // the way on that is named has to be one
    const auto without = error_of([&] { OutputFolder(folder / row.out, one_tensor(), options); });
    CHECK(without.id == (row.refused ? "output-holds-input" : "output-exists"));
  }
}

TEST_CASE("what came to hold an input while the output was written is not replaced") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "src");
  write_file(folder / "src/model.bin", "weights");
  OutputOptions options;
  options.force = true;
  options.inputs = {folder / "src"};
  OutputFolder output(folder / "out", one_tensor(), options);
  fs::create_directory(folder / "out");
  fs::create_hard_link(folder / "src/model.bin", folder / "out/model.bin");
  CHECK(error_of([&] { output.commit(); }).id == "output-holds-input");
  CHECK(read_file(folder / "out/model.bin") == "weights");
}

TEST_CASE("an output inside the source's folder leaves the source as it is") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "src");
  write_file(folder / "src/model.bin", "weights");
  OutputOptions options;
  options.inputs = {folder / "src"};
  write_one(folder / "src/out", options);
  CHECK(folder.names() == std::vector<std::string>{"src", "src/model.bin", "src/out", "src/out/model.safetensors"});
}

TEST_CASE("the folder that the program runs in, and home, are not replaced") {
  const TemporaryFolder folder;
  const fs::path here = fs::current_path();
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  OutputOptions force;
  force.force = true;
  fs::create_directory(folder / "here");
  fs::current_path(folder / "here");
  const auto refusal = error_of([&] { write_one(folder / "here", force); });
  fs::current_path(here);
  CHECK(refusal.id == "output-not-replaceable");
  CHECK(refusal.message == "is the folder that the program runs in, or holds it");
  ::setenv("HOME", (folder / "here").c_str(), 1);
  CHECK(error_of([&] { write_one(folder / "here", force); }).message == "is the home folder, or holds it");
  if (home.empty())
    ::unsetenv("HOME");
  else
    ::setenv("HOME", home.c_str(), 1);
}

TEST_CASE("links that lead nowhere and pipes are said, and stay") {
  const TemporaryFolder folder;
  fs::create_symlink("nowhere", folder / "dangling");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const auto before = folder.names();
  for (const bool force : {false, true})
    for (const char* name : {"dangling", "pipe", "pipe/"}) {
      INFO(name);
      OutputOptions options;
      options.force = force;
      CHECK(error_of([&] { write_one(folder / name, options); }).id == "output-not-replaceable");
    }
  CHECK(folder.names() == before);
}

namespace {

std::vector<PlannedTensor> many_tensors(size_t count, size_t key_bytes) {
  std::vector<PlannedTensor> plan;
  for (size_t i = 0; i < count; ++i) {
    std::string key = std::to_string(i);
    key.insert(0, key_bytes - key.size(), '0');
    plan.push_back({std::move(key), i % 3 == 0 ? DType::u8 : DType::f32, {1}, {}, 0.0, 0});
  }
  return plan;
}

uint64_t header_bytes(const formats::SafetensorsFile& file) { return file.head.size() - 8; }

}  // namespace

TEST_CASE("shards are cut so that each header keeps to the limit") {
  struct Row {
    size_t tensors, key_bytes;
    uint64_t max_header_bytes, max_shard_bytes;
    size_t files;
  };
  const uint64_t kLarge = 5'000'000'000, kFormat = Limits{}.max_header_bytes;
  CHECK(kFormat == 100'000'000);  // MAX_HEADER_SIZE of the safetensors library
  const Row rows[] = {
      {100, 20, 20'000, kLarge, 1},       {1000, 20, 20'000, kLarge, 4}, {1000, 20, 20'001, kLarge, 4},
      {1000, 20, 20'007, kLarge, 4},      {1000, 20, 20'000, 1000, 6},   {100, 20, 20'000, 100, 3},
      {700'000, 120, kFormat, kLarge, 2},
  };
  for (const Row& row : rows) {
    INFO(row.tensors << " tensors, header " << row.max_header_bytes << ", shards " << row.max_shard_bytes);
    const auto plan = many_tensors(row.tensors, row.key_bytes);
    formats::LayoutOptions options;
    options.max_shard_bytes = row.max_shard_bytes;
    options.limits.max_header_bytes = row.max_header_bytes;
    const auto layout = formats::lay_out(plan, options);
    CHECK(layout.files.size() == row.files);
    CHECK(layout.index.empty() == (row.files == 1));
    std::vector<size_t> seen;
    for (const auto& file : layout.files) {
      CHECK(header_bytes(file) <= row.max_header_bytes);
      seen.insert(seen.end(), file.tensors.begin(), file.tensors.end());
    }
    std::sort(seen.begin(), seen.end());
    CHECK(seen.size() == plan.size());
    CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  }
}

TEST_CASE("what could not be read again is not written") {
  struct Row {
    std::vector<PlannedTensor> plan;
    Limits limits;
    const char* message;
  };
  Limits header, index, key, none;
  header.max_header_bytes = 100;
  index.max_index_bytes = 1000;
  key.max_key_bytes = 20;
  const Row rows[] = {
      {many_tensors(1, 60), header,
       "the header of a file with '000000000000000000000000000000000000000000000000000000000000' alone would have 143 "
       "B; a safetensors header has at most 96 B"},
      {many_tensors(100, 60), index,
       "the index of 100 files would have 10.47 kB; at most 1.00 kB are read (max_index_bytes)"},
      {many_tensors(1, 30), key, "'000000000000000000000000000000…' has 30 bytes; at most 20 are read (max_key_bytes)"},
      {many_tensors(1, 4097), none, "has 4097 bytes; at most 4096 are read (max_key_bytes)"},
      {{{"w", DType::f32, Shape(33, 1), {}, 0.0, 0}}, none, "'w' has 33 dimensions; at most 32 are read (max_rank)"},
  };
  for (const Row& row : rows) {
    formats::LayoutOptions options;
    options.limits = row.limits;
    options.max_shard_bytes = row.limits.max_index_bytes == 1000 ? 1 : options.max_shard_bytes;
    const auto refusal = error_of([&] { formats::lay_out(row.plan, options); });
    CHECK(refusal.id == "output-limit");
    INFO(refusal.message);
    CHECK(refusal.message.find(row.message) != std::string::npos);
    CHECK_FALSE(refusal.hint.empty());
  }
}

// Where each tensor of identity() is in its source's file.
std::vector<std::optional<uint64_t>> offsets_of(const Source& source, const std::vector<PlannedTensor>& plan) {
  std::vector<std::optional<uint64_t>> offsets;
  TileBuffer unused;
  for (const PlannedTensor& tensor : plan)
    offsets.push_back(source.load(source.manifest().find(tensor.key), 0, unused).offset_bytes);
  return offsets;
}

// A source of a few MB whose tensors lie in the file in the order of their keys, behind a header of its own length.
std::string numbered_file(const TemporaryFolder& folder, const std::string& author) {
  std::vector<test::MemoryTensor> tensors;
  std::vector<std::byte> bytes;
  for (int t = 0; t < 3; ++t) {
    const int64_t rows = t == 1 ? 300'000 : 1000 * (t + 1);
    bytes.clear();
    for (int64_t i = 0; i < rows * 8; ++i) bytes.push_back(static_cast<std::byte>(i * (t + 3) % 251));
    tensors.push_back({"t" + std::to_string(t), DType::f32, {rows, 2}, bytes});
  }
  OutputOptions options;
  options.metadata = {{"author", author}};
  write_identity(test::MemorySource(tensors), folder / "source", options);
  return folder / "source/model.safetensors";
}

TEST_CASE("with clone the data lies as in the source, and is the same; the header is the same but for spaces") {
  for (const auto& author : {std::string(), std::string("someone with a longer name"), std::string(5000, 'x')}) {
    const TemporaryFolder folder;
    const auto source = open_source(numbered_file(folder, author));
    const auto plan = identity(*source);
    OutputOptions options;
    write_identity(*source, folder / "plain");
    options.clone = true;
    options.source_offsets = offsets_of(*source, plan);
    write_identity(*source, folder / "cloned", options);
    const auto plain = open_source(folder / "plain"), cloned = open_source(folder / "cloned");
    for (size_t t = 0; t < plan.size(); ++t) {
      TileBuffer unused;
      CHECK(cloned->load(t, 0, unused).offset_bytes % 4096 == *options.source_offsets[t] % 4096);
    }
    const std::string a = read_file(folder / "plain/model.safetensors"),
                      b = read_file(folder / "cloned/model.safetensors");
    const size_t data_bytes = (1000 + 300'000 + 3000) * 8;
    REQUIRE(a.size() > data_bytes);
    CHECK((a.substr(a.size() - data_bytes) == b.substr(b.size() - data_bytes)));
    const std::string head_a = a.substr(8, a.size() - data_bytes - 8), head_b = b.substr(8, b.size() - data_bytes - 8);
    CHECK(head_b.size() % 8 == 0);
    CHECK(head_b.size() < head_a.size() + 4096);
    CHECK(head_b.substr(0, head_a.size()) == head_a);
    CHECK(head_b.find_first_not_of(' ', head_a.size()) == std::string::npos);
  }
}

// A file in memory that takes whole pages of another file by itself.
struct SharingSink : test::FileSink {
  using FileSink::FileSink;
  bool shares() const override { return true; }
  std::pair<uint64_t, uint64_t> share(size_t file, uint64_t offset, int fd, uint64_t from, uint64_t length) override {
    const uint64_t begin = (offset + 4095) / 4096 * 4096, end = (offset + length) / 4096 * 4096;
    if (begin >= end) return {offset, offset};
    std::vector<std::byte> bytes(end - begin);
    REQUIRE(::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(from + begin - offset)) ==
            static_cast<ssize_t>(bytes.size()));
    write(file, begin, bytes);
    n_shared += bytes.size();
    n_writes = 0;
    return {begin, end};
  }
  size_t n_shared = 0;
};

TEST_CASE("what a sink shares is not copied: tensors that follow each other on both sides are one run") {
  const TemporaryFolder folder;
  const auto source = open_source(numbered_file(folder, "a"));
  struct Row {
    std::vector<std::string> order;
    size_t n_shared;
  };
  // 8000, 2400000 and 24000 bytes.
  for (const Row& row : {Row{{"t0", "t1", "t2"}, 593 * 4096}, Row{{"t1", "t0", "t2"}, (585 + 1 + 5) * 4096}}) {
    const auto plan = identity(*source, row.order);
    SharingSink sink(plan);
    execute(plan, {source.get()}, sink, {2, {}, nullptr, 4096});
    CHECK(sink.n_shared == row.n_shared);
    CHECK(static_cast<size_t>(sink.n_writes) == sink.finished_ranges().size() - row.n_shared / 4096);
    test::FileSink copied(plan);
    execute(plan, {source.get()}, copied);
    CHECK((sink.all() == copied.all()));
  }
}

TEST_CASE("a write that fails later is an error, and nothing is left") {
  const TemporaryFolder folder;
  const auto source = open_source(numbered_file(folder, "a"));
  const auto plan = identity(*source);
  {
    OutputFolder output(folder / "out", plan);
    // The limit holds for what is opened already, too; without the handler the signal would end the program.
    struct rlimit before {};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit little { 1'000'000, before.rlim_max };
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &little) == 0);
    const auto error = error_of([&] { execute(plan, {source.get()}, output); });
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, handler);
    CHECK(error.id == "io-write");
    CHECK(error.message == "writing failed: File too large");
  }
  CHECK(folder.names() == std::vector<std::string>{"source", "source/model.safetensors"});
}

TEST_CASE("a large source and output are not left in the page cache; smaller ones are") {
  const TemporaryFolder folder;
  std::vector<std::byte> numbers(8 << 20);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::byte>(i * 7 % 251);
  std::vector<test::MemoryTensor> tensors = {{"a", DType::u8, {8 << 20}, numbers}};
  for (int i = 0; i < 400; ++i)  // which are read by the dozen
    tensors.push_back({"b." + std::to_string(i), DType::u8, {10'000}, {numbers.begin(), numbers.begin() + 10'000}});
  const test::MemorySource made(std::move(tensors));
  write_identity(made, folder / "source", {}, {}, 1);
  const std::string in = folder / "source/model.safetensors", out = folder / "out/model.safetensors";
  const auto cached_pages = [](const std::string& path) {
    const MappedFile file(path);
    std::vector<unsigned char> in_core(file.size() / 4096 + 1);
    REQUIRE(::mincore(const_cast<std::byte*>(file.bytes().data()), file.size(), in_core.data()) == 0);
    return std::count_if(in_core.begin(), in_core.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  const auto write = [&](std::optional<uint64_t> most) {
    std::filesystem::remove_all(folder / "out");
    const auto source = open_source(in);
    const auto plan = identity(*source);
    OutputOptions options;
    ExecOptions exec;
    options.max_cached_bytes = exec.max_cached_bytes = most;
    exec.threads = 1;  // what one lets go, another's reading ahead would fill again
    OutputFolder output(folder / "out", plan, options);
    execute(plan, {source.get()}, output, exec);
    output.commit();
  };
  {
    const MappedFile file(in);
    drop_cached(file.fd());
  }
  if (cached_pages(in) > 100) {
    WARN("this file system keeps all that it holds in memory");
    return;
  }
  const auto all = static_cast<std::ptrdiff_t>(std::filesystem::file_size(in) / 4096);
  write({});
  CHECK(cached_pages(in) > all / 2);
  CHECK(cached_pages(out) > all / 2);
  write(1 << 20);
  CHECK(cached_pages(in) < all / 4);
  CHECK(cached_pages(out) < all / 4);
  CHECK((read_file(in) == read_file(out)));
}

TEST_CASE("metadata stands in every file, beside the format") {
  const TemporaryFolder folder;
  OutputOptions options;
  options.max_shard_bytes = 1;
  options.metadata = {{"author", "A \"B\" C"}, {"format", "np"}, {"license", "MIT"}};
  const auto plan = many_tensors(2, 1);
  OutputFolder output(folder / "out", plan, options);
  execute(plan, {}, output);
  output.commit();
  for (const char* name : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    const std::string bytes = read_file(folder / (std::string("out/") + name));
    CHECK(bytes.substr(8).starts_with(R"({"__metadata__":{"author":"A \"B\" C","format":"pt","license":"MIT"},)"));
  }
  const auto source = open_source(folder / "out");
  CHECK(source->metadata()["__metadata__"] == Json{{"author", "A \"B\" C"}, {"format", "pt"}, {"license", "MIT"}});
}
