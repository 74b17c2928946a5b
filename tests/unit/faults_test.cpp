// Files that become others while they are read, and storage that fails: an error that names the file, never a signal.
#include "base/guarded_range.h"
#include "base/mapped_file.h"
#include "remap/compare.h"
#include "remap/convert.h"
#include "remap/files_read.h"
#include "remap/limits.h"
#include "remap/output.h"
#include "support/catch.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace remap;
using remap::test::TempFolder;

namespace {

const auto kPage = static_cast<size_t>(::sysconf(_SC_PAGESIZE));

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A safetensors file with one tensor of `n_bytes` bytes.
std::string safetensors(size_t n_bytes, char value, const std::string& key = "w") {
  std::string head =
      fmt::format(R"({{"{}":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}}}})", key, n_bytes, n_bytes);
  head.resize((head.size() + 7) / 8 * 8, ' ');
  const uint64_t length = head.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + head + std::string(n_bytes, value);
}

unsigned sum(const MappedFile& file) {
  unsigned total = 0;
  for (const std::byte byte : file.bytes()) total += std::to_integer<unsigned>(byte);
  return total;
}

// How a child process that does this ends: its exit code, or minus the signal.
int end_of(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// A page that no file is below: reading it raises SIGBUS that is not ours.
const volatile char* foreign_page(const TempFolder& folder) {
  const int fd = ::open(folder.write("foreign", "x").c_str(), O_RDWR);
  void* page = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 0);
  if (::ftruncate(fd, 0) != 0) return nullptr;
  return static_cast<const volatile char*>(page);
}

volatile std::sig_atomic_t passed_on = 0;
void on_foreign(int, siginfo_t*, void*) {
  passed_on = passed_on + 1;
  ::_exit(42);
}
void install(void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

TEST_CASE("a mapped file that becomes shorter reads as zeros and is an error with its name") {
  const TempFolder folder;
  const std::string path = folder.write("a.bin", std::string(4 * kPage, '\1'));
  const MappedFile file(path), other(folder.write("b.bin", std::string(kPage, '\2')));
  CHECK(sum(file) == 4 * kPage);
  REQUIRE(::truncate(path.c_str(), kPage) == 0);
  CHECK(sum(file) == kPage);
  CHECK(sum(file) == kPage);  // again: the pages are there now
  CHECK(error_of([&] { file.require_readable(); }) ==
        path + ": error[io-truncated]: the file had 16384 bytes when it was opened and now has 4096");
  CHECK(sum(other) == 2 * kPage);
  CHECK(error_of([&] { other.require_readable(); }).empty());
  // What a reader made of the zeros is not what is wrong.
  const std::string said = error_of([&] {
    file.read([&]() -> int {
      static_cast<void>(sum(file));
      throw Error("json-syntax", {}, "a zero byte");
    });
  });
  CHECK(said.find("io-truncated") != std::string::npos);
}

TEST_CASE("storage that cannot read a page is an error with the offset") {
  // A mapping of more than the file has faults as failing storage does: the file's size did not change.
  const TempFolder folder;
  const std::string path = folder.write("a.bin", std::string(kPage, '\1'));
  const int fd = ::open(path.c_str(), O_RDONLY);
  const Mapping mapping(fd, 3 * kPage, {path, {}, {}});
  CHECK(mapping.fault() == std::nullopt);
  CHECK(static_cast<const volatile std::byte*>(mapping.data())[2 * kPage + 5] == std::byte{0});
  CHECK(mapping.fault() == 2 * kPage);
  CHECK(static_cast<const volatile std::byte*>(mapping.data())[kPage] == std::byte{0});
  CHECK(mapping.fault() == kPage);
  CHECK(mapping.data()[0] == std::byte{1});
  ::close(fd);
}

TEST_CASE("a fault that is not in our files goes on to who had it before") {
  const TempFolder folder;
  const std::string path = folder.write("a.bin", std::string(kPage, '\1'));
  struct sigaction before {};
  ::sigaction(SIGBUS, nullptr, &before);
  {
    const MappedFile file(path);
    struct sigaction during {};
    ::sigaction(SIGBUS, nullptr, &during);
    CHECK(during.sa_sigaction != before.sa_sigaction);
  }
  struct sigaction after {};
  ::sigaction(SIGBUS, nullptr, &after);
  CHECK(after.sa_sigaction == before.sa_sigaction);

  const auto fault_with = [&](void (*prepare)()) {
    return end_of([&] {
      prepare();
      const volatile char* page = foreign_page(folder);
      const MappedFile file(path);
      return static_cast<int>(*page);
    });
  };
  CHECK(fault_with([] { std::signal(SIGBUS, SIG_DFL); }) == -SIGBUS);
  CHECK(fault_with([] { std::signal(SIGBUS, SIG_IGN); }) == -SIGBUS);  // a fault cannot be ignored
  CHECK(fault_with([] { install(on_foreign); }) == 42);
  CHECK(end_of([&] {
          std::signal(SIGBUS, SIG_DFL);
          const MappedFile file(path);
          return ::raise(SIGBUS);
        }) == -SIGBUS);
  CHECK(end_of([&] {
          std::signal(SIGBUS, SIG_IGN);
          const MappedFile file(path);
          return ::raise(SIGBUS);
        }) == 0);
  // Installed after ours, and passing on what is not its own.
  CHECK(end_of([&] {
          std::signal(SIGBUS, SIG_DFL);
          const MappedFile file(path);
          static struct sigaction ours;
          ::sigaction(SIGBUS, nullptr, &ours);
          install([](int signal, siginfo_t* info, void* context) { ours.sa_sigaction(signal, info, context); });
          if (::truncate(path.c_str(), 0) != 0) return 1;
          return sum(file) == 0 && !error_of([&] { file.require_readable(); }).empty() ? 0 : 2;
        }) == 0);
}

TEST_CASE("many files, opened and closed in turn, are all guarded") {
  const TempFolder folder;
  std::vector<MappedFile> files;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 600; ++i) files.emplace_back(folder.write(std::to_string(i), std::string(2 * kPage, '\1')));
    for (int i = 0; i < 600; i += 7) REQUIRE(::truncate(folder.path(std::to_string(i)).c_str(), kPage) == 0);
    for (size_t i = 0; i < files.size(); ++i) {
      INFO(i);
      CHECK(sum(files[i]) == (i % 7 == 0 ? 1u : 2u) * kPage);
      CHECK(error_of([&] { files[i].require_readable(); }).empty() == (i % 7 != 0));
    }
    files.clear();
  }
}

