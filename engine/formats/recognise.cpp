// The tables of files that are not read. A row: how it is recognised, what it is, what to do.
#include "formats/recognise.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "formats/folder_files.h"
#include "formats/known_kinds.h"
#include "formats/pickle.h"
#include "formats/zip.h"
#include "remap/diagnostic.h"

namespace remap::formats {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return result;
}

// ---- Files

// Fields of a protobuf message, down to its end or to where the file is cut. nullopt: not a message.
struct ProtoField {
  uint64_t number = 0, value = 0;  // value: of a varint
  int wire = 0;
  std::string_view bytes;
};
std::optional<std::vector<ProtoField>> proto_fields(std::string_view in) {
  constexpr size_t kMaxFields = 100'000;
  const auto varint = [&](uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(in.front());
      in.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  };
  std::vector<ProtoField> fields;
  while (!in.empty() && fields.size() < kMaxFields) {
    ProtoField field;
    uint64_t tag = 0, length = 0;
    if (!varint(tag)) return std::nullopt;
    field.number = tag >> 3;
    field.wire = static_cast<int>(tag & 7);
    if (field.number == 0 || field.number > 10'000) return std::nullopt;
    if (field.wire == 0) {
      if (!varint(field.value)) return std::nullopt;
    } else {
      if (field.wire == 2 ? !varint(length) : field.wire != 1 && field.wire != 5) return std::nullopt;
      if (field.wire != 2) length = field.wire == 1 ? 8 : 4;
      field.bytes = in.substr(0, length);
      in.remove_prefix(field.bytes.size());
    }
    fields.push_back(field);
  }
  return fields.empty() ? std::nullopt : std::optional(std::move(fields));
}

struct FileView {
  const std::string& path;
  std::string_view text;
  std::string head;  // its first bytes, in lower case, without a byte order mark and white space in front
  std::vector<std::string> members;  // of a zip archive; of a damaged one the first, if it can be told
  std::string damage;                // why a zip archive cannot be opened

  explicit FileView(const MappedFile& file) : path(file.path()), text(file.text()) {
    std::string_view begin = text.substr(0, kHeadBytes);
    if (begin.starts_with("\xef\xbb\xbf")) begin.remove_prefix(3);
    begin.remove_prefix(std::min(begin.find_first_not_of(" \t\r\n"), begin.size()));
    head = lower(begin);
    if (ZipArchive::has_signature(file.bytes())) read_zip(file);
  }
  bool starts(std::string_view bytes, size_t offset = 0) const {
    return text.size() >= offset && text.substr(offset).starts_with(bytes);
  }
  bool begins_like(std::string_view lower_case) const { return head.starts_with(lower_case); }
  Found member(std::string_view ending) const {
    for (const auto& name : members)
      if (name.ends_with(ending)) return name;
    return std::nullopt;
  }
  bool holds(std::string_view bytes) const {
    const size_t near = size_t{64} << 10;
    return text.substr(0, near).find(bytes) != text.npos ||
           (text.size() > near && text.substr(text.size() - near).find(bytes) != text.npos);
  }

 private:
  void read_zip(const MappedFile& file) {
    try {
      const ZipArchive zip(file.bytes(), path, {});
      for (const ZipMember& member : zip.members()) members.emplace_back(member.name);
    } catch (const Error& error) {
      damage = error.diagnostic().message;
      members.emplace_back(ZipArchive::first_name(file.bytes()));
    }
  }
};

bool is_onnx(const FileView& f) {
  if (!f.starts("\x08")) return false;  // ir_version
  const auto fields = proto_fields(f.text);
  if (!fields || fields->front().value == 0 || fields->front().value > 100) return false;
  const auto is_known = [](const ProtoField& field) {
    return field.number <= 8 || field.number == 14 || field.number == 20 || field.number == 25 || field.number == 26;
  };
  const auto is_graph = [](const ProtoField& field) { return field.number == 7 && field.wire == 2; };
  return std::all_of(fields->begin(), fields->end(), is_known) && std::any_of(fields->begin(), fields->end(), is_graph);
}
bool is_saved_model(const FileView& f) {
  const auto fields = f.starts("\x08\x01\x12"sv) ? proto_fields(f.text) : std::nullopt;
  return fields && std::all_of(fields->begin() + 1, fields->end(),
                               [](const ProtoField& field) { return field.number == 2 && field.wire == 2; });
}
bool is_core_ml(const FileView& f) {
  const auto fields = f.starts("\x08") ? proto_fields(f.text) : std::nullopt;
  return fields &&
         std::any_of(
             fields->begin(), fields->end(),
             [](const ProtoField& field) { return field.number >= 200 && field.number < 4000 && field.wire == 2; }) &&
         std::all_of(fields->begin(), fields->end(),
                     [](const ProtoField& field) { return field.number <= 10 || field.number >= 200; });
}
// A list of messages of which the first has a text and then a field with this tag.
bool is_list_of(const FileView& f, std::string_view second_tag) {
  const auto fields = f.starts("\x0a") ? proto_fields(f.text) : std::nullopt;
  if (!fields || fields->front().wire != 2) return false;
  const std::string_view first = fields->front().bytes;
  if (first.size() < 3 || first[0] != '\x0a') return false;
  const auto length = static_cast<unsigned char>(first[1]);
  return length < 128 && first.substr(std::min<size_t>(first.size(), size_t{2} + length)).starts_with(second_tag);
}
bool is_text_pickle(const FileView& f) {  // protocols 0 and 1 have no header: it is one if all of it obeys
  if (f.text.size() < 2 || !(f.text.ends_with('.') || f.text.ends_with(".\n"))) return false;
  try {
    const PickleGraph graph = read_pickle(std::as_bytes(std::span(f.text)), {f.path, {}, 0}, {});
    return graph.size_bytes() + 1 >= f.text.size() && !graph.is(graph.root(), PickleKind::none);
  } catch (const Error&) {
    return false;
  }
}
bool is_pickle(const FileView& f) {
  return (f.text.size() > 2 && f.text[0] == '\x80' && f.text[1] >= 2 && f.text[1] <= 5) || is_text_pickle(f);
}

// Where a zip archive begins that ends with the file, but does not begin with it.
Found zip_further_on(const FileView& f) {
  constexpr size_t kEndBytes = 22;
  if (f.starts("PK") || f.text.size() < kEndBytes ||
      !f.text.substr(f.text.size() - kEndBytes).starts_with("PK\x05\x06"))
    return std::nullopt;
  const size_t at = f.text.find("PK\x03\x04");
  return at == f.text.npos ? std::nullopt : Found(fmt::format("{}", at + 1));
}

// What TensorFlow and OpenVINO keep beside a file of theirs has no mark of its own.
Found beside(const FileView& f, std::string_view mark, const std::string& other, std::string_view content) {
  if (fs::path(f.path).filename().string().find(mark) == std::string::npos) return std::nullopt;
  return is_file(other) && head_of(other).find(content) != std::string::npos
             ? Found(fs::path(other).filename().string())
             : std::nullopt;
}
struct FileKind {
  Found (*test)(const FileView&);
  const char *what, *way;
  bool tensors = true;
};

constexpr const char* kFetchAgain = "download the file again";
// Groups, named types and data sets without data have no shape; 'O' and 'S' are strings. What safetensors has no dtype
// for stays an error of save_file: nothing is left out in silence.
constexpr const char* kHdfWay = REMAP_AS_SAFETENSORS
    "import h5py\n" REMAP_IMPORTS
    "tensors = {}\n"
    "h5py.File('FILE').visititems(lambda key, item: tensors.update({key: item[()]} if "
    "getattr(item, 'shape', None) is not None and item.dtype.kind not in 'OS' else {}))" REMAP_SAVE;
constexpr const char* kPickleWay =
    "if you trust where it is from (loading a pickle runs what it names), save it with torch, as the note shows, and "
    "give that\n"
    "import pickle, torch\n"
    "torch.save(pickle.load(open('FILE', 'rb'), encoding='latin1'), 'OUT.pt')";
constexpr const char* kNotTensors = "it holds no tensors; give the file or folder of the checkpoint";

constexpr FileKind kFileKinds[] = {
    {[](const FileView& f) { return yes(f.path.ends_with(kPartOfTorchCheckpoint)); },
     "a part of a torch.distributed.checkpoint", kDistributedWay},
    // What a download left in a checkpoint's place.
    {[](const FileView& f) { return yes(f.starts("version https://git-lfs")); },
     "a Git LFS pointer, not the file it stands for", "run 'git lfs pull', or download the file itself"},
    {[](const FileView& f) {
       return yes(f.begins_like("<!doctype") || f.begins_like("<html") || f.begins_like("<head"));
     },
     "an HTML page, probably an error page of a download", kFetchAgain, false},
    {[](const FileView& f) { return yes(f.begins_like("<?xml") && f.head.find("<net ") != std::string::npos); },
     "an OpenVINO model", "OpenVINO changes a model's tensors; take the checkpoint that it was made of"},
    {[](const FileView& f) { return yes(f.begins_like("<?xml") || f.begins_like("<error")); },
     "an XML document, probably an error page of a download", kFetchAgain, false},
    // Packed.
    {[](const FileView& f) { return yes(f.starts("\x1f\x8b")); }, "a gzip file",
     "unpack it first: gunzip FILE, or tar xzf FILE"},
    {[](const FileView& f) { return yes(f.starts("\x28\xb5\x2f\xfd")); }, "a zstd file",
     "unpack it first: unzstd FILE"},
    {[](const FileView& f) { return yes(f.starts("BZh") && f.starts("1AY&SY", 4)); }, "a bzip2 file",
     "unpack it first: bunzip2 FILE, or tar xjf FILE"},
    {[](const FileView& f) { return yes(f.starts("\xfd\x37zXZ")); }, "an xz file",
     "unpack it first: unxz FILE, or tar xJf FILE"},
    {[](const FileView& f) { return yes(f.starts("\x04\x22\x4d\x18")); }, "an lz4 file", "unpack it first: unlz4 FILE"},
    {[](const FileView& f) { return yes(f.starts("7z\xbc\xaf\x27\x1c")); }, "a 7z archive",
     "unpack it first: 7z x FILE"},
    {[](const FileView& f) { return yes(f.starts("Rar!\x1a")); }, "a RAR archive", "unpack it first: unrar x FILE"},
    {[](const FileView& f) { return yes(f.starts("ustar", 257)); }, "a tar archive",
     "unpack it first: tar xf FILE, and give what is in it"},
    // Zip archives that torch.save did not write.
    {[](const FileView& f) { return f.member("model.weights.h5"); }, "a Keras archive, which holds '$FOUND'",
     "unpack it first (unzip FILE) and give '$FOUND'"},
    {[](const FileView& f) { return f.member("archive_format"); }, "a program that torch.export wrote (pt2)",
     "save its tensors with torch, as the note shows, and give that\nimport "
     "torch\ntorch.save(torch.export.load('FILE').state_dict, 'OUT.pt')"},
    {[](const FileView& f) { return f.damage.empty() ? std::nullopt : Found(f.damage); },
     "a zip archive that cannot be opened: $FOUND", "download or copy the file again"},
    {[](const FileView& f) {
       for (const auto& name : f.members)
         if (is_tensor_name(name)) return Found(name);
       return Found();
     },
     "a zip archive that holds '$FOUND'", "unpack it first (unzip FILE) and give what is in it"},
    {zip_further_on, "a zip archive that begins only at byte $FOUND (counted from 1)",
     "download the file again; if the rest is good, cut off what stands before it: tail -c +$FOUND FILE > WHOLE"},
    {[](const FileView& f) { return yes(f.starts("PK\x03\x04") || f.starts("PK\x05\x06")); },
     "a zip archive that torch.save did not write",
     "look at what is in it (unzip -l FILE); if it was packed for transport, unpack it and give what is in it", false},
    // Checkpoints of other kinds.
    {[](const FileView& f) { return yes(f.starts("\x89HDF\r\n\x1a\n") || f.starts("\x89HDF")); },
     "an HDF5 file, as Keras writes", kHdfWay},
    {[](const FileView& f) { return yes(f.starts("lmgg") || f.starts("tjgg") || f.starts("fmgg")); },
     "a GGML file, GGUF's predecessor", "take the checkpoint it was made of"},
    {[](const FileView& f) { return yes(f.holds("torch.distributed.checkpoint.metadata") && f.starts("\x80")); },
     "the '.metadata' of a torch.distributed.checkpoint", kDistributedWay},
    {[](const FileView& f) { return yes(f.starts("\x80") && f.holds("StructuredToParameterName@@")); },
     "a PaddlePaddle checkpoint",
     REMAP_AS_SAFETENSORS "import paddle\n" REMAP_IMPORTS
                          "tensors = {key: tensor.numpy() for key, tensor in paddle.load('FILE').items()}" REMAP_SAVE},
    {[](const FileView& f) { return yes(is_pickle(f)); }, "a pickle without arrays, which torch.save did not write",
     kPickleWay},
    {[](const FileView& f) { return yes(f.starts("\x12\x01\0\0\0\0\0\0"sv)); }, "an MXNet parameter file",
     REMAP_AS_SAFETENSORS
     "import mxnet\n" REMAP_IMPORTS
     "tensors = {key: tensor.asnumpy() for key, tensor in mxnet.nd.load('FILE').items()}" REMAP_SAVE},
    {[](const FileView& f) { return beside(f, ".bin", fs::path(f.path).replace_extension(".xml").string(), "<net "); },
     "the weights of an OpenVINO model, '$FOUND'",
     "OpenVINO changes a model's tensors; take the checkpoint that it was made of"},
    {[](const FileView& f) { return yes(f.starts("TFL3", 4)); }, "a TensorFlow Lite model",
     "take the checkpoint that it was made of"},
    {[](const FileView& f) { return yes(is_saved_model(f)); }, "a TensorFlow SavedModel's graph",
     "its tensors are the TensorFlow checkpoint 'variables/variables.index' beside it: give that"},
    {[](const FileView& f) { return yes(is_core_ml(f)); }, "a Core ML model",
     "take the checkpoint that it was made of"},
    {[](const FileView& f) { return yes(is_onnx(f)); }, "an ONNX model",
     REMAP_AS_SAFETENSORS
     "import onnx\nfrom onnx.numpy_helper import to_array\n" REMAP_IMPORTS
     "tensors = {tensor.name: to_array(tensor) for tensor in onnx.load('FILE').graph.initializer}" REMAP_SAVE},
    {[](const FileView& f) { return yes(is_list_of(f, "\x15")); }, "a SentencePiece model, which is a tokenizer",
     kNotTensors, false},
    {[](const FileView& f) { return yes(is_list_of(f, "\x12")); }, "a TensorFlow graph",
     "take the checkpoint that it was made of"},
    // remap's own, given in the wrong place.
    {[](const FileView& f) { return yes(("\n" + f.head).find("\nremap:") != std::string::npos); }, "a rule file",
     "give it with --rules FILE, and a checkpoint beside it", false},
    {[](const FileView& f) { return yes(("\n" + f.head).find("\nremap_schema:") != std::string::npos); },
     "a target schema", "name it in a rule file ('target: {schema: FILE}')", false},
    {[](const FileView& f) { return yes(f.starts("model_checkpoint_path:")); },
     "TensorFlow's note of its latest checkpoint", "give the folder, or the checkpoint's file that ends in '.index'"},
    // No checkpoints at all.
    {[](const FileView& f) {
       return yes(f.starts("\x7f"
                           "ELF") ||
                  f.starts("MZ") || f.starts("\xcf\xfa\xed\xfe") || f.starts("\xca\xfe\xba\xbe"));
     },
     "a program or library", kNotTensors, false},
    {[](const FileView& f) { return yes(f.starts("#!") || f.begins_like("import ") || f.begins_like("from ")); },
     "a script", kNotTensors, false},
    {[](const FileView& f) {
       return yes(f.starts("\x89PNG") || f.starts("\xff\xd8\xff") || f.starts("GIF8") || f.starts("WEBP", 8));
     },
     "an image", kNotTensors, false},
    {[](const FileView& f) { return yes(f.starts("%PDF")); }, "a PDF document", kNotTensors, false},
    {[](const FileView& f) {
       return yes(f.starts("WAVE", 8) || f.starts("fLaC") || f.starts("OggS") || f.starts("ID3"));
     },
     "a sound file", kNotTensors, false},
    {[](const FileView& f) { return yes(f.starts("PAR1") || f.starts("ARROW1") || f.starts("SQLite format 3")); },
     "a table of data", kNotTensors, false},
};

// ---- JSON

struct JsonKind {
  bool (*test)(const Json&);
  const char *what, *way;
};
constexpr JsonKind kJsonKinds[] = {
    {[](const Json& j) {
       return j.contains("error") || j.contains("errors") || (j.contains("message") && j.size() <= 4);
     },
     "a JSON error message, which a download left here", kFetchAgain},
    {[](const Json& j) { return j.contains("remap_plan"); }, "a plan that remap made",
     "give the checkpoint or manifest it was made from"},
    {[](const Json& j) { return j.contains("architectures") || j.contains("model_type"); },
     "a model's config.json, without its tensors", "give the folder, or the file of the tensors"},
    {[](const Json& j) { return j.contains("added_tokens") || j.contains("tokenizer_class") || j.contains("vocab"); },
     "a tokenizer's file", kNotTensors},
    {[](const Json& j) { return j.contains("zarr_format"); }, "the description of a zarr array",
     "give the checkpoint's folder"},
    {[](const Json& j) { return j.contains("tree_metadata"); }, "the description of a tree that Orbax saved",
     "give the checkpoint's folder"},
};

void replace_all(std::string& text, std::string_view mark, const std::string& value) {
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
    text.replace(at, mark.size(), value);
}

// A path that needs no quoting in Python or in a shell is put where FILE or FOLDER stand.
bool is_plain(const std::string& path) {
  return std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c >= 0x80 ||
           std::string_view("._-/+=@:,").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

[[noreturn]] void refuse(const std::string& path, const std::string& message, const std::string& hint = {},
                         std::vector<std::string> notes = {}) {
  throw Error(
      Diagnostic{Severity::error, "source-unknown-format", BytePlace{path, {}, {}}, message, std::move(notes), hint});
}

}  // namespace

std::string head_of(const fs::path& path) {
  try {
    const MappedFile file(path.string());
    return std::string(file.text().substr(0, kHeadBytes));
  } catch (const Error&) {
    return {};
  }
}

Recognised recognised(const char* what, const char* way, const std::string& found, const std::string& path,
                      bool tensors, bool is_folder) {
  Recognised result{what, way, {}, tensors};
  replace_all(result.what, "$FOUND", found);
  replace_all(result.way, "$FOUND", found);
  const std::string folder = is_folder                              ? path
                             : fs::path(path).parent_path().empty() ? "."
                                                                    : fs::path(path).parent_path().string();
  if (is_plain(path)) replace_all(result.way, "FOLDER", folder);
  if (is_plain(path) && !is_folder) replace_all(result.way, "FILE", path);
  size_t end = result.way.find('\n');
  if (end == std::string::npos) return result;
  result.notes = {"in Python:"};
  for (size_t begin = end + 1; begin <= result.way.size();) {
    const size_t next = std::min(result.way.find('\n', begin), result.way.size());
    result.notes.push_back("  " + result.way.substr(begin, next - begin));
    begin = next + 1;
  }
  result.way.resize(end);
  return result;
}

std::optional<Recognised> recognise_file(const MappedFile& file) {
  const FileView view(file);
  for (const FileKind& kind : kFileKinds)
    if (const auto found = kind.test(view))
      return recognised(kind.what, kind.way, *found, file.path(), kind.tensors, false);
  return std::nullopt;
}

std::optional<Recognised> recognise_json(const Json& root) {
  if (!root.is_object()) return std::nullopt;
  for (const JsonKind& kind : kJsonKinds)
    if (kind.test(root)) return Recognised{kind.what, kind.way, {}, false};
  return std::nullopt;
}

void refuse_as(const std::string& path, std::string_view subject, const Recognised& kind) {
  refuse(path, fmt::format("{} is {}, a kind that is not read", subject, kind.what), kind.way, kind.notes);
}

void refuse_file(const MappedFile& file) {
  const std::string_view text = file.text();
  if (text.empty())
    refuse(file.path(), "the file is empty", "the copy or download that made it failed; fetch it again");
  if (const auto kind = recognise_file(file))
    refuse(file.path(), fmt::format("the file is {}", kind->what), kind->way, kind->notes);
  std::string first;
  for (const char c : text.substr(0, 16)) {
    const bool printable = c >= ' ' && c <= '~' && c != '\\';
    first += printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  const bool zeros = text.substr(0, kHeadBytes).find_first_not_of('\0') == text.npos;
  refuse(file.path(),
         fmt::format("the file starts with \"{}\", which is none of: safetensors, an index of shards, torch (zip or "
                     "the older stream), "
                     "flax's msgpack file, numpy's npy and npz, a pickle, GGUF, a manifest (text or JSON){}",
                     first, zeros ? "; it begins with zeros, as a download that was not finished may" : ""),
         zeros ? "fetch the file again"
               : "if it is a checkpoint, let the library that wrote it save it as safetensors or with torch.save");
}

void refuse_json(const std::string& path, const Json& root) {
  if (const auto kind = recognise_json(root)) refuse(path, fmt::format("the file is {}", kind->what), kind->way);
  refuse(path, "a JSON file with neither 'weight_map' (an index of shards) nor 'remap_manifest' (a manifest)",
         "give the file or folder of the checkpoint");
}

bool is_tensorflow_state(const std::string& file) { return head_of(file).starts_with("model_checkpoint_path:"); }

}  // namespace remap::formats
