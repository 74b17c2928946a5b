#include "formats/framework_folder.h"

#include <filesystem>

#include <fmt/format.h>

#include "formats/array_source.h"
#include "formats/folder_formats.h"
#include "formats/open_file.h"
#include "formats/tensorflow_source.h"

namespace remap::formats {
namespace {

std::optional<FrameworkFolder> opened(std::unique_ptr<Source> source, const std::vector<Diagnostic>& notices,
                                      std::string taken) {
  for (const Diagnostic& notice : notices) source->add_notice(notice);
  return FrameworkFolder{std::move(source), std::move(taken)};
}

}  // namespace

std::optional<std::string> readable_folder_kind(const std::string& folder) {
  if (const FolderFormat* format = find_folder_format(folder)) return format->what;
  if (is_tensorflow_folder(folder)) return "a TensorFlow checkpoint";
  return array_folder_kind(folder);
}

std::optional<FrameworkFolder> open_framework_folder(const std::string& path, bool has_tensor_files,
                                                     const OpenOptions& options) {
  if (const auto found = find_tensorflow(path))
    return opened(open_file(path, found->file, options), found->notices,
                  fmt::format("'{}'", std::filesystem::path(found->file).filename().string()));
  const auto found = find_array_folder(path);
  if (!found || (found->folder != path && has_tensor_files)) return std::nullopt;
  return opened(open_arrays(path, found->folder, options), found->notices, "the arrays");
}

}  // namespace remap::formats
