// Any bytes are a pickle or an Error, and what a pickle means can be asked of every value in it.
#include "formats/pickle.h"
#include "formats/pickle_known.h"
#include "formats/pickle_scalars.h"

#include <cstddef>
#include <cstdint>
#include <span>

using namespace remap;
using namespace remap::formats;

namespace {

Limits small_limits() {
  Limits limits;
  limits.max_pickle_objects = 1'000'000;
  limits.max_pickle_memo = 1'000'000;
  return limits;
}

void ask_everything(const PickleGraph& graph) {
  const PickleMeanings meanings(graph);
  for (PickleRef ref = 0; ref < graph.size() && ref < 1000; ++ref) {
    const PickleView view = meanings.view(ref);
    (void)meanings.key_text(ref);
    (void)meanings.integer(ref);
    if (view.meaning == Meaning::mapping) (void)meanings.named_entries(view);
    if (view.meaning == Meaning::sequence) (void)meanings.items(view);
    if (view.meaning == Meaning::module) (void)meanings.module(view.ref);
    if (view.meaning == Meaning::record) (void)meanings.class_name(view.ref);
    if (view.meaning == Meaning::scalar) (void)scalar_json(meanings, view).dump();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Limits limits = small_limits();
  try {
    ask_everything(read_pickle(std::as_bytes(std::span(data, size)), {"fuzz", "data.pkl", 0}, limits));
  } catch (const Error&) {
  }
  return 0;
}
