#include "infer/source_keys.h"

#include <algorithm>

namespace remap::infer {

SourceKeys source_keys(const Problem& problem, const Roots& roots, uint32_t source) {
  SourceKeys keys;
  const Manifest& manifest = problem.sources[source].source->manifest();
  for (uint32_t t = 0; t < manifest.size(); ++t)
    if (const Ref ref{source, t}; is_below_root(problem, roots, ref))
      keys.emplace_back(key_below_root(problem, roots, ref), ref);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace remap::infer
