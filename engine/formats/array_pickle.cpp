#include "formats/array_pickle.h"

#include <fmt/format.h>

#include "formats/torch_listing.h"

namespace remap::formats {
namespace {

// Texts that stand in the pickles of libraries that mean something else by them.
constexpr std::string_view kOthers[] = {"torch.distributed.checkpoint.metadata", "StructuredToParameterName@@"};

// Protocols 0 and 1 have no header: it is a pickle if all of it obeys.
bool is_text_protocol(const MappedFile& file, std::string_view text) {
  if (text.size() < 2 || !(text.ends_with('.') || text.ends_with(".\n"))) return false;
  try {
    const PickleGraph graph = read_pickle(file.bytes(), {file.path(), {}, 0}, {});
    return graph.size_bytes() + 1 >= text.size() && !graph.is(graph.root(), PickleKind::none);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

bool looks_like_pickle(const MappedFile& file) {
  const std::string_view text = file.text();
  constexpr size_t kNear = size_t{64} << 10;
  for (const std::string_view mark : kOthers)
    if (text.substr(0, kNear).find(mark) != text.npos ||
        (text.size() > kNear && text.substr(text.size() - kNear).find(mark) != text.npos))
      return false;
  const bool has_header = text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
  return has_header || is_text_protocol(file, text);
}

std::unique_ptr<Source> open_array_pickle(const MappedFile& file, const OpenOptions& options) {
  TorchContents contents;
  contents.file = file;
  contents.origin = {file.path(), {}, 0};
  contents.arrays_only = true;
  contents.graph = read_pickle(contents.file.bytes(), contents.origin, options.limits);
  if (contents.graph.size_bytes() != file.size())
    contents.remarks.push_back(
        fmt::format("{} bytes after the end of the pickle are not read", file.size() - contents.graph.size_bytes()));
  auto listing = list_torch(contents, options.limits);
  if (listing.tensors.empty()) return nullptr;
  name_bare_tensor(listing, file.path());
  return source_of("pickle", std::move(contents), std::move(listing));
}

}  // namespace remap::formats
