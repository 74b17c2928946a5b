// torch checkpoints as a whole: real files against their manifests and tensors, built ones for every damage.
#include "formats/torch_source.h"
#include "remap/files_read.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <thread>

#include <fmt/format.h>

using namespace remap;
using remap::test::build_torch_legacy;
using remap::test::build_torch_zip;
using remap::test::build_zip;
using remap::test::error_of;
using remap::test::little;
using remap::test::Pickle;
using remap::test::six_floats;
using remap::test::TempFolder;
using remap::test::tensor_values;
using remap::test::torch_entries;
using namespace std::string_literals;

namespace {

const std::string kData = REMAP_TEST_DATA;

std::unique_ptr<Source> open(const std::string& path, const OpenOptions& options = {}) {
  return open_torch(MappedFile(path), options);
}
std::unique_ptr<Source> open_bytes(const TempFolder& folder, const std::string& bytes,
                                   const OpenOptions& options = {}) {
  return open(folder.write("model.pt", bytes), options);
}

// "key dtype [shape]" of the tensors below `prefix`, which is taken off.
std::vector<std::string> lines(const Source& source, std::string_view prefix) {
  std::vector<std::string> out;
  for (const TensorInfo& t : source.manifest().tensors())
    if (t.key.starts_with(prefix))
      out.push_back(fmt::format("{}\t{}\t{}", t.key.substr(prefix.size()), long_name(t.dtype), to_string(t.shape)));
  return out;
}
std::vector<std::string> manifest_file(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    line.erase(std::remove(line.begin(), line.end(), ' '), line.end());
    out.push_back(line);
  }
  std::sort(out.begin(), out.end());
  return out;
}
std::vector<std::string> keys(const Source& source) {
  std::vector<std::string> out;
  for (const TensorInfo& t : source.manifest().tensors()) out.push_back(t.key);
  return out;
}

std::string id_of(const std::string& error) { return error.substr(0, error.find(':')); }

}  // namespace

// --- real files ---

TEST_CASE("every layout of the years gives the manifest that torch gives") {
  for (const auto& folder : {"source"s, "source-mnli"s})
    for (const auto& variant : {".2019"s, ".2019b"s, ".args"s, ".dictconfig"s, ""s, ".legacy"s}) {
      INFO(folder << variant);
      const auto source = open(kData + "/roberta/" + folder + "/model" + variant + ".pt");
      CHECK(lines(*source, "model.") ==
            manifest_file(kData + "/roberta/manifest-" + folder + (variant == ".legacy" ? "" : variant) + ".tsv"));
    }
}

TEST_CASE("tensors have the bytes that the real conversion copied") {
  const auto source = open(kData + "/roberta/source/model.pt");
  const auto converted = open_source(kData + "/roberta/expected/model.safetensors");
  const std::vector<std::pair<const char*, const char*>> pairs = {
      {"model.encoder.sentence_encoder.embed_tokens.weight", "roberta.embeddings.word_embeddings.weight"},
      {"model.encoder.sentence_encoder.embed_positions.weight", "roberta.embeddings.position_embeddings.weight"},
      {"model.encoder.sentence_encoder.layers.1.self_attn.q_proj.weight",
       "roberta.encoder.layer.1.attention.self.query.weight"},
      {"model.encoder.sentence_encoder.layers.0.fc2.bias", "roberta.encoder.layer.0.output.dense.bias"},
      {"model.encoder.lm_head.bias", "lm_head.decoder.bias"},
  };
  for (const auto& [from, to] : pairs) CHECK(test::tensor_bytes(*source, from) == test::tensor_bytes(*converted, to));
}

TEST_CASE("the legacy stream and the zip archive of one object are one source") {
  const auto zip = open(kData + "/roberta/source/model.pt"), legacy = open(kData + "/roberta/source/model.legacy.pt");
  CHECK(zip->manifest() == legacy->manifest());
  CHECK(zip->metadata() == legacy->metadata());
  for (const auto& key : keys(*zip)) CHECK(test::tensor_bytes(*zip, key) == test::tensor_bytes(*legacy, key));
}

TEST_CASE("tied weights have one alias") {
  const auto source = open(kData + "/roberta/source/model.pt");
  const Manifest& manifest = source->manifest();
  const auto& head = manifest[manifest.find("model.encoder.lm_head.weight")];
  const auto& embedding = manifest[manifest.find("model.encoder.sentence_encoder.embed_tokens.weight")];
  CHECK(head.alias == "model.encoder.lm_head.weight");
  CHECK(head.alias == embedding.alias);
  CHECK(manifest[manifest.find("model.encoder.lm_head.bias")].alias.empty());
}

TEST_CASE("settings are found as a Namespace, a dict and a DictConfig have them") {
  const auto heads = [](const std::string& file, const char* path) {
    return open(kData + "/roberta/source/" + file)->metadata().at(Json::json_pointer(path));
  };
  CHECK(heads("model.2019.pt", "/args/encoder_attention_heads") == 4);
  CHECK(heads("model.args.pt", "/args/encoder_attention_heads") == 4);
  CHECK(heads("model.pt", "/cfg/model/encoder_attention_heads") == 4);
  CHECK(heads("model.dictconfig.pt", "/cfg/model/encoder_attention_heads") == 4);
  CHECK(heads("model.dictconfig.pt", "/cfg/optimization/lr/0").is_number());
  CHECK(heads("model.pt", "/args").is_null());
}

TEST_CASE("a state dict is summarised, and what is set on it is not a key") {
  const auto source = open(kData + "/roberta/source/model.pt");
  CHECK(source->metadata()["model"] == Json{{"$tensors", 43}});
  CHECK(source->manifest().find("model._metadata") == Manifest::npos);
}

TEST_CASE("classes that are not known are kept as records and named") {
  const auto source = open(kData + "/roberta/source/model.2019.pt");
  const auto remarks = source->remarks();
  CHECK(std::find(remarks.begin(), remarks.end(),
                  "fairseq.meters.AverageMeter (9 times): not known, kept as a record") != remarks.end());
  CHECK(source->metadata()["extra_state"]["train_meters"]["train_loss"]["$object"] == "fairseq.meters.AverageMeter");
}

// --- built files ---

