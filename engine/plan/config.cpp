#include "plan/config.h"

#include <map>

namespace remap::plan {

bool is_config_of_part(const std::string& name, const Json& value) { return value.is_object() && name.ends_with("_config"); }

void merge(Json& base, const Json& over) {
  for (const auto& [name, value] : over.items()) {
    const auto it = base.find(name);
    if (it != base.end() && it->is_object() && is_config_of_part(name, value)) merge(*it, value);
    else base[name] = value;
  }
}

void leave_out(Json& config, const Json& implied) {
  for (const auto& [name, value] : implied.items()) {
    const auto it = config.find(name);
    if (it == config.end()) continue;
    if (*it == value) config.erase(name);
    else if (it->is_object() && is_config_of_part(name, value)) leave_out(*it, value);
  }
}

Json sorted_keys(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(sorted_keys(item));
    return list;
  }
  if (!value.is_object()) return value;
  std::map<std::string, const Json*> fields;
  for (const auto& [name, field] : value.items()) fields[name] = &field;
  Json object = Json::object();
  for (const auto& [name, field] : fields) object[name] = sorted_keys(*field);
  return object;
}

}  // namespace remap::plan
