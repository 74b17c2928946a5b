#include "plan/made_tensors.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/checked.h"
#include "lang/functions.h"
#include "lang/hole_scope.h"
#include "plan/apply_steps.h"

namespace remap::plan {
namespace {

constexpr int64_t kMaxExact = int64_t{1} << 53;  // whole numbers up to there are doubles

int64_t whole_number(const std::optional<lang::Expression>& expression, int64_t otherwise,
                     layout::CheckpointScope& scope) {
  if (!expression) return otherwise;
  const Json value = lang::evaluate_present(*expression, scope);
  if (!value.is_number_integer())
    throw Error("expression-value", expression->written.place(),
                fmt::format("'{}' is {}; a whole number was expected", expression->text, lang::shown(value)));
  return value.get<int64_t>();
}

std::vector<std::string> texts_of(const lang::Loop& loop, layout::CheckpointScope& scope) {
  const Json list = lang::evaluate_present(loop.list, scope);
  std::vector<std::string> texts;
  const auto is_text = [](const Json& entry) {
    return (entry.is_number_integer() && entry >= 0) || (entry.is_string() && !entry.get<std::string>().empty());
  };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_text))
    throw Error("expression-value", loop.list.written.place(),
                fmt::format("'{}' is {}; a list of numbers from 0 or of strings was expected", loop.list.text,
                            lang::shown(list)));
  for (const Json& entry : list) texts.push_back(entry.is_string() ? entry.get<std::string>() : entry.dump());
  return texts;
}

}  // namespace

void for_each_loop(const PlanInput& input, const lang::Rule& rule, layout::CheckpointScope& scope,
                   const std::function<void(const lang::Captures& loops)>& build) {
  std::vector<std::vector<std::string>> lists;
  std::optional<int64_t> product = 1;
  for (const lang::Loop& loop : rule.each) {
    lists.push_back(texts_of(loop, scope));
    if (lists.back().empty()) return;
    product = product ? checked_mul(*product, static_cast<int64_t>(lists.back().size())) : std::nullopt;
  }
  if (!product || static_cast<uint64_t>(*product) > input.limits.max_tensors) throw too_many_tensors(input, rule);
  std::vector<size_t> at(lists.size(), 0);
  for (int64_t n = 0; n < *product; ++n) {
    lang::Captures captures;
    for (size_t i = 0; i < lists.size(); ++i) captures.holes.emplace_back(rule.each[i].name, lists[i][at[i]]);
    lang::HoleScope holes(captures, &scope);
    if (!rule.where || lang::evaluate_condition(*rule.where, holes)) build(captures);
    for (size_t i = lists.size(); i-- > 0;) {
      if (++at[i] < lists[i].size()) break;
      at[i] = 0;
    }
  }
}

FilledPart counted_part(const lang::Rule& rule, const Shape& shape, layout::CheckpointScope& scope) {
  const int64_t begin = whole_number(rule.counting->begin, 0, scope),
                step = whole_number(rule.counting->step, 1, scope);
  const size_t axis = rule.counting->axis ? static_cast<size_t>(*rule.counting->axis) : shape.size() - 1;
  if (axis >= shape.size())
    throw Error("plan-layout", rule.place,
                fmt::format("'{}' of shape {} has no axis{} to count along", rule.to.text, to_string(shape),
                            rule.counting->axis ? fmt::format(" {}", *rule.counting->axis) : ""));
  const auto way = checked_mul(std::max<int64_t>(shape[axis] - 1, 0), step);
  const auto last = way ? checked_add(begin, *way) : std::nullopt;
  if (!last || std::max(begin, *last) > kMaxExact || std::min(begin, *last) < -kMaxExact)
    throw Error("plan-layout", rule.place,
                fmt::format("'{}' would count further than 2^53, beyond which numbers are not exact", rule.to.text));
  FilledPart part{{}, static_cast<double>(begin), static_cast<double>(step)};
  std::vector<Axis> axes;
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] != 1) axes.push_back({shape[d], 1, d == axis ? 1 : 0, static_cast<uint8_t>(d), 0});
  part.region.axes = std::move(axes);
  return part;
}

std::map<size_t, int64_t> constant_sizes(const lang::Rule& rule, layout::CheckpointScope& scope) {
  std::map<size_t, int64_t> sizes;
  if (!rule.concat) return sizes;
  std::optional<int64_t> sum = 0;
  for (size_t i = 0; i < rule.concat->parts.size(); ++i) {
    const auto& part = rule.concat->parts[i];
    if (!part.fill) continue;
    sizes[i] = evaluate_shape({lang::DimTerm{*part.size}}, scope).front();
    sum = sum ? checked_add(*sum, sizes[i]) : std::nullopt;
    if (!sum || *sum > kMaxExact)
      throw Error("expression-value", part.size->written.place(),
                  fmt::format("'{}' is {}, more entries than an axis can have", part.size->text, sizes[i]));
  }
  return sizes;
}

}  // namespace remap::plan
