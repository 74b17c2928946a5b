#include "formats/torch_contents.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/text.h"

namespace remap::formats {

const StorageType* find_storage_type(const PickleGlobal& global) {
  static const std::array<StorageType, 20> kRows = {{
      {"DoubleStorage", 8, DType::f64},
      {"FloatStorage", 4, DType::f32},
      {"HalfStorage", 2, DType::f16},
      {"BFloat16Storage", 2, DType::bf16},
      {"LongStorage", 8, DType::i64},
      {"IntStorage", 4, DType::i32},
      {"ShortStorage", 2, DType::i16},
      {"CharStorage", 1, DType::i8},
      {"ByteStorage", 1, DType::u8},
      {"BoolStorage", 1, DType::boolean},
      {"ComplexDoubleStorage", 16, DType::c128},
      {"ComplexFloatStorage", 8, DType::c64},
      {"UntypedStorage", 1, std::nullopt},
      {"_UntypedStorage", 1, std::nullopt},
      {"QInt8Storage", 1, std::nullopt, "qint8"},
      {"QUInt8Storage", 1, std::nullopt, "quint8"},
      {"QInt32Storage", 4, std::nullopt, "qint32"},
      {"QUInt4x2Storage", 1, std::nullopt, "quint4x2"},
      {"QUInt2x4Storage", 1, std::nullopt, "quint2x4"},
      {"UntypedStorageBase", 1, std::nullopt},
  }};
  static constexpr std::array<std::string_view, 3> kModules = {"torch", "torch.cuda", "torch.storage"};
  if (std::find(kModules.begin(), kModules.end(), global.module) == kModules.end()) return nullptr;
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const StorageType& type) { return type.name == global.name; });
  return row == kRows.end() ? nullptr : &*row;
}

namespace {

// Reads the parts of one persistent id.
class StorageIdReader {
 public:
  StorageIdReader(const PickleGraph& graph, const PickleOrigin& origin) : graph_(graph), origin_(origin) {}

  std::optional<StorageId> read(PickleRef persistent) const {
    const PickleRef id = graph_.persistent_id(persistent);
    if (!graph_.is(id, PickleKind::tuple)) return std::nullopt;
    const auto& parts = graph_.items(id);
    if (parts.empty() || text(parts[0]) != "storage") return std::nullopt;
    if (parts.size() < 5 || parts.size() > 6)
      refuse(fmt::format("it has {} parts; 5 or 6 were expected", parts.size()));
    StorageId out;
    out.type = read_type(parts[1]);
    if (!graph_.is(parts[2], PickleKind::text)) refuse(fmt::format("its key is {}", describe(graph_.kind(parts[2]))));
    if (graph_.text(parts[2]).size() > 256) refuse(fmt::format("its key has {} bytes", graph_.text(parts[2]).size()));
    out.key = std::string(graph_.text(parts[2]));
    out.elements = out.part_elements = count(parts[4], "size");
    if (parts.size() == 6 && !graph_.is(parts[5], PickleKind::none)) read_part(parts[5], out);
    return out;
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    throw Error("torch-bad-storage", BytePlace{origin_.file, origin_.member, {}},
                "a storage's persistent id is malformed: " + message);
  }
  std::string_view text(PickleRef ref) const {
    return graph_.is(ref, PickleKind::text) ? graph_.text(ref) : std::string_view{};
  }
  uint64_t count(PickleRef ref, std::string_view what) const {
    if (!graph_.is(ref, PickleKind::integer) || graph_[ref].integer < 0)
      refuse(fmt::format("its {} is not a count", what));
    return static_cast<uint64_t>(graph_[ref].integer);
  }
  const StorageType* read_type(PickleRef ref) const {
    if (!graph_.is(ref, PickleKind::global)) refuse(fmt::format("its type is {}", describe(graph_.kind(ref))));
    const StorageType* type = find_storage_type(graph_.global(ref));
    if (type == nullptr)
      throw Error("torch-unknown-storage", BytePlace{origin_.file, origin_.member, {}},
                  fmt::format("'{}.{}' is not a storage type that is known",
                              utf8_prefix(graph_.global(ref).module, 100), utf8_prefix(graph_.global(ref).name, 100)));
    return type;
  }
  // (key of the view, offset, size): a part of the storage, counted in elements.
  void read_part(PickleRef view, StorageId& out) const {
    if (!graph_.is(view, PickleKind::tuple) || graph_.items(view).size() != 3)
      refuse("its view is not (key, offset, size)");
    out.first_element = count(graph_.items(view)[1], "view's offset");
    out.part_elements = count(graph_.items(view)[2], "view's size");
    if (!range_inside(out.first_element, out.part_elements, out.elements))
      refuse(fmt::format("elements {} to {} of a storage of {}", out.first_element,
                         out.first_element + out.part_elements, out.elements));
  }

  const PickleGraph& graph_;
  const PickleOrigin& origin_;
};

}  // namespace

std::optional<StorageId> read_storage_id(const PickleGraph& graph, PickleRef persistent, const PickleOrigin& origin) {
  return StorageIdReader(graph, origin).read(persistent);
}

}  // namespace remap::formats
