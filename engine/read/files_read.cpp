#include "remap/files_read.h"

#include "base/mapped_file.h"

namespace remap {

FilesRead::FilesRead(const std::vector<const Source*>& sources) {
  for (const Source* source : sources) add(*source);
}

void FilesRead::add(const Source& source) {
  OfSource one{&source, {}};
  source.visit_files([&](const std::string& path, const FileStamp* opened) {
    one.stamps.push_back(opened != nullptr ? *opened : stamp_of(path));
  });
  sources_.push_back(std::move(one));
}

void FilesRead::visit(const std::function<void(const std::string& path, const FileStamp& stamp)>& body) const {
  for (const OfSource& one : sources_) {
    size_t i = 0;
    one.source->visit_files([&](const std::string& path, const FileStamp*) { body(path, one.stamps[i++]); });
  }
  for (const FileRead& file : files_) body(file.path, file.stamp);
}

void FilesRead::require_unchanged() const {
  for (const OfSource& one : sources_) one.source->check_bytes();
  visit([](const std::string& path, const FileStamp& stamp) { require_same(path, stamp, stamp_of(path)); });
}

}  // namespace remap
