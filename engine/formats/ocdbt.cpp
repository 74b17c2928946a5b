#include "formats/ocdbt.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/text.h"
#include "formats/folder_files.h"
#include "formats/limit.h"
#include "formats/ocdbt_parts.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNoRoot = ~uint64_t{0};
constexpr size_t kMostOpen = 64;

// Judged as text: a link may lead anywhere, as in the caches of model hubs.
bool is_inside(const std::string& path) {
  if (path.empty() || path.size() > kOcdbtMostPath || path.find_first_of(std::string_view("\\\0", 2)) != path.npos)
    return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = std::string_view(path).substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

// Where a node or value is.
struct Reference {
  size_t file = 0;  // in the table of those who name it
  uint64_t offset = 0, length = 0;
};

struct Version {
  uint64_t generation = 0;
  uint8_t height = 0;
  Reference root;
};

// Versions as a manifest lists them: the newest is the last.
std::vector<Version> read_versions(OcdbtReader& in) {
  const size_t n = in.count("versions");
  if (n == 0) in.fail("there is no version");
  const auto generations = in.column(n, "a version's generation");
  const auto heights = in.bytes_column(n, "the heights of versions");
  const auto files = in.column(n, "the file of a version");
  const auto offsets = in.column(n, "the offset of a version"), lengths = in.column(n, "the length of a version");
  for (const char* what : {"the number of keys", "the bytes of nodes", "the bytes of values"}) in.column(n, what);
  for (size_t i = 0; i < n; ++i) in.u64("a version's time");
  std::vector<Version> versions;
  for (size_t i = 0; i < n; ++i) {
    if (generations[i] == 0 || (i > 0 && generations[i] <= generations[i - 1]))
      in.fail(fmt::format("the generation {} is not greater than the one before it", generations[i]));
    versions.push_back({generations[i], heights[i], {files[i], offsets[i], lengths[i]}});
  }
  return versions;
}

// The nodes of older versions: of no use, but what follows must be the end.
void skip_version_nodes(OcdbtReader& in) {
  const size_t n = in.count("version nodes");
  for (const char* what : {"a generation", "a file", "an offset", "a length", "a number of generations"})
    in.column(n, what);
  for (size_t i = 0; i < n; ++i) in.u64("the time of a version node");
  in.bytes_column(n, "the heights of version nodes");
}

// True: the versions are in a file of their own.
bool read_configuration(OcdbtReader& in) {
  in.take(16, "the identifier");
  const uint8_t kind = in.u8("the kind");
  if (kind > 1) in.fail(fmt::format("the manifest's kind is {}; 0 and 1 are known", kind));
  in.varint("the largest inline value", 32);
  in.varint("the largest node", 32);
  if (const uint8_t arity = in.u8("the arity of versions"); arity < 1 || arity > 16)
    in.fail(fmt::format("the arity of versions is 2 to the power of {}; 1 to 16 was expected", arity));
  const uint64_t method = in.varint("the compression", 32);
  if (method > 1) in.fail(fmt::format("the compression {} is not known", method));
  if (method == 1) in.take(4, "the level of compression");
  return kind == 1;
}

// "manifest.0000000000000007", the greatest.
std::optional<std::string> numbered_manifest(const std::string& folder) {
  constexpr std::string_view kBegin = "manifest.";
  constexpr size_t kDigits = 16;
  std::optional<std::string> greatest;
  for (const auto& name : list_files(folder)) {
    if (!name.starts_with(kBegin) || name.size() != kBegin.size() + kDigits) continue;
    if (name.find_first_not_of("0123456789abcdef", kBegin.size()) != name.npos) continue;
    if (!greatest || *greatest < name) greatest = name;
  }
  return greatest;
}

}  // namespace

bool is_ocdbt_manifest(std::span<const std::byte> bytes) {
  constexpr unsigned char kMagic[] = {0x0c, 0xdb, 0x3a, 0x2a};
  return bytes.size() >= sizeof kMagic && std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin(),
                                                     [](unsigned char a, std::byte b) { return std::byte{a} == b; });
}

size_t OcdbtFiles::number_of(const std::string& path, const BytePlace& named_by) {
  const auto known = numbers_.find(path);
  if (known != numbers_.end()) return known->second;
  if (!is_inside(path))
    throw Error("ocdbt-path", named_by,
                fmt::format("the database names the data file '{}', which is not below its folder",
                            printable(utf8_prefix(path, 200))),
                "the database is damaged, or made to read files that are not its own");
  const std::string file = (fs::path(folder_) / path).string();
  if (!is_file(file))
    throw Error("source-parts", BytePlace{file, {}, {}},
                fmt::format("the data file '{}' of the database is not there", printable(path)),
                "the checkpoint was not copied completely; fetch the folder again, with the folders in it");
  MappedFile mapped(file);
  reads_.push_back({file, mapped.stamp()});
  const size_t number = reads_.size() - 1;
  open_.emplace_front(number, std::move(mapped));
  if (open_.size() > kMostOpen) open_.pop_back();
  return numbers_[path] = number;
}

