// A folder of files whose names and contents the input gives: which of them are a checkpoint is found, or refused; what
// is found can be read, and nothing in the folder is changed.
#include <cstdlib>
#include <map>

#include "fuzz/fuzz_input.h"
#include "remap/diagnostic.h"
#include "support/torch_files.h"

using namespace remap;

namespace {

constexpr size_t kMaxFiles = 12;
constexpr std::string_view kNames[] = {"model.safetensors",
                                       "model.safetensors.index.json",
                                       "pytorch_model.bin",
                                       "consolidated.00.pth",
                                       "consolidated.01.pth",
                                       "checkpoint",
                                       "config.json",
                                       "params.json",
                                       "model-00001-of-00002.safetensors",
                                       "model-00002-of-00002.safetensors",
                                       "a.pt",
                                       "a.pt.part"};

std::string safetensors(std::string_view key) {
  std::string name;
  for (const char c : key) name += c >= 'a' && c <= 'z' ? c : '.';
  const std::string header = "{\"" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  return test::little<uint64_t>(header.size()) + header + "xy";
}
std::string torch_zip(std::string_view key) {
  test::Pickle pickle;
  pickle << "}";
  pickle.text(key).tensor({});
  return test::build_torch_zip(pickle.bytes() + "s.");
}

// One part of a path, of the folder itself.
bool is_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\0", 2)) == name.npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  folder.clear();
  fuzz::Input input(data, size);
  std::map<std::string, std::string> files;
  for (size_t n = 0; n < kMaxFiles && !input.empty(); ++n) {
    const uint8_t form = input.byte();
    const std::string name(form & 0x80 ? input.text() : kNames[input.byte() % std::size(kNames)]);
    const std::string_view text = input.long_text();
    if (!is_name(name) || files.contains(name) ||
        std::filesystem::exists(std::filesystem::symlink_status(folder.path(name))))
      continue;
    switch (form % 6) {
      case 0: files[name] = text; break;
      case 1: files[name] = safetensors(text); break;
      case 2: files[name] = torch_zip(text); break;
      case 3: std::filesystem::create_directory(folder.path(name)); continue;
      case 4:
        std::filesystem::create_symlink(is_name(text) ? std::string(text) : "nowhere", folder.path(name));
        continue;
      default: files[name] = files.empty() ? std::string() : files.begin()->second;
    }
    folder.write(name, files[name]);
  }
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  for (const auto& [name, bytes] : files)
    if (std::filesystem::file_size(folder.path(name)) != bytes.size()) std::abort();
  return 0;
}
