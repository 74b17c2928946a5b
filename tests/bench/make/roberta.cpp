// A zip archive of stored members and a pickle made by hand, zip64 where the archive needs it.
#include "bench/make/make.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <zlib.h>

namespace bench {
namespace {

struct Model {
  int64_t layers = 24, hidden = 1024, ffn = 4096, vocab = 50265, positions = 514;
};

struct Tensor {
  std::string key;
  std::vector<int64_t> shape;
  size_t storage;  // tied tensors share one
};

int64_t element_count(const Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t dim : tensor.shape) count *= dim;
  return count;
}

std::vector<Tensor> tensors_of(const Model& m) {
  std::vector<Tensor> tensors;
  size_t n_storages = 0;
  const auto add = [&](const std::string& key, std::vector<int64_t> shape) {
    tensors.push_back({"encoder." + key, std::move(shape), n_storages++});
  };
  const auto add_linear = [&](const std::string& key, int64_t out, int64_t in) {
    add(key + ".weight", {out, in});
    add(key + ".bias", {out});
  };
  const auto add_norm = [&](const std::string& key) {
    add(key + ".weight", {m.hidden});
    add(key + ".bias", {m.hidden});
  };
  const std::string trunk = "sentence_encoder.";
  add(trunk + "embed_tokens.weight", {m.vocab, m.hidden});
  add(trunk + "embed_positions.weight", {m.positions, m.hidden});
  for (int64_t i = 0; i < m.layers; ++i) {
    const std::string layer = trunk + "layers." + std::to_string(i) + ".";
    for (const char* name : {"k_proj", "v_proj", "q_proj", "out_proj"})
      add_linear(layer + "self_attn." + name, m.hidden, m.hidden);
    add_norm(layer + "self_attn_layer_norm");
    add_linear(layer + "fc1", m.ffn, m.hidden);
    add_linear(layer + "fc2", m.hidden, m.ffn);
    add_norm(layer + "final_layer_norm");
  }
  add_norm(trunk + "emb_layer_norm");
  tensors.push_back({"encoder.lm_head.weight", {m.vocab, m.hidden}, 0});  // tied to embed_tokens
  add("lm_head.bias", {m.vocab});
  add_linear("lm_head.dense", m.hidden, m.hidden);
  add_norm("lm_head.layer_norm");
  return tensors;
}

template <typename T>
void append(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

// The few opcodes of pickle protocol 2 that are needed.
class Pickle {
 public:
  void text(const std::string& value) {
    out_ += 'X';
    append(out_, static_cast<uint32_t>(value.size()));
    out_ += value;
  }
  void integer(int64_t value) {
    out_ += "\x8a\x08";  // LONG1 of 8 bytes
    append(out_, value);
  }
  void real(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, 8);
    out_ += 'G';
    append(out_, __builtin_bswap64(bits));
  }
  void global(const char* module, const char* name) { out_ += std::string("c") + module + "\n" + name + "\n"; }
  void raw(const char* opcodes) { out_ += opcodes; }
  void integers(const std::vector<int64_t>& values) {
    raw("(");
    for (const int64_t value : values) integer(value);
    raw("t");
  }
  const std::string& finish() { return out_ += '.'; }

 private:
  std::string out_ = "\x80\x02";
};

void pickle_tensor(Pickle& pickle, const Tensor& tensor) {
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.raw("((");
  pickle.text("storage");
  pickle.global("torch", "FloatStorage");
  pickle.text(std::to_string(tensor.storage));
  pickle.text("cpu");
  pickle.integer(element_count(tensor));
  pickle.raw("tQ");
  pickle.integer(0);
  pickle.integers(tensor.shape);
  std::vector<int64_t> strides(tensor.shape.size(), 1);
  for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * tensor.shape[d];
  pickle.integers(strides);
  pickle.raw("\x89");  // requires_grad
  pickle.global("collections", "OrderedDict");
  pickle.raw(")RtR");
}

void pickle_args(Pickle& pickle, const Model& m) {
  const std::pair<const char*, const char*> texts[] = {
      {"arch", "roberta_large"}, {"task", "masked_lm"}, {"criterion", "masked_lm"}};
  const std::pair<const char*, const char*> functions[] = {{"activation_fn", "gelu"}, {"pooler_activation_fn", "tanh"}};
  const std::pair<const char*, int64_t> integers[] = {{"encoder_layers", m.layers},
                                                      {"encoder_embed_dim", m.hidden},
                                                      {"encoder_ffn_embed_dim", m.ffn},
                                                      {"encoder_attention_heads", m.hidden / 64},
                                                      {"max_positions", m.positions - 2}};
  const std::pair<const char*, double> reals[] = {
      {"dropout", 0.1}, {"attention_dropout", 0.1}, {"activation_dropout", 0.0}, {"pooler_dropout", 0.0}};
  pickle.global("argparse", "Namespace");
  pickle.raw(")\x81}(");
  for (const auto& [key, value] : texts) pickle.text(key), pickle.text(value);
  for (const auto& [key, value] : functions) pickle.text(key), pickle.text(value);
  for (const auto& [key, value] : integers) pickle.text(key), pickle.integer(value);
  for (const auto& [key, value] : reals) pickle.text(key), pickle.real(value);
  pickle.raw("ub");
}

// {"args": Namespace(…), "model": OrderedDict(…)}
std::string pickle_of(const Model& m, const std::vector<Tensor>& tensors) {
  Pickle pickle;
  pickle.raw("}(");
  pickle.text("args");
  pickle_args(pickle, m);
  pickle.text("model");
  pickle.global("collections", "OrderedDict");
  pickle.raw(")R(");
  for (const Tensor& tensor : tensors) {
    pickle.text(tensor.key);
    pickle_tensor(pickle, tensor);
  }
  pickle.raw("uu");
  return pickle.finish();
}

// Members larger than 4 GiB are not needed; an archive that is larger is.
class Zip {
 public:
  explicit Zip(const char* path) : file_(std::fopen(path, "wb")) {
    if (file_ == nullptr) fail(path);
  }

