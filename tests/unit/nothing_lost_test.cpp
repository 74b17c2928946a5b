// Each tensor of a file is in the output bit for bit, or dropped by a rule that says why, or named in an error: never
// none of these. Checkpoints are generated: random nesting, every kind of tensor, keys that come out the same, storages
// and objects that are shared.
#include <cstring>
#include <functional>
#include <map>
#include <random>

#include <fmt/format.h>

#include "remap/execute.h"
#include "remap/manifest_file.h"
#include "remap/output.h"
#include "remap/plan.h"
#include "remap/report.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"

using namespace remap;
using namespace remap::test;
using namespace std::string_literals;

namespace {

// What a generated file holds under one path. `bytes` of a tensor that is read: row-major, as they must be written.
struct Made {
  std::string key;
  bool read = true;
  DType dtype = DType::f32;
  Shape shape = {};
  std::string bytes = {};
  size_t object = 0;  // in the pickle; one that is found twice under one path is one tensor
  auto told() const { return std::tuple(dtype, shape, bytes); }
};

struct Type {
  const char* storage;  // torch's class; "" if the tensor itself says its dtype
  const char* name;     // torch.name
  DType dtype;
  int size;  // bytes of what torch counts as one element
};
const std::vector<Type> kTypes = {{"FloatStorage", "", DType::f32, 4},
                                  {"HalfStorage", "", DType::f16, 2},
                                  {"BFloat16Storage", "", DType::bf16, 2},
                                  {"DoubleStorage", "", DType::f64, 8},
                                  {"LongStorage", "", DType::i64, 8},
                                  {"IntStorage", "", DType::i32, 4},
                                  {"ShortStorage", "", DType::i16, 2},
                                  {"CharStorage", "", DType::i8, 1},
                                  {"ByteStorage", "", DType::u8, 1},
                                  {"BoolStorage", "", DType::boolean, 1},
                                  {"ComplexFloatStorage", "", DType::c64, 8},
                                  {"", "uint16", DType::u16, 2},
                                  {"", "uint32", DType::u32, 4},
                                  {"", "uint64", DType::u64, 8},
                                  {"", "float8_e4m3fn", DType::f8_e4m3, 1},
                                  {"", "float8_e5m2", DType::f8_e5m2, 1},
                                  {"", "float8_e4m3fnuz", DType::f8_e4m3fnuz, 1},
                                  {"", "float8_e5m2fnuz", DType::f8_e5m2fnuz, 1},
                                  {"", "float8_e8m0fnu", DType::f8_e8m0, 1},
                                  {"", "float4_e2m1fn_x2", DType::f4, 1}};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  // A torch zip archive; `made` says what is in it.
  std::string run(size_t max_unread) {
    n_unread_left_ = max_unread;
    container("", 0);
    std::vector<ZipEntry> entries = {{"archive/data.pkl", pickle_.stop(), below(2) == 0},
                                     {"archive/byteorder", "little"},
                                     {"archive/version", "3\n"}};
    for (size_t i = 0; i < storages_.size(); ++i)
      entries.push_back({fmt::format("archive/data/{}", i), storages_[i].bytes, below(3) == 0});
    return build_zip(entries);
  }
  std::vector<Made> made;

