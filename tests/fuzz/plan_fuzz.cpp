// Rules, and, after lines of "====", the tensors they are for (a manifest in text), a target schema, the fields of
// config.json. A plan that can be made can be printed and run, and writes every byte of its targets.
#include <cstdlib>

#include "formats/json_text.h"
#include "formats/manifest_source.h"
#include "fuzz/fuzz_input.h"
#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/execute.h"
#include "remap/report.h"
#include "remap/text.h"
#include "remap/values.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"

using namespace remap;

namespace {

constexpr int64_t kMaxBytes = 1 << 20;
constexpr std::string_view kTensors =
    "embed.weight float32 [6, 4]\n"
    "layers.0.fc.weight float32 [4, 4]\n"
    "layers.1.fc.weight float32 [4, 4]\n"
    "layers.0.fc.bias float16 [4]\n"
    "layers.1.fc.bias float16 [4]\n"
    "qkv bfloat16 [12, 4]\n"
    "experts.0.w int8 [2, 3]\n"
    "experts.1.w int8 [2, 3]\n"
    "step int64 []\n"
    "none float32 [0, 4]\n";

// Zeros, whatever the type.
std::vector<test::MemoryTensor> tensors_of(const Manifest& manifest) {
  std::vector<test::MemoryTensor> tensors;
  int64_t total = 0;
  for (const TensorInfo& info : manifest.tensors()) {
    if (info.unread != nullptr || tensors.size() == 200) continue;
    const int64_t size = data_bytes(info);
    if (size > kMaxBytes || (total += size) > kMaxBytes) break;
    tensors.push_back({info.key, info.dtype, info.shape, std::vector<std::byte>(static_cast<size_t>(size))});
  }
  return tensors;
}

void run(const Plan& plan, const Source& source) {
  int64_t total = 0;
  for (const auto& tensor : plan.tensors) {
    const int64_t size = data_bytes(tensor);
    if (size > kMaxBytes || (total += size) > kMaxBytes || bits(tensor.dtype) % 8 != 0) return;
  }
  test::MemorySink sink(plan.tensors);
  ExecOptions options;
  options.threads = 1;
  try {
    execute(plan.tensors, {&source}, sink, options);
  } catch (const Error& error) {
    if (error.diagnostic().id == "plan-inconsistent") std::abort();
    return;
  }
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].fill || !plan.tensors[i].filled.empty()) continue;
    for (const std::byte byte : sink.bytes(i))
      if (byte != std::byte{0}) std::abort();  // zeros stay zeros; what nothing wrote is 0xcd
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto parts = fuzz::parts_of({reinterpret_cast<const char*>(data), size});
  parts.resize(4);
  Diagnostics diagnostics;
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>("rules", std::string(parts[0])), diagnostics, true);
  if (!set || set->sources.size() != 1) return 0;
  impl->set = std::move(*set);
  if (!parts[2].empty())
    impl->schema = lang::parse_schema(std::make_shared<lang::SourceText>("schema", std::string(parts[2])), diagnostics);
  PlanOptions options;
  options.same = tensors_equal;
  options.values = tensor_values;
  options.config_file = "config.json";
  options.limits = fuzz::small_limits().limits;
  options.limits.max_tensors = 1000;
  try {
    if (!parts[3].empty()) options.config = formats::parse_json(parts[3], {"config.json"});
    if (!options.config.is_object()) return 0;
    const auto listed = formats::open_manifest_text("fuzz", parts[1].empty() ? kTensors : parts[1], {});
    const test::MemorySource source(tensors_of(listed->manifest()));
    const auto plan = make_plan(Rules::of(impl), {{"", &source}}, options, diagnostics);
    (void)render_text(diagnostics);
    if (!plan) {
      if (!diagnostics.has_errors()) std::abort();
      return 0;
    }
    (void)render_text(*plan);
    (void)render_json_text(*plan);
    (void)render_snapshot(*plan);
    run(*plan, source);
  } catch (const Error&) {
  }
  return 0;
}
