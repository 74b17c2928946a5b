#include "formats/torch_source.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <mutex>
#include <tuple>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "formats/torch_contents.h"
#include "formats/torch_listing.h"
#include "tensor/box.h"
#include "tensor/byte_order.h"
#include "tensor/sign.h"

namespace remap {
namespace formats {
namespace {

// An unpacked member: an unlinked temporary file, mapped. Its pages can be dropped by the kernel, so memory stays
// bounded.
class TemporaryCopy {
 public:
  TemporaryCopy(const ZipArchive& zip, const ZipMember& member, const std::string& file)
      : size_bytes_(member.size_bytes) {
    const char* folder = std::getenv("TMPDIR");
    std::string name = fmt::format("{}/remap-XXXXXX", folder != nullptr && *folder != 0 ? folder : "/tmp");
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0)
      throw Error("io-write", BytePlace{name, {}, {}},
                  fmt::format("cannot make a temporary file: {}", errno_text(errno)));
    ::unlink(name.c_str());
    try {
      zip.unpack(member, [&](std::span<const std::byte> bytes) { write(bytes, name); });
      if (size_bytes_ == 0) return;
      mapping_ = std::make_unique<Mapping>(fd_, size_bytes_, BytePlace{file, std::string(member.name), {}});
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }
  ~TemporaryCopy() {
    mapping_.reset();
    ::close(fd_);
  }
  TemporaryCopy(const TemporaryCopy&) = delete;
  TemporaryCopy& operator=(const TemporaryCopy&) = delete;
  const std::byte* data() const { return mapping_ ? mapping_->data() : nullptr; }
  int fd() const { return fd_; }
  bool is_readable() const { return !mapping_ || !mapping_->fault(); }

 private:
  void write(std::span<const std::byte> bytes, const std::string& name) const {
    if (const int error = write_all(fd_, bytes); error != 0)
      throw Error("io-write", BytePlace{name, {}, {}},
                  fmt::format("cannot write to a temporary file: {}", errno_text(error)),
                  "set TMPDIR to a folder with more room");
  }

  uint64_t size_bytes_;
  int fd_ = -1;
  std::unique_ptr<Mapping> mapping_;  // none of an empty member
};

class TorchSource final : public Source {
 public:
  TorchSource(std::string_view format, TorchContents contents, TorchListing listing)
      : format_(format), contents_(std::move(contents)) {
    metadata_ = std::move(listing.metadata);
    remarks_ = std::move(listing.remarks);
    std::vector<TensorInfo> infos;
    for (ListedTensor& tensor : listing.tensors) {
      if (auto* spec = std::get_if<TensorSpec>(&tensor.tensor)) {
        infos.push_back({std::move(tensor.key), spec->dtype, spec->shape, {}});
        specs_.push_back(std::move(*spec));
      } else {
        auto& unreadable = std::get<UnreadableTensor>(tensor.tensor);
        infos.push_back(unread_tensor(std::move(tensor.key), std::move(unreadable.why), std::move(unreadable.dtype),
                                      std::move(unreadable.shape)));
        specs_.emplace_back();
      }
    }
    set_aliases(infos);
    manifest_ = Manifest(std::move(infos), path());  // sorted already, so that indices agree with specs_
    contents_.graph.drop_values();
    copies_ = std::vector<Copy>(contents_.storages.size());
  }

  std::string_view format() const override { return format_; }
  const std::string& path() const override { return contents_.file.path(); }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<std::string> remarks() const override { return remarks_; }

  std::vector<Box> tile_boxes(size_t index) const override {
    require_read(manifest_[index], path());
    const auto changed = changed_.find(index);
    return changed != changed_.end() ? changed->second : whole_tensor_tile(stored_form(manifest_[index]).shape);
  }

  void check_bytes() const override {
    contents_.file.require_readable();
    for (const Copy& copy : copies_)
      if (copy.made.load(std::memory_order_acquire) && !copy.file->is_readable())
        throw Error("io-read", BytePlace{path(), {}, {}}, "the temporary file of an unpacked member cannot be read",
                    "set TMPDIR to a folder on other storage");
  }

  bool in_place(size_t index) const override {
    return changed_.find(index) == changed_.end() && contents_.storages[specs_[index].storage].packed == nullptr;
  }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    require_read(manifest_[index], path());
    const auto changed = changed_.find(index);
    return changed == changed_.end() ? stored(index) : changed_values(index, changed->second[tile], buffer);
  }

 private:
  TileView stored(size_t index) const {
    const TensorSpec& spec = specs_[index];
    const TorchStorage& storage = contents_.storages[spec.storage];
    if (storage.packed == nullptr) return stored_view(contents_, spec);
    const TemporaryCopy& copy = unpacked(spec.storage, *storage.packed);
    return {copy.data() + spec.offset_bytes, spec.strides, copy.fd(), spec.offset_bytes, &contents_.file.path()};
  }