MappedFile OcdbtFiles::open(size_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const auto& entry) { return entry.first == number; });
  if (found != open_.end()) {
    open_.splice(open_.begin(), open_, found);
    return open_.front().second;
  }
  MappedFile file(reads_[number].path);
  require_same(reads_[number].path, reads_[number].stamp, file.stamp());
  open_.emplace_front(number, file);
  if (open_.size() > kMostOpen) open_.pop_back();
  return file;
}

// Reads the nodes of one version into the database's entries.
class OcdbtWalk {
 public:
  OcdbtWalk(OcdbtDatabase& database, const Limits& limits) : database_(database), limits_(limits) {}

  // `led_by` is the path that the names in `files` follow.
  void visit(const std::vector<OcdbtFileName>& files, const std::string& led_by, const Reference& node, int height,
             const std::string& prefix, const std::string& bound, const BytePlace& named_by) {
    if (node.file >= files.size())
      fail(named_by, fmt::format("a node is in data file {} of {}", node.file, files.size()));
    const OcdbtFileName& name = files[node.file];
    const size_t number = file_number(led_by + name.path, named_by);
    check_inside(number, node, named_by, "a node");
    const MappedFile file = database_.files_.open(number);
    const BytePlace place{file.path(), {}, node.offset};
    n_visited_ += node.length;
    if (n_visited_ > n_allowed_)
      fail(place, "the tree's nodes, one counted as often as it is reached, are longer than all its files");
    Children children;
    file.read([&] {
      std::string buffer;
      const std::string_view body =
          open_envelope(file.text().substr(node.offset, node.length), kOcdbtNodeMagic, place, limits_, buffer);
      children = read_node(body, place, height, prefix, bound, led_by + name.base);
      return true;
    });
    for (size_t i = 0; i < children.nodes.size(); ++i)
      visit(children.files, led_by + name.base, children.nodes[i], height - 1, children.prefixes[i], children.bounds[i],
            place);
  }

 private:
  struct Children {
    std::vector<OcdbtFileName> files;
    std::vector<Reference> nodes;
    std::vector<std::string> prefixes, bounds;
  };

  [[noreturn]] static void fail(const BytePlace& place, const std::string& message) {
    OcdbtReader({}, place).fail(message);
  }

  size_t file_number(const std::string& path, const BytePlace& named_by) {
    const size_t n_before = database_.files_.all().size();
    const size_t number = database_.files_.number_of(path, named_by);
    if (database_.files_.all().size() > n_before) n_allowed_ += database_.files_.size_of(number);
    return number;
  }

  void check_inside(size_t file, const Reference& at, const BytePlace& place, std::string_view what) const {
    if (!range_inside(at.offset, at.length, database_.files_.size_of(file)))
      fail(place, fmt::format("{} has {} bytes from byte {} of '{}', which has {}", what, at.length, at.offset,
                              database_.files_.read(file).path, database_.files_.size_of(file)));
  }

  Children read_node(std::string_view body, const BytePlace& place, int height, const std::string& prefix,
                     const std::string& bound, const std::string& led_by) {
    OcdbtReader in(body, place);
    if (const uint8_t found = in.u8("the height"); found != height)
      in.fail(fmt::format("the node's height is {}; {} was expected", found, height));
    Children children;
    children.files = read_file_table(in);
    const size_t n = in.count("entries", 32);
    if (n == 0) in.fail("the node has no entries");
    const auto shared = in.column(n - 1, "the prefix of a key", 16), own = in.column(n, "the suffix of a key", 16);
    const auto common = height > 0 ? in.column(n, "a subtree's prefix", 16) : std::vector<uint64_t>();
    std::vector<std::string> keys(n);
    for (size_t i = 0; i < n; ++i) {
      if (i > 0) {
        if (shared[i - 1] > keys[i - 1].size()) in.fail("a key shares more bytes than the one before it has");
        keys[i] = keys[i - 1].substr(0, shared[i - 1]);
      }
      keys[i] += in.take(own[i], "a key");
      if (prefix.size() + keys[i].size() > kOcdbtMostPath) in.fail(fmt::format("a key has {} bytes", keys[i].size()));
      if (i > 0 && keys[i] <= keys[i - 1]) in.fail("the keys are not in ascending order");
      if (height > 0 && common[i] > keys[i].size()) in.fail("a subtree's prefix is longer than its key");
    }
    if (prefix + keys.front() < bound) in.fail("the node's first key is smaller than its parent says");
    if (height == 0) {
      read_leaf(in, prefix, keys, children.files, led_by);
      return children;
    }
    const auto files = in.column(n, "a file"), offsets = in.column(n, "an offset"), lengths = in.column(n, "a length");
    for (const char* what : {"the number of keys", "the bytes of nodes", "the bytes of values"}) in.column(n, what);
    in.require_end("the node's entries");
    for (size_t i = 0; i < n; ++i) {
      children.nodes.push_back({files[i], offsets[i], lengths[i]});
      children.prefixes.push_back(prefix + keys[i].substr(0, common[i]));
      children.bounds.push_back(prefix + keys[i]);
    }
    return children;
  }

