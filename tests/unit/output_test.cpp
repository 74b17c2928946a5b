// The output folder: byte for byte what the real libraries write, whole or not there at all.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remap/diagnostic.h"
#include "remap/execute.h"
#include "remap/output.h"
#include "support/catch.h"
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
    for (const auto& entry : fs::recursive_directory_iterator(path_)) names.push_back(fs::relative(entry.path(), path_).string());
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

void write_file(const std::string& path, const std::string& contents) { std::ofstream(path, std::ios::binary) << contents; }

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
    Piece& piece = target.pieces.emplace_back(Piece{0, static_cast<uint32_t>(index), {}, {}, {}});
    for (size_t d = 0; d < info.shape.size(); ++d)
      piece.axes.push_back({info.shape[d], 1, 1, static_cast<uint8_t>(d), static_cast<uint8_t>(d)});
  }
  return plan;
}

void write_identity(const Source& source, const std::string& path, const OutputOptions& options = {}, std::vector<std::string> order = {},
                    int threads = 0) {
  const auto plan = identity(source, std::move(order));
  OutputFolder output(path, plan, options);
  execute(plan, {&source}, output, {threads, {}, nullptr});
  output.commit();
}

std::vector<PlannedTensor> one_tensor(Shape shape = {2}, DType dtype = DType::f32) { return {{"w", dtype, std::move(shape), {}, 0.0, 0}}; }

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
    test::MemoryTensor tensor{info.key, info.dtype, info.shape, std::vector<std::byte>(static_cast<size_t>(data_bytes(info)))};
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
    for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
                             "mlp.down_proj", "input_layernorm", "post_attention_layernorm"})
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
  const std::vector<PlannedTensor> plan = {
      {"a", DType::u8, {4}, {}, 1.0, 0}, {"b", DType::u8, {50}, {}, 2.0, 0}, {"c", DType::u8, {6}, {}, 3.0, 0}, {"d", DType::u8, {4}, {}, 4.0, 0}};
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
    CHECK(folder.names().size() == 3);
    CHECK_FALSE(fs::exists(folder / "out"));
  }
  CHECK(folder.names().empty());
}

TEST_CASE("a failure midway leaves nothing behind, and an old output as it was") {
  const TemporaryFolder folder;
  write_one(folder / "out");
  const std::string before = read_file(folder / "out/model.safetensors");
  test::MemorySource source({{"a", DType::u8, {1}, std::vector<std::byte>(1), {1}}, {"b", DType::u8, {1}, std::vector<std::byte>(1), {1}}});
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
  // Root may write anywhere, so it steps down for a moment.
  ::chmod(folder.path().c_str(), 0555);
  const bool root = ::geteuid() == 0;
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
  const auto refuse = [&](const PlannedTensor& tensor) { return error_of([&] { OutputFolder output(folder / "out", {tensor}); }).id; };
  CHECK(refuse({"w", DType::c128, {1}, {}, 0.0, 0}) == "output-dtype");
  CHECK(refuse({"__metadata__", DType::f32, {1}, {}, 0.0, 0}) == "output-name");
  CHECK(refuse({"\xff", DType::f32, {1}, {}, 0.0, 0}) == "output-name");
  OutputFolder output(folder / "out", one_tensor());
  output.add_file("config.json", "{}");
  for (const char* name : {"", ".", "..", "a/b", "../x", "config.json", "model.safetensors"}) {
    INFO(name);
    CHECK(error_of([&] { output.add_file(name, ""); }).id == "output-name");
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
  CHECK(read_file(folder / "out/model.safetensors") == std::string("\x20\0\0\0\0\0\0\0", 8) + R"({"__metadata__":{"format":"pt"}})");
}
