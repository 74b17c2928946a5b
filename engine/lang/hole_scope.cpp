#include "lang/hole_scope.h"

#include <fmt/format.h>

namespace remap::lang {

Json value_of_hole(const std::string& text) {
  constexpr size_t kMaxDigits = 17;
  const bool digits =
      !text.empty() && text.size() <= kMaxDigits && text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? Json(static_cast<int64_t>(std::stoll(text))) : Json(text);
}

std::optional<Value> HoleScope::lookup(const std::string& name) {
  if (const std::string* text = captures_.hole(name)) return Value::of(value_of_hole(*text));
  if (outer_ != nullptr) return outer_->lookup(name);
  return Value::missing(fmt::format("a value for '{}'", name));
}

const Json* HoleScope::reference(const std::string& name) {
  return captures_.hole(name) != nullptr || outer_ == nullptr ? nullptr : outer_->reference(name);
}

Json HoleScope::member_key(const std::string& base, const std::string& member) const {
  return outer_ == nullptr ? Json(member) : outer_->member_key(base, member);
}

}  // namespace remap::lang
