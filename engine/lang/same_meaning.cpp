#include "lang/same_meaning.h"

namespace remap::lang {

bool same_meaning(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size() || a.entries.size() != b.entries.size()) return false;
  if (a.is_scalar() && (a.text != b.text || to_json(a) != to_json(b))) return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!same_meaning(a.items[i], b.items[i])) return false;
  for (size_t i = 0; i < a.entries.size(); ++i)
    if (a.entries[i].key.text != b.entries[i].key.text || !same_meaning(a.entries[i].value, b.entries[i].value))
      return false;
  return true;
}

}  // namespace remap::lang