TEST_CASE("more files than the soft limit allows are read and written, wherever the limit falls") {
  constexpr int kFiles = 90;
  const TempFolder folder;
  Json index = {{"weight_map", Json::object()}};
  for (int i = 0; i < kFiles; ++i) {
    const std::string key = fmt::format("w{}", i),
                      name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, kFiles);
    folder.write("source/" + name, safetensors(16, static_cast<char>(i), key));
    index["weight_map"][key] = name;
  }
  folder.write("source/model.safetensors.index.json", index.dump());
  struct rlimit old {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
  REQUIRE(old.rlim_max > 3 * kFiles);
  std::vector<rlim_t> limits = {40, 2 * kFiles, 2 * kFiles + 10, 2 * kFiles + 20};
  for (rlim_t limit = kFiles; limit < kFiles + 12; ++limit) limits.push_back(limit);
  for (const rlim_t limit : limits) {
    INFO(limit);
    struct rlimit soft = old;
    soft.rlim_cur = limit;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &soft) == 0);
    const std::string said = error_of([&] {
      Diagnostics found;
      const auto conversion = prepare({.checkpoint = folder.path("source"), .rules = "plain"}, found);
      if (!conversion) throw Error(found.items().at(0).id, {}, found.items().at(0).message);
      write(*conversion, folder.path("out"), {.max_shard_bytes = 16, .force = true, .sync = false, .provenance = true});
    });
    struct rlimit raised {};
    ::getrlimit(RLIMIT_NOFILE, &raised);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(said.empty());
    CHECK(raised.rlim_cur == old.rlim_max);
    const auto source = open_source(folder.path("source")), output = open_source(folder.path("out"));
    REQUIRE(output->manifest().size() == kFiles);
    for (size_t i = 0; i < kFiles; ++i) CHECK(tensors_equal(*source, i, *output, i));
  }
}