 private:
  struct Storage {
    const Type* type;
    std::string bytes;
    int elements() const { return static_cast<int>(bytes.size()) / type->size; }
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string noise(size_t n) {
    std::string bytes(n, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  static std::string joined(const std::string& path, const std::string& part) {
    return path.empty() ? part : path + "." + part;
  }

  // --- containers ---
  void container(const std::string& path, int depth) {
    const int kind = depth == 0 ? 0 : below(6), n = 1 + below(depth == 0 ? 7 : 4);
    std::vector<std::pair<std::string, bool>> keys;  // of a dict: the text, and whether it is a number in the pickle
    static const std::vector<std::string> kWords = {"a", "b", "a.b", "b.a", "1", "0", "weight", "a.b.a"};
    while (keys.size() < static_cast<size_t>(n)) {
      const std::string word = kWords[static_cast<size_t>(below(static_cast<int>(kWords.size())))];
      std::pair<std::string, bool> key(word, (word == "1" || word == "0") && below(2) == 0);
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
    const auto entries = [&](bool numbers) {
      for (const auto& [key, number] : keys) {
        if (number && numbers)
          pickle_.integer(std::stoi(key));
        else
          pickle_.text(key);
        value(joined(path, key), depth + 1);
      }
    };
    const auto items = [&] {
      for (int i = 0; i < n; ++i) value(joined(path, std::to_string(i)), depth + 1);
    };
    if (kind >= 4)  // attributes have names
      for (auto& [key, number] : keys) number = false;
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    switch (kind) {
      case 0:
        pickle_ << "}(";
        entries(true);
        pickle_ << "u";
        return;
      case 1:
        pickle_.global("collections", "OrderedDict") << ")R(";
        entries(true);
        pickle_ << "u";
        return;
      case 2:
        pickle_ << "](";
        items();
        pickle_ << "e";
        return;
      case 3:
        pickle_ << "(";
        items();
        pickle_ << "t";
        return;
      case 4:
        pickle_.global("argparse", "Namespace") << ")\x81}(";
        entries(false);
        pickle_ << "ub";
        return;
      default:
        pickle_.global("my.code", "Thing") << ")\x81}(";
        entries(false);
        pickle_ << "ub";
        return;
    }
  }

  void value(const std::string& path, int depth) {
    const int choice = below(10);
    if (choice < 2 && depth < 4) return container(path, depth);
    if (choice == 2) {
      pickle_.text("a setting");
      return;
    }
    if (choice == 3 && !memo_.empty()) {  // the same object again
      const auto& [number, tensors] = memo_[static_cast<size_t>(below(static_cast<int>(memo_.size())))];
      pickle_ << "h" << std::string(1, static_cast<char>(number));
      for (Made again : tensors) {
        again.key = path + again.key;
        keep(std::move(again));
      }
      return;
    }
    const size_t before = made.size();
    if ((choice == 4 || choice == 5) && n_unread_left_ > 0) {
      --n_unread_left_;
      unread(path);
    } else {
      tensor(path);
    }
    if (memo_.size() < 100 && below(3) == 0) {
      std::vector<Made> tensors(made.begin() + static_cast<std::ptrdiff_t>(before), made.end());
      for (Made& one : tensors) one.key = one.key.substr(path.size());
      pickle_ << "q" << std::string(1, static_cast<char>(memo_.size() + 1));
      memo_.emplace_back(memo_.size() + 1, std::move(tensors));
    }
  }

  // --- tensors that are read ---
  size_t some_storage() {
    if (!storages_.empty() && below(3) == 0) return static_cast<size_t>(below(static_cast<int>(storages_.size())));
    const Type& type = kTypes[static_cast<size_t>(below(static_cast<int>(kTypes.size())))];
    storages_.push_back({&type, noise(static_cast<size_t>(type.size * (1 + below(30))))});
    return storages_.size() - 1;
  }

  struct View {
    size_t storage;
    int offset = 0;
    std::vector<int> shape, strides;
  };
  View some_view() {
    View view{some_storage(), 0, {}, {}};
    const int n = storages_[view.storage].elements();
    switch (below(6)) {
      case 0: return view;                                                                      // one element
      case 1: view.shape = {0, 3}, view.strides = {3, 1}; return view;                          // none
      case 2: view.offset = below(n), view.shape = {3, 1}, view.strides = {0, 1}; return view;  // expanded
      case 3: {                                                                                 // transposed
        const int rows = 1 + below(n), columns = n / rows;
        view.shape = {columns, rows}, view.strides = {1, columns};
        return view;
      }
      default: {
        view.offset = below(n);
        const int rest = n - view.offset, rows = 1 + below(rest);
        view.shape = {rows, rest / rows}, view.strides = {rest / rows, 1};
        return view;
      }
    }
  }

  Made read_of(const View& view) const {
    const Storage& storage = storages_[view.storage];
    Made out{{}, true, storage.type->dtype, Shape(view.shape.begin(), view.shape.end())};
    std::vector<int> at(view.shape.size(), 0);
    for (int64_t i = 0; i < element_count(out.shape); ++i) {
      int64_t rest = i, from = view.offset;
      for (size_t d = at.size(); d-- > 0;) {
        from += rest % view.shape[d] * view.strides[d];
        rest /= view.shape[d];
      }
      out.bytes +=
          storage.bytes.substr(static_cast<size_t>(from * storage.type->size), static_cast<size_t>(storage.type->size));
    }
    if (out.dtype == DType::f4) out.shape.back() *= 2;
    return out;
  }

  void storage_id(const View& view) {
    const Storage& storage = storages_[view.storage];
    const bool untyped = *storage.type->storage == 0;
    pickle_.storage({.type = untyped ? "UntypedStorage" : storage.type->storage,
                     .key = std::to_string(view.storage),
                     .elements = untyped ? static_cast<int>(storage.bytes.size()) : storage.elements()});
  }
  // The arguments of _rebuild_tensor_v2 or v3, without the marks around them.
  void arguments(const View& view, const char* mark = "") {
    storage_id(view);
    pickle_.integer(view.offset).tuple(view.shape).tuple(view.strides) << "\x89)";
    const Type& type = *storages_[view.storage].type;
    if (*type.name != 0) pickle_.global("torch", type.name);
    if (*mark != 0) pickle_ << "}", pickle_.text(mark) << "\x88s";
  }
  const char* function(const View& view) const {
    return *storages_[view.storage].type->name != 0 ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2";
  }
  Made plain() {
    View view = some_view();
    if (storages_[view.storage].type->dtype == DType::f4 && view.shape.empty()) view.shape = {1}, view.strides = {1};
    pickle_.global("torch._utils", function(view)) << "(";
    arguments(view);
    pickle_ << "tR";
    return read_of(view);
  }

  void add(std::string key, Made one) {
    one.key = std::move(key);
    one.object = ++n_objects_;
    keep(std::move(one));
  }
  void keep(Made one) {
    if (std::none_of(made.begin(), made.end(),
                     [&](const Made& other) { return other.key == one.key && other.object == one.object; }))
      made.push_back(std::move(one));
  }

  void tensor(const std::string& path) {
    switch (below(7)) {
      case 0: return add(path, signs());
      case 1: return add(path, array());
      case 2:
        pickle_.global("torch._utils", "_rebuild_parameter") << "(";
        add(path, plain());
        pickle_ << "\x88)tR";
        return;
      case 3: {  // a parameter whose state holds another tensor
        pickle_.global("torch._utils", "_rebuild_parameter_with_state") << "(";
        add(path, plain());
        pickle_ << "\x88)}";
        pickle_.text("scale");
        add(path + ".scale", plain());
        pickle_ << "stR";
        return;
      }
      case 4: {  // a subclass
        View view = some_view();
        if (storages_[view.storage].type->dtype == DType::f4) view.shape = {1}, view.strides = {1};
        pickle_.global("torch._tensor", "_rebuild_from_type_v2") << "(";
        pickle_.global("torch._utils", function(view)).global("my.code", "Sub") << "(";
        arguments(view);
        pickle_ << "t}";
        pickle_.text("note");
        add(path, read_of(view));
        add(path + ".note", plain());
        pickle_ << "stR";
        return;
      }
      default: return add(path, plain());
    }
  }

  // A view whose sign torch changes when it reads it.
  Made signs() {
    const bool conjugate = below(2) == 0;
    static const Type kReal{"FloatStorage", "", DType::f32, 4}, kComplex{"ComplexFloatStorage", "", DType::c64, 8};
    storages_.push_back({conjugate ? &kComplex : &kReal, noise(static_cast<size_t>((conjugate ? 8 : 4) * 12))});
    const View view{storages_.size() - 1, 0, {3, 4}, {1, 3}};
    pickle_.global("torch._utils", "_rebuild_tensor_v2") << "(";
    arguments(view, conjugate ? "conj" : "neg");
    pickle_ << "tR";
    Made out = read_of(view);
    for (size_t i = conjugate ? 7 : 3; i < out.bytes.size(); i += conjugate ? 8 : 4)
      out.bytes[i] = static_cast<char>(out.bytes[i] ^ '\x80');
    return out;
  }

  Made array() {
    const int n = below(5);
    const bool big = below(2) == 0;
    const std::string bytes = noise(static_cast<size_t>(4 * n));
    array_of("f4", big ? ">" : "<", n, [&] { pickle_ << "B" << little(static_cast<uint32_t>(bytes.size())) << bytes; });
    Made out{{}, true, DType::f32, {n}, bytes};
    for (size_t i = 0; big && i < out.bytes.size(); i += 4)
      std::reverse(out.bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   out.bytes.begin() + static_cast<std::ptrdiff_t>(i) + 4);
    return out;
  }
  void array_of(const char* code, const char* order, int n, const std::function<void()>& content) {
    pickle_.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray") << "K\0\x85"
                                                                                          "C\1b\x87R(K\1"s;
    pickle_.tuple({n}).global("numpy", "dtype").text(code) << "\x89\x88\x87R(K\3";
    pickle_.text(order) << "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"s;
    content();
    pickle_ << "tb";
  }

  // --- tensors that are not ---
  void unread(const std::string& path) {
    Made one;
    one.read = false;
    add(path, std::move(one));
    const auto call = [&](const char* module, const char* name, const std::function<void()>& write) {
      pickle_.global(module, name) << "(";
      write();
      pickle_ << "tR";
    };
    storages_.push_back({&kTypes[0], noise(24)});
    const View six{storages_.size() - 1, 0, {6}, {1}};
    const auto inner = [&] { call("torch._utils", "_rebuild_tensor_v2", [&] { arguments(six); }); };
    switch (below(9)) {
      case 0:
        return call("torch._utils", "_rebuild_qtensor", [&] {
          pickle_.storage({.type = "QInt8Storage", .key = std::to_string(six.storage), .elements = 24})
                  .integer(0)
                  .tuple({24})
                  .tuple({1})
              << "N";
        });
      case 1:
        return call("torch._utils", "_rebuild_sparse_tensor", [&] {
          pickle_.global("torch", "sparse_coo") << "(";
          inner();
          inner();
          pickle_.tuple({9, 9}) << "t";
        });
      case 2:
        return call("torch._utils", "_rebuild_meta_tensor_no_storage",
                    [&] { pickle_.global("torch", "float32").tuple({2}).tuple({1}) << "\x89"; });
      case 3:
        return call("torch._tensor", "_rebuild_from_type_v2", [&] {
          pickle_.global("torch._utils", "_rebuild_wrapper_subclass").global("torch.distributed.tensor", "DTensor")
              << "(";
          pickle_.global("torch.distributed.tensor", "DTensor").global("torch", "float32").tuple({12}).tuple({1})
              << "t}";
          pickle_.text("_local_tensor");
          inner();
          pickle_ << "s";
        });
      case 4: return call("torch.nn.parameter", "UninitializedParameter", [&] { pickle_ << "\x88"; });
      case 5:
        return call("torch._utils", "_rebuild_tensor_v3", [&] {
          pickle_.storage({.type = "UntypedStorage", .key = std::to_string(six.storage), .elements = 24})
                  .integer(0)
                  .tuple({24})
                  .tuple({1})
              << "\x89)";
          pickle_.global("torch", "bits8");
        });
      case 6:
        return array_of("O8", "|", 2, [&] {
          pickle_ << "](";
          inner();
          pickle_ << "Ne";
        });
      case 7: return call("my.code", "rebuild", inner);
      default: return storage_id(six);
    }
  }

  std::mt19937 random_;
  Pickle pickle_;
  std::vector<Storage> storages_;
  std::vector<std::pair<size_t, std::vector<Made>>> memo_;  // keys of its tensors: what follows the path
  size_t n_unread_left_ = 0, n_objects_ = 0;
};

const std::string kHead = "remap: 1\nfamily: all\nsource: {root: \"\"}\nrules:\n";

struct Planned {
  std::optional<Plan> plan;
  std::vector<Diagnostic> errors;
};
Planned plan_of(const TempFolder& folder, const std::string& rules_text, const Source& source) {
  Diagnostics diagnostics;
  const auto rules = Rules::load(folder.write("rules.yaml", kHead + rules_text), diagnostics);
  Planned planned;
  if (rules) planned.plan = make_plan(*rules, {{"", &source}}, {}, diagnostics);
  planned.errors = diagnostics.items();
  return planned;
}

// The key that the file's paths give, without what tells equal ones apart.
std::string path_of(const std::string& key) { return key.substr(0, key.find('#')); }

using Content = std::map<std::string, std::vector<std::tuple<DType, Shape, std::string>>>;  // sorted, by path

Content content_of(const std::vector<Made>& made) {
  Content content;
  for (const Made& one : made)
    if (one.read) content[one.key].push_back(one.told());
  for (auto& [key, list] : content) std::sort(list.begin(), list.end());
  return content;
}

Content content_of(const Plan& plan, const Source& source) {
  MemorySink sink(plan.tensors);
  execute(plan.tensors, {&source}, sink);
  Content content;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& tensor = plan.tensors[i];
    const auto* bytes = reinterpret_cast<const char*>(sink.bytes(i).data());
    content[path_of(tensor.key)].emplace_back(tensor.dtype, tensor.shape,
                                              std::string(bytes, static_cast<size_t>(data_bytes(tensor))));
  }
  for (auto& [key, list] : content) std::sort(list.begin(), list.end());
  return content;
}

// The plans of a checkpoint and of a list of it are the same, and so are the refusals.
void check_list(const TempFolder& folder, const std::string& list, const std::string& rules_text, const Source& source,
                const Planned& planned) {
  const auto read = open_source(folder.write("list", list));
  CHECK(read->manifest().tensors().size() == source.manifest().tensors().size());
  const Planned again = plan_of(folder, rules_text, *read);
  REQUIRE(again.plan.has_value() == planned.plan.has_value());
  if (planned.plan)
    CHECK(again.plan->tensors == planned.plan->tensors);
  else
    CHECK(again.errors == planned.errors);
}

}  // namespace

TEST_CASE("each tensor is in the output, or dropped with a reason, or named in an error") {
  const TempFolder folder;
  size_t n_read = 0, n_unread = 0, n_parted = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    Generator generator(seed);
    const std::string file = generator.run(seed % 3 == 0 ? 0 : 6);
    const auto source = open_source(folder.write("model.pt", file));
    const auto& tensors = source->manifest().tensors();
    // The manifest lists them all, once a path.
    std::map<std::string, std::pair<size_t, size_t>> wanted, listed;  // by path: read, not read
    for (const Made& one : generator.made) ++(one.read ? wanted[one.key].first : wanted[one.key].second);
    std::string drops, excepted;
    for (const TensorInfo& tensor : tensors) {
      ++(tensor.unread == nullptr ? listed[path_of(tensor.key)].first : listed[path_of(tensor.key)].second);
      n_parted += tensor.key.find('#') != std::string::npos;
      if (tensor.unread == nullptr) continue;
      drops += fmt::format("  - {{drop: \"{}\", because: nobody needs it}}\n", tensor.key);
      excepted += fmt::format("{}\"{}\"", excepted.empty() ? "" : ", ", tensor.key);
    }
    REQUIRE(listed == wanted);
    if (tensors.empty()) continue;
    // A rule that keeps everything keeps what is read, and names the rest.
    const std::string keep_all = "  - {keep: \"**\"}\n";
    const Planned kept = plan_of(folder, keep_all, *source);
    REQUIRE(kept.plan.has_value() == drops.empty());
    for (const TensorInfo& tensor : tensors) {
      if (tensor.unread == nullptr) continue;
      ++n_unread;
      CHECK(std::any_of(kept.errors.begin(), kept.errors.end(), [&](const Diagnostic& d) {
        return d.id == "plan-unread-tensor" && contains(d.message, "'" + tensor.key + "'") &&
               contains(d.message, tensor.unread->why);
      }));
    }
    check_list(folder, manifest_to_json(*source), keep_all, *source, kept);
    // A rule that drops what is not read is enough.
    const std::string dropping =
        drops.empty() ? keep_all : fmt::format("{}  - {{keep: \"**\", except: [{}]}}\n", drops, excepted);
    const Planned all = plan_of(folder, dropping, *source);
    for (const auto& d : all.errors) INFO(render_text(d));
    const bool only_drops =
        std::none_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) { return t.unread == nullptr; });
    if (only_drops) continue;  // 'keep' would match nothing, which is an error of its own
    REQUIRE(all.plan);
    CHECK(all.plan->dropped.size() + all.plan->tensors.size() == tensors.size());
    for (const DroppedTensor& dropped : all.plan->dropped)
      CHECK((tensors[dropped.tensor].unread != nullptr && dropped.because == "nobody needs it"));
    const Content content = content_of(*all.plan, *source);
    CHECK(content == content_of(generator.made));
    n_read += all.plan->tensors.size();
    check_list(folder, manifest_to_text(source->manifest()), dropping, *source, all);
    // What is written is a checkpoint of which the same holds.
    const std::string written = folder.path(fmt::format("out-{}", seed));
    OutputFolder output(written, all.plan->tensors);
    execute(all.plan->tensors, {source.get()}, output);
    output.commit();
    const auto read_again = open_source(written);
    const Planned again = plan_of(folder, keep_all, *read_again);
    REQUIRE(again.plan);
    CHECK(content_of(*again.plan, *read_again) == content);
  }
  // The checkpoints are not all alike.
  CHECK(n_read > 1000);
  CHECK(n_unread > 200);
  CHECK(n_parted > 20);
}