TEST_CASE("views, offsets and storages that are shared") {
  const TempFolder folder;
  Pickle pickle;
  pickle << "}(";
  pickle.text("whole").tensor({});
  pickle.text("transposed").tensor({.shape = {3, 2}, .strides = {1, 3}});
  pickle.text("row").tensor({.offset = 3, .shape = {3}, .strides = {1}});
  pickle.text("expanded").tensor({.offset = 2, .shape = {2, 2}, .strides = {0, 1}});
  pickle.text("scalar").tensor({.offset = 5, .shape = {}, .strides = {}});
  pickle.text("empty").tensor({.offset = 6, .shape = {0, 3}, .strides = {3, 1}});
  pickle.text("again").tensor({});
  const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
  CHECK(tensor_values<float>(*source, "whole") == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(tensor_values<float>(*source, "transposed") == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(tensor_values<float>(*source, "row") == std::vector<float>{3, 4, 5});
  CHECK(tensor_values<float>(*source, "expanded") == std::vector<float>{2, 3, 2, 3});
  CHECK(tensor_values<float>(*source, "scalar") == std::vector<float>{5});
  CHECK(source->tile_boxes(source->manifest().find("empty")).empty());
  CHECK(source->manifest()[source->manifest().find("whole")].alias == "again");
  CHECK(source->manifest()[source->manifest().find("transposed")].alias.empty());

  TileBuffer scratch;
  const TileView view = source->load(source->manifest().find("row"), 0, scratch);
  CHECK(view.fd >= 0);
  float in_file = 0;
  std::ifstream file(folder.path("model.pt"), std::ios::binary);
  file.seekg(static_cast<std::streamoff>(view.offset_bytes));
  file.read(reinterpret_cast<char*>(&in_file), sizeof in_file);
  CHECK(in_file == 3);
}

TEST_CASE("deflated archives are read by many threads at once") {
  const TempFolder folder;
  Pickle pickle;
  pickle << "}";
  pickle.text("w").tensor({}) << "s";
  const auto source = open_bytes(folder, build_zip(torch_entries(pickle.stop(), true)));
  std::vector<std::vector<float>> seen(8);
  std::vector<std::thread> threads;
  for (auto& values : seen) threads.emplace_back([&source, &values] { values = tensor_values<float>(*source, "w"); });
  for (auto& thread : threads) thread.join();
  for (const auto& values : seen) CHECK(values == std::vector<float>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("a legacy stream may hold views of storages and classes with their source text") {
  const TempFolder folder;
  Pickle pickle;
  // A view of elements 2 to 5 of the storage; in it, the tensor starts at 1.
  const auto storage_view = [&] {
    pickle << "(";
    pickle.text("storage").global("torch", "FloatStorage").text("0").text("cpu").integer(6) << "(";
    pickle.text("view").integer(2).integer(4) << "ttQ";
  };
  pickle << "}(";
  pickle.text("w").global("torch._utils", "_rebuild_tensor_v2") << "(";
  storage_view();
  pickle.integer(1).tuple({2}).tuple({1}) << "\x89Nt"
                                          << "R";
  pickle.text("m") << "(";
  pickle.text("module").global("a.b", "Net").text("net.py").text("class Net: ...") << "tQ)\x81}(";
  pickle.text("_parameters") << "}";
  pickle.text("_buffers") << "}";
  pickle.text("_modules") << "}";
  pickle.text("width").integer(7) << "ub";
  const auto source = open_bytes(folder, build_torch_legacy(pickle.bytes() + "u.", {{"0", 6, six_floats()}}));
  CHECK(tensor_values<float>(*source, "w") == std::vector<float>{3, 4});
  CHECK(source->metadata()["m"] == Json{{"$module", "a.b.Net"}, {"width", 7}});
}

TEST_CASE("a module's parameters and buffers have the keys its state dict would have") {
  const TempFolder folder;
  Pickle pickle;
  const auto module = [&](const char* name, const auto& parameters, const auto& buffers, const auto& modules) {
    pickle.global("my.nets", name) << ")\x81}(";
    pickle.text("_parameters") << "}(";
    parameters();
    pickle << "u";
    pickle.text("_buffers") << "}(";
    buffers();
    pickle << "u";
    pickle.text("_non_persistent_buffers_set").global("__builtin__", "set") << "](";
    pickle.text("mask") << "e\x85R";
    pickle.text("_modules").global("collections", "OrderedDict") << ")R(";
    modules();
    pickle << "u";
    pickle.text("width").integer(3);
    pickle.text("_hooks") << "N";
    pickle << "ub";
  };
  const auto nothing = [] {};
  module(
      "Net", [&] { pickle.text("w").tensor({}).text("bias") << "N"; },
      [&] { pickle.text("mean").tensor({}).text("mask").tensor({}); },
      [&] {
        pickle.text("skip");
        module("Identity", nothing, nothing, nothing);
        pickle.text("block");
        module(
            "Block", [&] { pickle.text("w").tensor({}); }, nothing, nothing);
        pickle.text("none") << "N";
      });
  const auto source = open_bytes(folder, build_torch_zip(pickle.stop()));
  CHECK(keys(*source) == std::vector<std::string>{"block.w", "mask", "mean", "w"});
  CHECK(source->metadata()["$module"] == "my.nets.Net");
  CHECK(source->metadata()["width"] == 3);
  CHECK(source->metadata()["block"]["width"] == 3);
  CHECK(source->remarks() ==
        std::vector<std::string>{
            "'mask' is not in the state dict of its module (a buffer that is not persistent, or an attribute)"});
}

// A module's attributes are any objects; each tensor in them is listed once, where nothing else has led to it.
TEST_CASE("a tensor among a module's attributes is listed, whatever holds it") {
  const TempFolder folder;
  Pickle pickle;
  const auto module = [&](const char* name, const auto& modules, const auto& attributes) {
    pickle.global("my.nets", name) << ")\x81}(";
    for (const char* part : {"_parameters", "_buffers"}) pickle.text(part) << "}";
    pickle.text("_modules") << "}(";
    modules();
    pickle << "u";
    attributes();
    pickle << "ub";
  };
  module(
      "Net",
      [&] {
        pickle.text("inner");
        module(
            "Inner", [] {},
            [&] {
              pickle.text("_cache") << "}(";
              pickle.text("k").tensor({}) << "r\1\0\0\0"s  // memo 1: two attributes share it
                                          << "u";
              pickle.text("blocks") << "](";
              module(
                  "Block", [] {}, [&] { pickle.text("scale").tensor({}); });
              pickle << "e";
            });
      },
      [&] { pickle.text("again") << "j\1\0\0\0"s; });
  const auto source = open_bytes(folder, build_torch_zip(pickle.stop()));
  CHECK(keys(*source) == std::vector<std::string>{"again", "inner.blocks.0.scale"});
  CHECK(source->remarks().size() == 1);
  CHECK(source->remarks()[0].starts_with("2 tensors, such as 'again', are not in the state dict of their modules"));
}

TEST_CASE("known classes become the values they hold") {
  struct Row {
    const char* name;
    std::string opcodes, json;
  };
  const auto text = [](std::string_view t) {
    return "X" + little<uint32_t>(static_cast<uint32_t>(t.size())) + std::string(t);
  };
  const std::string dtype_f4 = "cnumpy\ndtype\n" + text("f4") + "\x89\x88\x87R(K\3" + text("<") +
                               "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t"s + "b";
  const std::vector<Row> rows = {
      {"OrderedDict of pairs, as Python 2 wrote it",
       "ccollections\nOrderedDict\n](](K\1K\2eK\3K\4\x86"
       "e\x85R",
       R"({"1":2,"3":4})"},
      {"Namespace", "cargparse\nNamespace\n)\x81}" + text("a") + "K\1sb", R"({"a":1})"},
      {"Namespace of protocol 0",
       "ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR}" + text("a") + "K\1sb",
       R"({"a":1})"},
      {"Namespace with slots",
       "cargparse\nNamespace\n)\x81N}" + text("a") +
           "K\1s\x86"
           "b",
       R"({"a":1})"},
      {"set", "c__builtin__\nset\n](K\1K\2e\x85R", "[1,2]"},
      {"long", "c__builtin__\nlong\nK\5\x85R", "5"},
      {"complex", "c__builtin__\ncomplex\nK\1K\2\x86R", "[1,2]"},
      {"slice", "c__builtin__\nslice\nNK\2N\x87R", "[null,2,null]"},
      {"defaultdict", "ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\1K\2s", R"({"1":2})"},
      {"bytes of protocol 2", "c_codecs\nencode\n" + text("a\u00ff") + text("latin1") + "\x86R",
       R"({"$bytes":2,"hex":"61ff"})"},
      {"enumeration", "cmy\nColor\nK\2\x85R", "2"},
      {"path", "cpathlib\nPosixPath\n" + text("/") + text("a") + text("b") + "\x87R", R"("/a/b")"},
      {"device", "ctorch\ndevice\n" + text("cuda") + "K\1\x86R", R"("cuda:1")"},
      {"dtype", "ctorch\nbfloat16\n", R"("bfloat16")"},
      {"Size", "ctorch\nSize\nK\2K\3\x86\x85R", "[2,3]"},
      {"numpy scalar", "cnumpy.core.multiarray\nscalar\n" + dtype_f4 + "C\4\0\0\xc0\x3f\x86R"s, "1.5"},
      {"numpy scalar, new name", "cnumpy._core.multiarray\nscalar\n" + dtype_f4 + "C\4\0\0\xc0\x3f\x86R"s, "1.5"},
      {"numpy array",
       "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"s + "C\1b\x87R(K\1K\2\x85" + dtype_f4 + "\x89" +
           "C\x08\0\0\0\0\0\0\xc0\x3ftb"s,
       "[0.0,1.5]"},
      {"DictConfig in a DictConfig, each with its parent",
       "comegaconf.dictconfig\nDictConfig\n)\x81q\1}("s + text("_parent") + "N" + text("_content") + "}" +
           text("model") + "comegaconf.nodes\nAnyNode\n)\x81}(" + text("_parent") + "h\1" + text("_val") + "K\7ubsub",
       R"({"model":7})"},
      {"ListConfig", "comegaconf.listconfig\nListConfig\n)\x81}" + text("_content") + "](K\1K\2esb", "[1,2]"},
      {"class", "ctyping\nAny\n", R"({"$global":"typing.Any"})"},
      {"unknown class", "ca\nB\nK\1\x85\x81}" + text("x") + "K\2sb", R"({"$object":"a.B","args":[1],"state":{"x":2}})"},
      {"os.system", "cos\nsystem\n" + text("true") + "\x85R", R"({"$object":"os.system","args":["true"]})"},
      {"a list in itself",
       "]q\1h\1"
       "a",
       R"([{"$cycle":true}])"},
      {"a dict in itself", "}q\1K\1h\1s", R"({"1":{"$cycle":true}})"},
      {"a node that is its own value", "comegaconf.nodes\nAnyNode\n)\x81q\1}" + text("_val") + "h\1sb", ""},
      {"later keys win", "}(" + text("a") + "K\1" + text("a") + "K\2u", R"({"a":2})"},
      {"a surrogate", "X" + little<uint32_t>(3) + "\xed\xb2\x80", "\"\ufffd\""},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.name);
    const auto source = open_bytes(
        folder, build_torch_zip(Pickle(4).bytes() + "}" + text("other") + "Ns" + text("v") + row.opcodes + "s."));
    const std::string json = source->metadata()["v"].dump();
    if (row.json.empty()) continue;  // only that it ends
    CHECK(json == row.json);
  }
}

TEST_CASE("malformed tensors are refused by name") {
  using Tensor = Pickle::Tensor;
  struct Row {
    const char* damage;
    Tensor tensor;
    const char* id;
  };
  const int large = 0x7fffffff;
  const std::vector<Row> rows = {
      {"a negative stride", {.strides = {-3, 1}}, "torch-bad-tensor"},
      {"a negative offset", {.offset = -1}, "torch-bad-tensor"},
      {"a negative size", {.shape = {-2, 3}}, "torch-bad-tensor"},
      {"one element too many", {.offset = 1}, "torch-bad-tensor"},
      {"a stride too long", {.strides = {4, 1}}, "torch-bad-tensor"},
      {"fewer strides than dimensions", {.strides = {1}}, "torch-bad-tensor"},
      {"reaching far past the end", {.shape = {large, 2}, .strides = {large, large}}, "torch-bad-tensor"},
      {"more elements than can be counted",
       {.shape = {large, large, large}, .strides = {0, 0, 0}},
       "tensor-shape-overflow"},
      {"expanded to terabytes", {.shape = {large, 1000}, .strides = {0, 0}}, "limit-exceeded"},
      {"thirty-three dimensions",
       {.shape = std::vector<int>(33, 1), .strides = std::vector<int>(33, 1)},
       "limit-exceeded"},
      {"a storage longer than its member", {.elements = 7}, "torch-bad-storage"},
      {"a storage that is absent", {.key = "1"}, "torch-bad-storage"},
      {"a storage outside the folder", {.key = "../data.pkl"}, "torch-bad-storage"},
      {"a storage of a negative size", {.elements = -1}, "torch-bad-storage"},
      {"a storage class nobody knows", {.type = "FunnyStorage"}, "torch-unknown-storage"},
      {"a wider type than the member has bytes for", {.type = "DoubleStorage"}, "torch-bad-storage"},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.damage);
    const auto file = build_torch_zip((Pickle() << "}").text("w").tensor(row.tensor).bytes() + "s.");
    CHECK(id_of(error_of([&] { open_bytes(folder, file); })) == row.id);
  }
  const auto good = (Pickle() << "}").text("w").tensor({}).bytes() + "s.";
  CHECK_NOTHROW(open_bytes(folder, build_torch_zip(good)));
}

// Opcodes that leave one value on the stack, and what the manifest says of it: "F32 [2,3]", "F32 ?, not read: a sparse
// tensor (COO)".
struct UnreadRow {
  const char* what;
  std::function<void(Pickle&)> write;
  const char* said;
};

TEST_CASE("tensors that are not read are listed with what is known of them") {
  const auto call = [](const char* module, const char* name, const std::function<void(Pickle&)>& arguments) {
    return [=](Pickle& p) {
      p.global(module, name) << "(";
      arguments(p);
      p << "tR";
    };
  };
  const auto torch = [&](const char* name, const std::function<void(Pickle&)>& arguments) {
    return call("torch._utils", name, arguments);
  };
  const auto subclass = [&](const char* module, const char* name, const char* function,
                            const std::function<void(Pickle&)>& arguments) {
    return call("torch._tensor", "_rebuild_from_type_v2", [=](Pickle& p) {
      p.global("torch._utils", function).global(module, name) << "(";
      arguments(p);
      p << "t}";
      p.text("inner").tensor({}) << "s";  // a part of it, which is not listed by itself
    });
  };
  const auto array = [](const std::string& code, const char* order, const std::function<void(Pickle&)>& bytes) {
    return [=](Pickle& p) {
      p.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray") << "K\0\x85"
                                                                                      "C\1b\x87R(K\1"s;
      p.tuple({2}).global("numpy", "dtype").text(code) << "\x89\x88\x87R(K\3";
      p.text(order) << "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"s;
      bytes(p);
      p << "tb";
    };
  };
  const std::vector<UnreadRow> rows = {
      {"a quantized storage", [](Pickle& p) { p.tensor({.type = "QInt8Storage"}); },
       "qint8 [2,3], not read: a quantized tensor"},
      {"per channel",
       torch("_rebuild_qtensor",
             [](Pickle& p) {
               p.storage({.type = "QUInt8Storage"}).integer(0).tuple({2, 3}).tuple({3, 1}) << "(";
               p.global("torch", "per_channel_affine") << "NNK\0t"s;
             }),
       "quint8 [2,3], not read: a quantized tensor (per channel)"},
      {"sparse, of nothing", torch("_rebuild_sparse_tensor", [](Pickle& p) { p << "NN"; }),
       "? ?, not read: a sparse tensor"},
      {"COO",
       torch("_rebuild_sparse_tensor",
             [](Pickle& p) {
               p.global("torch.serialization", "_get_layout").text("torch.sparse_coo") << "\x85R(N";
               p.tensor({}).tuple({4, 6}) << "t";
             }),
       "F32 [4,6], not read: a sparse tensor (COO)"},
      {"BSR",
       torch("_rebuild_sparse_tensor",
             [](Pickle& p) {
               p.global("torch", "sparse_bsr") << "(NN";
               p.tensor({}).tuple({4, 6}) << "t";
             }),
       "F32 [4,6], not read: a sparse tensor (BSR)"},
      {"nested", torch("_rebuild_nested_tensor", [](Pickle& p) { p.tensor({}) << "NNN"; }),
       "F32 ?, not read: a nested tensor"},
      {"meta",
       torch("_rebuild_meta_tensor_no_storage",
             [](Pickle& p) {
               p.global("torch", "bfloat16").tuple({7, 2}).tuple({2, 1}) << "\x89";
             }),
       "BF16 [7,2], not read: a tensor with no data (on torch's meta device)"},
      {"a wrapper",
       subclass("torch.distributed.tensor", "DTensor", "_rebuild_wrapper_subclass",
                [](Pickle& p) {
                  p.global("torch.distributed.tensor", "DTensor").global("torch", "float16").tuple({8}).tuple({1});
                }),
       "F16 [8], not read: a torch.distributed.tensor.DTensor, which wraps other tensors"},
      {"a quantized parameter",
       torch("_rebuild_parameter",
             [&](Pickle& p) {
               torch("_rebuild_qtensor",
                     [](Pickle& q) { q.storage({.type = "QInt8Storage"}).integer(0).tuple({6}).tuple({1}) << "N"; })(p);
               p << "\x89)";
             }),
       "qint8 [6], not read: a quantized tensor"},
      {"a subclass with a function of its own", subclass("my", "Odd", "_rebuild_odd", [](Pickle& p) { p.tensor({}); }),
       "? ?, not read: a my.Odd, a kind of tensor that is not known"},
      {"uninitialized", call("torch.nn.parameter", "UninitializedParameter", [](Pickle& p) { p << "\x88"; }),
       "? ?, not read: a parameter that is not initialized"},
      {"a dtype without a name",
       torch("_rebuild_tensor_v3",
             [](Pickle& p) {
               p.storage({.type = "UntypedStorage", .elements = 24}).integer(0).tuple({6}).tuple({1}) << "\x89)";
               p.global("torch", "bits8");
             }),
       "bits8 [6], not read: of the type torch.bits8, for which safetensors has no name"},
      {"objects", array("O8", "|", [](Pickle& p) { p << "](NNe"; }), "O8 [2], not read: a numpy array of 'O8'"},
      {"a record",
       array("V8", "|",
             [](Pickle& p) {
               p << "C\x10"
                 << "0123456789abcdef";
             }),
       "V8 [2], not read: a numpy array of 'V8'"},
      {"a type of ml_dtypes",
       [](Pickle& p) {
         p.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray") << "K\0\x85"
                                                                                         "C\1b\x87R(K\1"s;
         p.tuple({2}).global("numpy", "dtype").global("ml_dtypes", "bfloat16") << "\x89\x88\x87R(K\3";
         p.text("<") << "NNNK\2K\2K\x40tb\x89"
                     << "C\4abcd"
                     << "tb";
       },
       "BF16 [2], not read: a numpy array of 'bfloat16'"},
      {"a storage", [](Pickle& p) { p.storage({}); },
       "F32 [6], not read: a storage that stands alone, without a tensor"},
      {"a function nobody knows", call("my", "rebuild", [](Pickle& p) { p.tensor({}); }),
       "? ?, not read: what the function my.rebuild makes of tensors, which is not known"},
      {"a class nobody knows", call("my", "Thing", [](Pickle& p) { p.tensor({}); }),
       "? ?, not read: an object of the class my.Thing, which is not known, made of tensors"},
      {"a negative view of booleans",
       torch("_rebuild_tensor_v2",
             [](Pickle& p) {
               p.storage({.type = "BoolStorage", .elements = 24}).integer(0).tuple({6}).tuple({1}) << "\x89)}";
               p.text("neg") << "\x88s";
             }),
       "BOOL [6], not read: a negative view of a type that has no negative numbers"},
  };
  const TempFolder folder;
  for (const UnreadRow& row : rows) {
    INFO(row.what);
    Pickle pickle;
    pickle << "}(";
    pickle.text("a").tensor({}).text("x");
    row.write(pickle);
    const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
    CHECK(keys(*source) == std::vector<std::string>{"a", "x"});
    CHECK(describe(source->manifest()[1]) == row.said);
    CHECK(data_bytes(source->manifest()[1]) == 0);
    TileBuffer buffer;
    CHECK(id_of(error_of([&] { source->tile_boxes(1); })) == "tensor-unread");
    CHECK(id_of(error_of([&] { source->load(1, 0, buffer); })) == "tensor-unread");
  }
}

TEST_CASE("views whose sign torch changes when it reads them are read with that sign") {
  const TempFolder folder;
  const auto view = [&](const char* type, std::vector<int> shape, std::vector<int> strides, const char* mark) {
    Pickle pickle;
    pickle << "}";
    pickle.text("x").global("torch._utils", "_rebuild_tensor_v2") << "(";
    pickle.storage({.type = type, .elements = type == std::string("ComplexFloatStorage") ? 3 : 6})
            .integer(0)
            .tuple(shape)
            .tuple(strides)
        << "\x89)}(";
    for (const char* name : {"conj", "neg"})  // torch looks only at whether the name is there
      if (std::string(mark).find(name) != std::string::npos) pickle.text(name) << (name[0] == 'c' ? "\x88" : "\x89");
    return open_bytes(folder, build_torch_zip(pickle.bytes() + "utRs."));
  };
  CHECK(tensor_values<float>(*view("FloatStorage", {3, 2}, {1, 3}, "neg"), "x") ==
        std::vector<float>{-0.0f, -3, -1, -4, -2, -5});
  CHECK(std::signbit(tensor_values<float>(*view("FloatStorage", {1}, {1}, "neg"), "x")[0]));
  CHECK(tensor_values<float>(*view("FloatStorage", {2}, {1}, "conj"), "x") ==
        std::vector<float>{0, 1});  // of real numbers: nothing
  CHECK(tensor_values<float>(*view("ComplexFloatStorage", {3}, {1}, "conj"), "x") ==
        std::vector<float>{0, -1, 2, -3, 4, -5});
  CHECK(tensor_values<float>(*view("ComplexFloatStorage", {3}, {1}, "neg"), "x") ==
        std::vector<float>{-0.0f, -1, -2, -3, -4, -5});
  CHECK(tensor_values<float>(*view("ComplexFloatStorage", {3}, {1}, "conj neg"), "x") ==
        std::vector<float>{-0.0f, 1, -2, 3, -4, 5});
  CHECK(tensor_values<int32_t>(*view("IntStorage", {2}, {1}, "neg"), "x") == std::vector<int32_t>{0, -0x3f800000});
}

TEST_CASE("a view with changed signs is served in tiles of a bounded size") {
  const TempFolder folder;
  constexpr int kRows = 3, kColumns = 1 << 20;
  Pickle pickle;
  pickle << "}";
  pickle.text("x").global("torch._utils", "_rebuild_tensor_v2") << "(";
  pickle.storage({.elements = kRows * kColumns}).integer(0).tuple({kRows, kColumns}).tuple({1, kRows}) << "\x89)}";
  pickle.text("neg") << "\x88s";
  std::vector<float> values(kRows * kColumns);
  std::iota(values.begin(), values.end(), 0.0f);
  auto entries = torch_entries(pickle.bytes() + "tRs.");
  entries[2].data.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const auto source = open_bytes(folder, build_zip(entries));
  CHECK(source->tile_boxes(0).size() == kRows);
  const auto read = tensor_values<float>(*source, "x");
  CHECK(read[0] == 0);
  CHECK(read[1] == -3);
  CHECK(read[kColumns] == -1);
  CHECK(read.back() == -(kRows * kColumns - 1));
}

TEST_CASE("attributes of objects and of tensors are listed by their names") {
  const TempFolder folder;
  Pickle pickle;
  pickle << "}(";
  pickle.text("obj").global("my", "Thing") << ")\x81}(";  // an instance, its attributes
  pickle.text("w").tensor({}).text("n").integer(3).text("deep") << "](";
  pickle.tensor({.shape = {6}, .strides = {1}}) << "eub";
  pickle.text("p").global("torch._utils", "_rebuild_parameter_with_state") << "(";
  pickle.tensor({}) << "\x88)}";
  pickle.text("scale").tensor({.shape = {1}, .strides = {1}}) << "stR";
  pickle.text("s").global("torch._tensor", "_rebuild_from_type_v2") << "(";
  pickle.global("torch._utils", "_rebuild_tensor_v2").global("my", "Sub") << "(";
  pickle.storage({}).integer(0).tuple({2}).tuple({1}) << "\x89)t}";
  pickle.text("zero").tensor({.shape = {1}, .strides = {1}}) << "s}\x86tR";  // (attributes, slots)
  pickle.text("slots") << "N";
  const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
  CHECK(keys(*source) == std::vector<std::string>{"obj.deep.0", "obj.w", "p", "p.scale", "s", "s.zero"});
  CHECK(tensor_values<float>(*source, "obj.w") == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(tensor_values<float>(*source, "s") == std::vector<float>{0, 1});
}

TEST_CASE("big-endian arrays are read") {
  const TempFolder folder;
  Pickle pickle;
  pickle << "}(";
  for (const char* key : {"a", "b"}) {  // the same bytes twice
    pickle.text(key).global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray") << "K\0\x85"
                                                                                                   "C\1b\x87R(K\1"s;
    pickle.tuple({2}).global("numpy", "dtype").text("c8") << "\x89\x88\x87R(K\3";
    pickle.text(">") << "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"s;
    pickle << (key == std::string("a") ? std::string("C\x10\x3f\x80\0\0\x40\0\0\0\x40\x40\0\0\x40\x80\0\0q\1", 20)
                                       : "h\1")
           << "tb";
  }
  const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
  CHECK(tensor_values<float>(*source, "a") == std::vector<float>{1, 2, 3, 4});
  CHECK(tensor_values<float>(*source, "b") == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("a transposed array of numpy 2.3 and later has its axes beside the order of its bytes") {
  const TempFolder folder;
  const auto read = [&](const char* order, const std::vector<int>& axes, const char* code = "f4") {
    Pickle pickle(5);
    std::string values;
    for (int i = 0; i < 24; ++i) values += little(static_cast<float>(i));
    pickle << "}";
    pickle.text("x").global("numpy._core.numeric", "_frombuffer") << "(C" << std::string(1, 96) << values;
    pickle.global("numpy", "dtype").text(code) << "\x89\x88\x87R";
    pickle.tuple({2, 3, 4}).text(order);
    if (!axes.empty()) pickle.tuple(axes);
    return open_bytes(folder, build_torch_zip(pickle.bytes() + "tRs."));
  };
  // arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
  std::vector<float> expected;
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 3; ++j) expected.push_back(static_cast<float>(12 * i + 4 * j + k));
  const auto source = read("K", {2, 0, 1});
  CHECK(source->manifest()[0].shape == Shape{4, 2, 3});
  CHECK(tensor_values<float>(*source, "x") == expected);
  CHECK(read("C", {})->manifest()[0].shape == Shape{2, 3, 4});
  CHECK(describe(read("K", {2, 0, 1}, "O8")->manifest()[0]) == "O8 [4,2,3], not read: a numpy array of 'O8'");
  for (const auto& axes : std::vector<std::vector<int>>{{}, {0, 1}, {0, 1, 1}, {0, 1, 3}, {-1, 0, 1}})
    CHECK(describe(read("K", axes)->manifest()[0]) ==
          "? ?, not read: a numpy array whose axes are in an order that is not known");
}

TEST_CASE("what a device without storages keeps as another type is read as what torch makes of it") {
  const TempFolder folder;
  const auto array = [](Pickle& p, const std::string& code, const std::string& bytes) {
    p.global("numpy.core.numeric", "_frombuffer") << "(C" << std::string(1, static_cast<char>(bytes.size())) << bytes;
    p.global("numpy", "dtype").text(code) << "\x89\x88\x87R";
    p.tuple({static_cast<int>(bytes.size() / (code == "f4" ? 4 : 8))}).text("C") << "tR";
  };
  const auto open = [&](const char* function, const char* dtype, const std::function<void(Pickle&)>& data) {
    Pickle pickle;
    pickle << "}(";
    for (const char* key : {"x", "y"}) {  // the data stands in the file once
      pickle.text(key).global("torch._utils", function) << "(";
      if (key == std::string("x"))
        data(pickle), pickle << "q\1";
      else
        pickle << "h\1";
      pickle.global("torch", dtype).text("xla:0") << "\x89tR";
    }
    return open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
  };
  std::string floats;
  for (const float value : {1.0f, 1.00390625f, 3.0f, 1.01171875f}) floats += little(value);
  const auto f4 = [&](Pickle& p) { array(p, "f4", floats); };
  const auto as_bf16 = open("_rebuild_device_tensor_from_numpy", "bfloat16", f4);
  for (const char* key : {"x", "y"}) {
    CHECK(describe(as_bf16->manifest()[as_bf16->manifest().find(key)]) == "BF16 [4]");
    CHECK(tensor_values<uint16_t>(*as_bf16, key) == std::vector<uint16_t>{0x3f80, 0x3f80, 0x4040, 0x3f82});
  }
  const auto as_it_is = open("_rebuild_device_tensor_from_numpy", "float32", f4);
  CHECK(tensor_values<float>(*as_it_is, "y") == std::vector<float>{1, 1.00390625f, 3, 1.01171875f});
  CHECK(as_it_is->manifest()[0].alias == "x");
  CHECK(describe(open("_rebuild_xla_tensor", "float16", f4)->manifest()[0]) ==
        "F16 [4], not read: kept as float32, which torch casts to float16 when it reads it");
  CHECK(
      describe(
          open("_rebuild_device_tensor_from_numpy", "bfloat16", [&](Pickle& p) {
            array(p, "f8", little(1.0) + little(2.0));
          })->manifest()[0]) == "BF16 [2], not read: kept as float64, which torch casts to bfloat16 when it reads it");
  const auto tensor = [](Pickle& p) { p.tensor({}); };
  CHECK(tensor_values<float>(*open("_rebuild_device_tensor_from_cpu_tensor", "float32", tensor), "y") ==
        std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(describe(open("_rebuild_device_tensor_from_cpu_tensor", "bfloat16", tensor)->manifest()[0]) ==
        "BF16 [2,3], not read: kept as float32, which torch casts to bfloat16 when it reads it");
  CHECK(describe(open("_rebuild_device_tensor_from_cpu_tensor", "float32", [](Pickle& p) {
                   p << "N";
                 })->manifest()[0]) == "? ?, not read: a tensor of another device, in a form that is not known");
}

TEST_CASE("a tensor that is all of a file is named as the file is") {
  const TempFolder folder;
  Pickle bare, two;
  bare.tensor({});
  two << "}(";
  two.text("").tensor({}).text("a").tensor({});
  const auto zip = open(folder.write("positions.v2.pt", build_torch_zip(bare.stop())));
  CHECK(keys(*zip) == std::vector<std::string>{"positions.v2"});
  CHECK(tensor_values<float>(*zip, "positions.v2") == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(keys(*open(folder.write("\xff.pt", build_torch_zip(bare.stop())))) == std::vector<std::string>{"tensor"});
  CHECK(keys(*open(folder.write("two.pt", build_torch_zip(two.bytes() + "u.")))) == std::vector<std::string>{"", "a"});
}

TEST_CASE("files of other kinds are told apart") {
  const TempFolder folder;
  const auto is_torch = [&](const std::string& bytes) {
    return looks_like_torch(MappedFile(folder.write("x", bytes)));
  };
  const std::string good = build_torch_zip((Pickle() << "}").stop());
  CHECK(is_torch(good));
  CHECK(is_torch(good.substr(0, good.size() / 2)));  // cut short, but torch's: opening says so
  CHECK(is_torch(build_torch_legacy((Pickle() << "}").stop(), {})));
  CHECK(!is_torch(build_zip({{"word/document.xml", "x"}})));
  CHECK(!is_torch(build_zip({{"data.pkl", "x"}})));
  CHECK(!is_torch((Pickle() << "}").stop()));
  CHECK(!is_torch(""));

  std::string tar(1024, '\0');
  tar.replace(0, 8, "sys_info");
  tar.replace(257, 5, "ustar");
  CHECK(is_torch(tar));
  CHECK(id_of(error_of([&] { open_bytes(folder, tar); })) == "torch-tar");

  auto entries = torch_entries((Pickle() << "}").stop());
  const auto with = [&](const char* name, const char* data) {
    auto more = entries;
    more.push_back({name, data});
    return id_of(error_of([&] { open_bytes(folder, build_zip(more)); }));
  };
  CHECK(with("archive/constants.pkl", "x") == "nothing was thrown");  // TorchScript: its code is not looked at
  CHECK(with("other/data.pkl", "x") == "torch-no-pickle");
  entries[1].data = "big";
  CHECK(id_of(error_of([&] { open_bytes(folder, build_zip(entries)); })) == "torch-big-endian");
  CHECK(id_of(error_of([&] { open_bytes(folder, build_torch_legacy((Pickle() << "}").stop(), {}, false)); })) ==
        "torch-big-endian");
  CHECK(id_of(error_of([&] { open_bytes(folder, build_zip({{"a/b", "x"}})); })) == "torch-no-pickle");
}

TEST_CASE("a pickle that is damaged on disk is refused before it is read") {
  const TempFolder folder;
  const auto file = build_zip(torch_entries((Pickle() << "}").stop()), test::ZipDamage::bad_crc);
  CHECK(id_of(error_of([&] { open_bytes(folder, file); })) == "zip-bad-crc");
}

TEST_CASE("legacy streams that contradict themselves are refused") {
  const TempFolder folder;
  const std::string object = (Pickle() << "}").text("w").tensor({.legacy = true}).bytes() + "s.";
  const auto open_with = [&](const std::vector<test::LegacyStorage>& storages) {
    return id_of(error_of([&] { open_bytes(folder, build_torch_legacy(object, storages)); }));
  };
  CHECK(open_with({{"0", 6, six_floats()}}) == "nothing was thrown");
  CHECK(open_with({{"0", 5, six_floats()}}) == "torch-bad-stream");
  CHECK(open_with({{"0", 6, "short"}}) == "torch-truncated");
  CHECK(open_with({}) == "torch-bad-storage");
  CHECK(open_with({{"0", 6, six_floats()}, {"1", 6, six_floats()}}) == "torch-bad-stream");
  CHECK(open_with({{"0", 6, six_floats()}, {"0", 6, six_floats()}}) == "torch-bad-stream");
}

TEST_CASE("a truncated checkpoint throws, whatever its length") {
  const TempFolder folder;
  const std::string object = (Pickle() << "}").text("w").tensor({}).bytes() + "s.";
  for (const std::string& whole : {build_torch_zip(object), build_zip(torch_entries(object, true)),
                                   build_torch_legacy(object, {{"0", 6, six_floats()}})}) {
    CHECK_NOTHROW(open_bytes(folder, whole));
    for (size_t length = 0; length < whole.size(); ++length)
      CHECK_THROWS_AS(open_bytes(folder, whole.substr(0, length)), Error);
  }
}

TEST_CASE("a file that shrinks while it is open is noticed") {
  const TempFolder folder;
  const auto source = open_bytes(folder, build_torch_zip((Pickle() << "}").text("w").tensor({}).bytes() + "s."));
  const FilesRead files({source.get()});
  std::filesystem::resize_file(folder.path("model.pt"), 0);
  CHECK(id_of(error_of([&] { test::tensor_bytes(*source, "w"); })) == "io-truncated");
  CHECK(id_of(error_of([&] { files.require_unchanged(); })) == "io-truncated");
}

TEST_CASE("sharing cannot make a small pickle list more than it is worth") {
  const TempFolder folder;
  // A dict in a dict in a dict, each named sixteen times by the next: 16^12 paths lead to the tensor.
  Pickle pickle;
  pickle << "}";
  pickle.text("w").tensor({}) << "sq\1";
  for (int level = 0; level < 12; ++level) {
    pickle << "}(";
    for (int i = 0; i < 16; ++i) pickle.integer(i) << "h\1";
    pickle << "uq\1";
  }
  CHECK(test::contains(error_of([&] { open_bytes(folder, build_torch_zip(pickle.stop())); }),
                       "limit-exceeded: values that are shared"));
  // Without a tensor, it is metadata, which is cut.
  Pickle plain;
  plain << "]q\1";
  for (int level = 0; level < 12; ++level)
    plain << "]("
          << "h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1"
          << "eq\1";
  OpenOptions options;
  options.limits.max_metadata_nodes = 1000;
  const auto source = open_bytes(folder, build_torch_zip(plain.stop()), options);
  CHECK(source->metadata().dump().size() < 100'000);
  CHECK(source->remarks() == std::vector<std::string>{"the metadata is longer than the limits allow and was cut"});
}

TEST_CASE("depth costs nothing") {
  const TempFolder folder;
  const auto source = open_bytes(folder, build_torch_zip(std::string(200'000, ']') + std::string(199'999, 'a') + "."));
  CHECK(source->metadata().dump().find("$deep") != std::string::npos);
}

TEST_CASE("keys are whole") {
  const TempFolder folder;
  const auto with_key = [&](const std::string& key) {
    return build_torch_zip((Pickle() << "}").text(key).tensor({}).bytes() + "s.");
  };
  CHECK(
      test::contains(error_of([&] { open_bytes(folder, with_key(std::string(5000, 'k'))); }), "max_key_bytes (4096)"));
  CHECK(id_of(error_of([&] { open_bytes(folder, with_key("a\xed\xb2\x80")); })) == "pickle-bad-text");
}

TEST_CASE("keys of a dict are one only where Python calls them equal") {
  using Key = std::function<void(Pickle&)>;
  struct Row {
    const char* what;
    Key first, second;
    std::vector<std::string> keys;  // one: the second's tensor
  };
  const auto nested = [](int number) { return [=](Pickle& p) { p.integer(number) << "\x85\x85\x85\x85\x85\x85"; }; };
  const auto member = [](const char* name) {  // of an enumeration
    return [=](Pickle& p) { p.global("my", name).integer(1) << "\x85R"; };
  };
  const Key one = [](Pickle&p) { p.integer(1); }, long_text = [](Pickle&p) { p.text(std::string(300, 'k')); };
  const std::vector<Row> rows = {
      {"tuples in tuples",
       [](Pickle& p) {
         p.tuple({1, 2}).text("x") << "\x86";
       },
       [](Pickle& p) {
         p.tuple({3, 4}).text("x") << "\x86";
       },
       {"((1, 2), x)", "((3, 4), x)"}},
      {"a number and its text in tuples",
       [](Pickle& p) { p.integer(0).text("a") << "\x86"; },
       [](Pickle& p) { p.text("0").text("a") << "\x86"; },
       {"(0, a)", "(0, a)#2"}},
      {"tuples, nested deeper than they are written",
       nested(1),
       nested(2),
       {"((((<a tuple>))))", "((((<a tuple>))))#2"}},
      {"a number and bytes",
       one,
       [](Pickle& p) {
         p << "C\1"
           << "1";
       },
       {"1", "1#2"}},
      {"a text and bytes",
       [](Pickle& p) { p.text("1"); },
       [](Pickle& p) {
         p << "C\1"
           << "1";
       },
       {"1", "1#2"}},
      {"a text and bytes of protocol 2",
       [](Pickle& p) { p.text("1"); },
       [](Pickle& p) { p.global("_codecs", "encode").text("1").text("latin1") << "\x86R"; },
       {"1", "1#2"}},
      {"members of two enumerations", member("Color"), member("Shape"), {"1", "1#2"}},
      {"a member and its value", member("Color"), one, {"1", "1#2"}},
      {"objects in tuples",
       [&](Pickle& p) { member("Color")(p), p << "\x85"; },
       [&](Pickle& p) { member("Shape")(p), p << "\x85"; },
       {"(1)", "(1)#2"}},
      {"numbers that are none",
       [](Pickle& p) { p << "G\x7f\xf8\0\0\0\0\0\0"s; },
       [](Pickle& p) { p << "G\x7f\xf8\0\0\0\0\0\0"s; },
       {"nan", "nan#2"}},
      {"1 and 1.0", one, [](Pickle& p) { p << "G\x3f\xf0\0\0\0\0\0\0"s; }, {"1"}},
      {"1 and True", one, [](Pickle& p) { p << "\x88"; }, {"1"}},
      {"the same in tuples", [](Pickle& p) { p.integer(1) << "\x85"; }, [](Pickle& p) { p << "\x88\x85"; }, {"(1)"}},
      {"2**63 and 2.0**63",
       [](Pickle& p) { p << "\x8a\x09\0\0\0\0\0\0\0\x80\0"s; },
       [](Pickle& p) { p << "G\x43\xe0\0\0\0\0\0\0"s; },
       {"9223372036854775808"}},
      {"one long text, twice", long_text, long_text, {std::string(300, 'k')}},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.what);
    Pickle pickle;
    pickle << "}(";
    row.first(pickle);
    pickle.tensor({.offset = 1, .shape = {1}, .strides = {1}});
    row.second(pickle);
    pickle.tensor({.offset = 2, .shape = {1}, .strides = {1}});
    const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
    CHECK(keys(*source) == row.keys);
    CHECK(tensor_values<float>(*source, row.keys.back()) == std::vector<float>{2});
    if (row.keys.size() == 2) CHECK(tensor_values<float>(*source, row.keys.front()) == std::vector<float>{1});
  }
}

TEST_CASE("paths that come out as one key are listed apart") {
  const TempFolder folder;
  const auto row = [&](int first) { return Pickle::Tensor{.offset = first, .shape = {1}, .strides = {1}}; };
  Pickle pickle;
  pickle << "}(";
  pickle.text("1").tensor(row(0)).integer(1).tensor(row(1));
  pickle.text("a") << "}";
  pickle.text("b").tensor(row(2)) << "s";
  pickle.text("a.b").tensor(row(3));
  pickle.text("a.b#2").tensor(row(4));  // taken already
  const auto source = open_bytes(folder, build_torch_zip(pickle.bytes() + "u."));
  CHECK(keys(*source) == std::vector<std::string>{"1", "1#2", "a.b", "a.b#2", "a.b#3"});
  for (const auto& [key, value] :
       std::map<std::string, float>{{"1", 0}, {"1#2", 1}, {"a.b", 2}, {"a.b#3", 3}, {"a.b#2", 4}})
    CHECK(tensor_values<float>(*source, key) == std::vector<float>{value});
  CHECK(source->remarks() ==
        std::vector<std::string>{"'1' is the key of more than one tensor: the next one is listed as '1#2'",
                                 "'a.b' is the key of more than one tensor: the next one is listed as 'a.b#3'"});
}