TEST_CASE("what becomes of a file that is read is said, and what was made of it is not given") {
  struct Row {
    const char* name;
    std::function<void(const std::string& path)> change;
    std::string message;  // "" : nothing is wrong
  };
  const std::string whole = safetensors(3 * kPage, 'w');
  const auto write_again = [&](const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  const std::string n = std::to_string(whole.size());
  const std::vector<Row> rows = {
      {"nothing", [](const std::string&) {}, ""},
      {"other rights", [](const std::string& path) { REQUIRE(::chmod(path.c_str(), 0400) == 0); }, ""},
      {"a second name", [](const std::string& path) { REQUIRE(::link(path.c_str(), (path + ".2").c_str()) == 0); }, ""},
      {"shorter", [&](const std::string& path) { REQUIRE(::truncate(path.c_str(), 5000) == 0); },
       "error[io-truncated]: the file had " + n + " bytes when it was opened and now has 5000"},
      {"empty", [&](const std::string& path) { REQUIRE(::truncate(path.c_str(), 0) == 0); },
       "error[io-truncated]: the file had " + n + " bytes when it was opened and now has 0"},
      {"longer", [&](const std::string& path) { std::ofstream(path, std::ios::app) << "x"; },
       "error[io-changed]: the file had " + n + " bytes when it was opened and now has " +
           std::to_string(whole.size() + 1)},
      {"written again", [&](const std::string& path) { write_again(path, safetensors(3 * kPage, 'v')); },
       "error[io-changed]: the file was written to while it was read"},
      {"replaced",
       [&](const std::string& path) {
         write_again(path + ".new", whole);
         std::filesystem::rename(path + ".new", path);
       },
       "error[io-changed]: another file took its place while it was read"},
      {"removed", [&](const std::string& path) { std::filesystem::remove(path); },
       "error[io-changed]: the file was removed or renamed while it was read"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const TempFolder folder;
    const std::string path = folder.write("a.safetensors", whole), same = folder.write("b.safetensors", whole);
    // Times of modification are a few milliseconds apart at the least.
    std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) - std::chrono::hours(1));
    const auto a = open_source(path), b = open_source(same);
    const FilesRead files({a.get(), b.get()});
    row.change(path);
    const std::string said = error_of([&] { files.unchanged_during([&] { return compare_tensors(*a, 0, *b, 0); }); });
    CHECK(said == (row.message.empty() ? "" : path + ": " + row.message));
  }
}

TEST_CASE("every file of a folder is held to be the same: chunks, indices, what describes the model") {
  namespace fs = std::filesystem;
  struct Row {
    const char* checkpoint;
    std::function<bool(const std::string& name)> is_changed;
  };
  const std::vector<Row> rows = {
      {"switch/source/checkpoint_1200", [](const std::string& name) { return name == "0.0"; }},
      {"switch/source/checkpoint_1200", [](const std::string& name) { return name == ".zarray"; }},
      {"switch/source/checkpoint_1200", [](const std::string& name) { return name == "checkpoint"; }},
      {"switch/expected", [](const std::string& name) { return name == "config.json"; }},
      {"output/sharded", [](const std::string& name) { return name.ends_with(".index.json"); }},
      {"output/sharded", [](const std::string& name) { return name.starts_with("model-00002"); }},
  };
  for (const Row& row : rows) {
    INFO(row.checkpoint);
    const TempFolder folder;
    fs::copy(fs::path(REMAP_TEST_DATA) / row.checkpoint, folder.path("source"), fs::copy_options::recursive);
    const auto source = open_source(folder.path("source"));
    const FilesRead files({source.get()});
    files.require_unchanged();
    size_t n_read = 0;
    std::string changed;
    files.visit([&](const std::string& path, const FileStamp&) {
      ++n_read;
      if (changed.empty() && row.is_changed(fs::path(path).filename().string())) changed = path;
    });
    REQUIRE(fs::exists(changed));
    std::ofstream(changed, std::ios::app) << "x";
    const std::string said = error_of([&] { files.require_unchanged(); });
    CHECK(said.starts_with(changed + ": error[io-changed]: "));
    fs::remove(changed);
    CHECK(error_of([&] { files.require_unchanged(); }) ==
          changed + ": error[io-changed]: the file was removed or renamed while it was read");
    CHECK(n_read > 1);
  }
}