TEST_CASE("one odd tensor each, as torch saves it, is converted as torch reads it, or named") {
  const std::filesystem::path data = REMAP_TEST_DATA "/edges/torch";
  const TempFolder folder;
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data)) {
    if (entry.path().extension() != ".pt") continue;
    INFO(entry.path().filename().string());
    ++n;
    const auto source = open_source(entry.path().string());
    CHECK(source->manifest().find("odd.weight") != Manifest::npos);
    const Planned kept = plan_of(folder, "  - {keep: \"**\"}\n", *source);
    const auto expected = std::filesystem::path(entry.path()).replace_extension(".safetensors");
    if (std::filesystem::exists(expected)) {
      const auto wanted = open_source(expected.string());
      REQUIRE(kept.plan);
      const Planned same = plan_of(folder, "  - {keep: \"**\"}\n", *wanted);
      CHECK(content_of(*kept.plan, *source) == content_of(*same.plan, *wanted));
    } else if (!kept.plan) {
      CHECK(std::any_of(kept.errors.begin(), kept.errors.end(),
                        [](const Diagnostic& d) { return contains(d.message, "'odd.weight'"); }));
    } else {  // safetensors has no name for it
      CHECK(contains(error_of([&] { OutputFolder(folder.path("out"), kept.plan->tensors); }),
                     "output-dtype: 'odd.weight'"));
      CHECK(!std::filesystem::exists(folder.path("out")));
    }
  }
  CHECK(n >= 13);
}