  // Part of a tensor whose values are those of its bytes with other signs, or in another order of bytes.
  TileView changed_values(size_t index, const Box& box, TileBuffer& buffer) const {
    const TensorSpec& spec = specs_[index];
    const TileView whole = stored(index);
    TileView view{.data = nullptr, .strides = row_major_strides(box.extent), .fd = -1, .offset_bytes = 0};
    buffer.resize(static_cast<size_t>(element_count(box.extent) * size_bytes(spec.dtype)));
    const int64_t first = offset_in_tile(box, {Shape(box.origin.size(), 0), spec.shape}, whole.strides);
    copy_with_signs(buffer.data(), whole.data + first * size_bytes(spec.dtype), box.extent, whole.strides, spec.dtype,
                    spec.negative, spec.conjugate);
    if (spec.big_endian) swap_bytes(buffer, spec.dtype);
    view.data = buffer.data();
    return view;
  }

  // Cuts along the outer dimensions into boxes of a bounded size.
  static void cut(const Box& box, size_t dim, std::vector<Box>& boxes) {
    constexpr int64_t kTileElements = int64_t{1} << 20;
    const int64_t count = element_count(box.extent);
    if (count <= kTileElements || dim == box.extent.size()) return boxes.push_back(box);
    const int64_t step = std::max<int64_t>(1, kTileElements / (count / box.extent[dim]));
    for (int64_t begin = 0; begin < box.extent[dim]; begin += step) {
      Box part = box;
      part.origin[dim] += begin;
      part.extent[dim] = std::min(step, box.extent[dim] - begin);
      cut(part, dim + 1, boxes);
    }
  }

  // Tensors that are the same view of the same bytes are named after the first of them. Also finds those whose values
  // are changed.
  void set_aliases(std::vector<TensorInfo>& infos) {
    std::map<std::tuple<uint32_t, uint64_t, DType, Shape, std::vector<int64_t>, bool, bool>, std::vector<size_t>>
        groups;
    for (size_t i = 0; i < infos.size(); ++i) {
      const TensorSpec& spec = specs_[i];
      if (infos[i].unread != nullptr || element_count(infos[i].shape) == 0) continue;
      groups[{spec.storage, spec.offset_bytes, spec.dtype, spec.shape, spec.strides, spec.conjugate, spec.negative}]
          .push_back(i);
      if (spec.is_changed()) cut({Shape(spec.shape.size(), 0), spec.shape}, 0, changed_[i]);
    }
    for (const auto& [bytes, group] : groups)
      if (group.size() > 1)
        for (const size_t i : group) infos[i].alias = infos[group.front()].key;
  }

  struct Copy {
    std::once_flag once;
    std::unique_ptr<TemporaryCopy> file;
    std::atomic<bool> made = false;
  };
  const TemporaryCopy& unpacked(uint32_t storage, const ZipMember& member) const {
    Copy& copy = copies_[storage];
    std::call_once(copy.once, [&] {
      copy.file = std::make_unique<TemporaryCopy>(*contents_.zip, member, path());
      copy.made.store(true, std::memory_order_release);
    });
    return *copy.file;
  }

  std::string_view format_;
  TorchContents contents_;
  std::vector<TensorSpec> specs_;               // by index in the manifest; of no use for what is not read
  std::map<size_t, std::vector<Box>> changed_;  // the tiles of tensors whose values are changed
  Manifest manifest_;
  Json metadata_;
  std::vector<std::string> remarks_;
  mutable std::vector<Copy> copies_;  // by storage; filled on first use
};

}  // namespace

std::unique_ptr<Source> source_of(std::string_view format, TorchContents contents, TorchListing listing) {
  return std::make_unique<TorchSource>(format, std::move(contents), std::move(listing));
}

}  // namespace formats

bool looks_like_torch(const MappedFile& file) {
  const auto bytes = file.bytes();
  return formats::looks_like_torch_legacy(bytes) || formats::looks_like_torch_tar(bytes) ||
         formats::looks_like_torch_zip(bytes);
}

std::unique_ptr<Source> open_torch(MappedFile file, const OpenOptions& options) {
  if (formats::looks_like_torch_tar(file.bytes()))
    throw Error("torch-tar", BytePlace{file.path(), {}, {}},
                "the checkpoint is a tar archive, as torch wrote before 0.1.10 (2017); it is not read",
                "load it with torch and save it again");
  const std::string path = file.path();
  auto contents = formats::ZipArchive::has_signature(file.bytes())
                      ? formats::read_torch_zip(std::move(file), options.limits)
                      : formats::read_torch_legacy(std::move(file), options.limits);
  auto listing = formats::list_torch(contents, options.limits);
  formats::name_bare_tensor(listing, path);
  return formats::source_of("torch", std::move(contents), std::move(listing));
}

}  // namespace remap