TEST_CASE("what a run left is gone on with only as far as it is whole and made of the same") {
  const std::vector<PlannedTensor> plan = {{"w", DType::u8, {3 * 4096}, {}, 0.0, 0}};
  const std::vector<std::byte> bytes(4096, std::byte{7});
  std::vector<std::string> said;
  const OutputOptions options = {.resume = true, .made_of = {{"plan", "1"}}, .notice = [&](const Diagnostic& d) {
                                   said.push_back(d.id + ": " + d.message);
                                 }};
  const auto hidden_in = [](const TempFolder& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      if (entry.path().filename().string().starts_with(".")) names.push_back(entry.path().string());
    return names;
  };
  const auto leave = [&](const TempFolder& folder) {
    OutputFolder output(folder.path("out"), plan, options);
    const uint64_t begin = output.place(0).offset_bytes;
    for (const uint64_t block : {0, 2}) {
      output.write(0, begin + block * 4096, bytes);
      output.finished(0, begin + block * 4096, 4096, bytes.data());
    }
    output.keep();
  };
  struct Row {
    const char* name;
    std::function<void(const std::string& hidden)> damage;
    OutputOptions options;
    std::vector<bool> holds;  // of each block
    std::string said;
  };
  OutputOptions other = options, plain = options;
  other.made_of = {{"plan", "2"}};
  plain.resume = false;
  const auto append = [](const std::string& file, const std::string& text) {
    std::ofstream(file, std::ios::app | std::ios::binary) << text;
  };
  const std::vector<Row> rows = {
      {"as it was left", [](const std::string&) {}, options, {true, false, true}, "output-resumed"},
      {"a byte of a block is another",
       [](const std::string& hidden) {
         std::fstream file(hidden + "/new/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
         file.seekp(-1, std::ios::end).put('x');
       },
       options,
       {true, false, false},
       "output-resumed"},
      {"a file is shorter",
       [](const std::string& hidden) { std::filesystem::resize_file(hidden + "/new/model.safetensors", 100); },
       options,
       {false, false, false},
       "output-resumed"},
      {"a file is missing",
       [](const std::string& hidden) { std::filesystem::remove(hidden + "/new/model.safetensors"); },
       options,
       {false, false, false},
       "output-resumed"},
      {"a line of the journal was cut short",
       [&](const std::string& hidden) { append(hidden + "/journal", "0 1"); },
       options,
       {true, false, true},
       "output-resumed"},
      {"the journal names what is not there",
       [&](const std::string& hidden) { append(hidden + "/journal", "9 9 9 00 00\n0 88 4096 00 00\nnonsense\n"); },
       options,
       {true, false, true},
       "output-resumed"},
      {"a file has a second name",
       [](const std::string& hidden) {
         std::filesystem::create_hard_link(hidden + "/new/model.safetensors", hidden + "/../second");
       },
       options,
       {false, false, false},
       "output-resumed"},
      {"made of another plan", [](const std::string&) {}, other, {false, false, false}, "it is of another plan"},
      {"not asked to", [](const std::string&) {}, plain, {false, false, false}, "which a run left that was killed"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const TempFolder folder;
    leave(folder);
    REQUIRE(hidden_in(folder).size() == 1);
    row.damage(hidden_in(folder).front());
    said.clear();
    {
      OutputFolder output(folder.path("out"), plan, row.options);
      CHECK(hidden_in(folder).size() == 1);
      std::vector<bool> holds;
      const uint64_t begin = output.place(0).offset_bytes;
      for (const uint64_t block : {0, 1, 2}) holds.push_back(output.holds(0, begin + block * 4096, 4096));
      CHECK(holds == row.holds);
    }
    REQUIRE(said.size() == 1);
    CHECK(said.front().find(row.said) != std::string::npos);
    if (std::filesystem::exists(folder.path("second"))) CHECK(test::read_file(folder.path("second")).back() == 7);
    CHECK(hidden_in(folder).empty());
  }
}

TEST_CASE("every limit has a name by which it can be changed, and is documented") {
  const std::string page = test::read_file(REMAP_SOURCE_DIR "/docs/reliability.md"),
                    manual = test::read_file(REMAP_SOURCE_DIR "/docs/remap.1");
  size_t n_in_page = 0;
  for (size_t at = 0; (at = page.find("| `max_", at)) != std::string::npos; ++at) ++n_in_page;
  CHECK(n_in_page == limit_table().size());
  const auto n_int = std::count_if(limit_table().begin(), limit_table().end(), [](const LimitRow& row) {
    return std::holds_alternative<int Limits::*>(row.member);
  });
  CHECK(sizeof(Limits) >= 8 * (limit_table().size() - static_cast<size_t>(n_int)) + 4 * static_cast<size_t>(n_int));
  CHECK(sizeof(Limits) < 8 * (limit_table().size() + 1));  // a field without a row would not fit
  for (const LimitRow& row : limit_table()) {
    INFO(row.name);
    CHECK(page.find(fmt::format("| `{}` |", row.name)) != std::string::npos);
    CHECK(page.find(fmt::format("| {} |\n", row.what)) != std::string::npos);
    CHECK(manual.find(std::string(row.name)) != std::string::npos);
    Limits limits;
    set_limit(limits, row.name, 7);
    CHECK(value_of(limits, row) == 7);
    CHECK(limits != Limits{});
  }
}