  // As torch does: data begins on a multiple of 64 bytes.
  void add(const std::string& name, const char* data, uint64_t size) {
    const auto crc = static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(data), size));
    const uint64_t padding = (64 - (position_ + 30 + name.size() + 4) % 64) % 64;
    std::string extra = "FB";
    append(extra, static_cast<uint16_t>(padding));
    extra.append(padding, 'Z');
    members_.push_back({name, crc, size, position_});
    std::string header("PK\x03\x04\0\0\0\x08\0\0\0\0\0\0", 14);
    append(header, crc);
    append(header, static_cast<uint32_t>(size));
    append(header, static_cast<uint32_t>(size));
    append(header, static_cast<uint16_t>(name.size()));
    append(header, static_cast<uint16_t>(extra.size()));
    write(header + name + extra);
    write(data, size);
  }

  void finish() {
    const uint64_t begin = position_;
    for (const Member& member : members_) write(directory_entry(member));
    write(end_of(members_.size(), begin, position_ - begin, position_));
    if (std::fclose(file_) != 0) fail("close");
  }

 private:
  struct Member {
    std::string name;
    uint32_t crc;
    uint64_t size, offset;
  };

  static std::string directory_entry(const Member& member) {
    std::string extra;
    if (member.offset >= 0xffffffff) {
      extra.assign("\x01\x00\x08\x00", 4);
      append(extra, member.offset);
    }
    std::string entry("PK\x01\x02\0\0\0\0\0\x08\0\0\0\0\0\0", 16);
    append(entry, member.crc);
    append(entry, static_cast<uint32_t>(member.size));
    append(entry, static_cast<uint32_t>(member.size));
    append(entry, static_cast<uint16_t>(member.name.size()));
    append(entry, static_cast<uint16_t>(extra.size()));
    entry.append(10, '\0');  // comment, disk, attributes
    append(entry, narrow(member.offset));
    return entry + member.name + extra;
  }

  static std::string end_of(uint64_t count, uint64_t begin, uint64_t size, uint64_t position) {
    std::string end("PK\x06\x06", 4);
    append(end, uint64_t{44});
    end.append("\x2d\0\x2d\0\0\0\0\0\0\0\0\0", 12);  // versions, disks
    for (const uint64_t value : {count, count, size, begin}) append(end, value);
    end.append("PK\x06\x07\0\0\0\0", 8);
    append(end, position);
    append(end, uint32_t{1});
    end.append("PK\x05\x06\0\0\0\0", 8);
    append(end, static_cast<uint16_t>(count));
    append(end, static_cast<uint16_t>(count));
    append(end, static_cast<uint32_t>(size));
    append(end, narrow(begin));
    return end.append(2, '\0');
  }

  static uint32_t narrow(uint64_t value) { return value >= 0xffffffff ? 0xffffffff : static_cast<uint32_t>(value); }
  void write(const std::string& bytes) { write(bytes.data(), bytes.size()); }
  void write(const char* data, uint64_t size) {
    if (std::fwrite(data, 1, size, file_) != size) fail("write");
    position_ += size;
  }

  std::FILE* file_;
  uint64_t position_ = 0;
  std::vector<Member> members_;
};

}  // namespace

// The defaults give roberta.large, 1.4 GB; 84 layers give 4.5 GB.
void make_roberta(const std::string& path, const Numbers& numbers) {
  const Numbers n = filled(numbers, {24, 1024, 4096, 50265});
  const Model model{.layers = n[0], .hidden = n[1], .ffn = n[2], .vocab = n[3]};
  const auto tensors = tensors_of(model);
  Zip zip(path.c_str());
  const std::string pickle = pickle_of(model, tensors);
  zip.add("archive/data.pkl", pickle.data(), pickle.size());
  zip.add("archive/byteorder", "little", 6);
  std::vector<float> values;
  uint64_t state = 1;
  size_t next_storage = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.storage != next_storage) continue;
    values.resize(static_cast<size_t>(element_count(tensor)));
    fill_randomly(values.data(), values.size(), state);
    zip.add("archive/data/" + std::to_string(next_storage++), reinterpret_cast<const char*>(values.data()),
            values.size() * sizeof(float));
  }
  zip.add("archive/version", "3\n", 2);
  zip.finish();
}

}  // namespace bench