  void read_leaf(OcdbtReader& in, const std::string& prefix, const std::vector<std::string>& keys,
                 const std::vector<OcdbtFileName>& files, const std::string& led_by) {
    const size_t n = keys.size();
    check_limit(database_.entries_.size() + n, limits_.max_tensors, "max_tensors", in.place(), "keys of the database");
    const auto lengths = in.column(n, "the length of a value");
    const auto kinds = in.bytes_column(n, "the kinds of values");
    size_t n_outside = 0;
    for (const uint8_t kind : kinds) {
      if (kind > 1) in.fail(fmt::format("the kind of a value is {}; 0 and 1 are known", kind));
      n_outside += kind;
    }
    const auto in_files = in.column(n_outside, "the file of a value"), offsets = in.column(n_outside, "an offset");
    size_t outside = 0;
    for (size_t i = 0; i < n; ++i) {
      const std::string key = prefix + keys[i];
      if (!database_.entries_.empty() && key <= database_.key(database_.entries_.size() - 1))
        in.fail("the node's keys do not follow those before it");
      OcdbtDatabase::Entry entry{database_.keys_.size(), static_cast<uint32_t>(key.size())};
      database_.keys_ += key;
      entry.length = lengths[i];
      if (kinds[i] == 0) {
        entry.offset = database_.inline_.size();
        database_.inline_ += in.take(lengths[i], "an inline value");
      } else {
        const Reference at{in_files[outside], offsets[outside], lengths[i]};
        ++outside;
        if (at.file >= files.size()) in.fail(fmt::format("a value is in data file {} of {}", at.file, files.size()));
        const size_t number = file_number(led_by + files[at.file].path, in.place());
        check_inside(number, at, in.place(), fmt::format("the value of '{}'", printable(key)));
        entry.file = static_cast<uint32_t>(number);
        entry.offset = at.offset;
      }
      database_.entries_.push_back(entry);
    }
    in.require_end("the node's entries");
  }

  OcdbtDatabase& database_;
  const Limits& limits_;
  uint64_t n_visited_ = 0, n_allowed_ = 0;  // bytes
};

OcdbtDatabase::OcdbtDatabase(const std::string& folder, const Limits& limits)
    : manifest_((fs::path(folder) / kOcdbtManifest).string()), files_(folder) {
  std::string buffer;
  MappedFile file(manifest_);
  BytePlace place{manifest_, {}, {}};
  const auto body_of = [&] {
    check_limit(file.size(), limits.max_index_bytes, "max_index_bytes", place, "bytes of a manifest");
    manifests_read_.push_back({file.path(), file.stamp()});
    return open_envelope(file.text(), kOcdbtManifestMagic, place, limits, buffer);
  };
  std::vector<OcdbtFileName> names;
  std::optional<Version> newest;
  const auto read_rest = [&](OcdbtReader& in) {
    names = read_file_table(in);
    newest = read_versions(in).back();
    skip_version_nodes(in);
    in.require_end("the version nodes");
  };
  const bool is_elsewhere = file.read([&] {
    OcdbtReader in(body_of(), place);
    if (!read_configuration(in)) return read_rest(in), false;
    in.require_end("the configuration");
    return true;
  });
  if (is_elsewhere) {
    const auto name = numbered_manifest(folder);
    if (!name) return;  // made, and never written to
    file = MappedFile((fs::path(folder) / *name).string());
    place.file = file.path();
    file.read([&] {
      OcdbtReader in(body_of(), place);
      if (read_configuration(in)) in.fail("the numbered manifest says that versions are in another one");
      return read_rest(in), true;
    });
  }
  generation_ = newest->generation;
  if (newest->root.offset == kNoRoot && newest->root.length == kNoRoot) return;
  OcdbtWalk(*this, limits).visit(names, "", newest->root, newest->height, "", "", place);
}

std::string_view OcdbtDatabase::key(size_t index) const {
  return std::string_view(keys_).substr(entries_[index].key_at, entries_[index].key_bytes);
}

size_t OcdbtDatabase::index_of(std::string_view sought) const {
  const auto text = [&](const Entry& entry) { return std::string_view(keys_).substr(entry.key_at, entry.key_bytes); };
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), sought,
                                   [&](const Entry& entry, std::string_view value) { return text(entry) < value; });
  return it != entries_.end() && text(*it) == sought ? static_cast<size_t>(it - entries_.begin()) : entries_.size();
}

std::optional<StoredValue> OcdbtDatabase::find(const std::string& key) const {
  const size_t index = index_of(key);
  if (index == entries_.size()) return std::nullopt;
  const Entry& entry = entries_[index];
  if (entry.file == kInline)
    return StoredValue{std::as_bytes(std::span(inline_)).subspan(entry.offset, entry.length), {manifest_, key, {}}};
  MappedFile file = files_.open(entry.file);
  const BytePlace place{file.path(), {}, entry.offset};
  return StoredValue{file.bytes().subspan(entry.offset, entry.length), place, std::move(file)};
}

std::vector<FileRead> OcdbtDatabase::files_read() const {
  std::vector<FileRead> read = manifests_read_;
  read.insert(read.end(), files_.all().begin(), files_.all().end());
  return read;
}

}  // namespace remap::formats
