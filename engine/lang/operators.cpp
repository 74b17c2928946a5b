#include "lang/operators.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "lang/functions.h"

namespace remap::lang {
namespace {

[[noreturn]] void refuse_operands(const std::string& message, const std::string& hint = {}) {
  throw Error("expression-value", {}, message, hint);
}

Json contains(std::string_view, const Json& item, const Json& container) {
  if (container.is_array()) return std::find(container.begin(), container.end(), item) != container.end();
  if (container.is_object() && item.is_string()) return container.contains(item.get<std::string>());
  if (container.is_string() && item.is_string())
    return container.get<std::string>().find(item.get<std::string>()) != std::string::npos;
  refuse_operands(fmt::format("'in' needs a list, an object or a string on its right; found {}", shown(container)));
}

template <typename Compare>
Json ordered(std::string_view, const Json& a, const Json& b) {
  const bool comparable = (a.is_number() && b.is_number()) || (a.is_string() && b.is_string());
  if (!comparable) refuse_operands(fmt::format("{} and {} cannot be ordered", shown(a), shown(b)));
  return Compare()(a, b);
}

int64_t in_range(std::optional<int64_t> result) {
  if (!result) refuse_operands("the result is too large for a 64-bit integer");
  return *result;
}

int64_t added(int64_t x, int64_t y) { return in_range(checked_add(x, y)); }
int64_t multiplied(int64_t x, int64_t y) { return in_range(checked_mul(x, y)); }
int64_t subtracted(int64_t x, int64_t y) {
  int64_t result = 0;
  return in_range(__builtin_sub_overflow(x, y, &result) ? std::nullopt : std::optional(result));
}

// y = -1 is a subtraction, whose result may be out of range.
int64_t floored(int64_t x, int64_t y) {
  if (y == 0) refuse_operands("division by zero");
  return y == -1 ? subtracted(0, x) : x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0);
}
int64_t remainder(int64_t x, int64_t y) { return y == -1 ? 0 : x - floored(x, y) * y; }
int64_t divided(int64_t x, int64_t y) {
  const int64_t quotient = floored(x, y);
  if (y != -1 && x % y != 0) refuse_operands(fmt::format("{} is not divisible by {}", x, y), "'//' rounds down");
  return quotient;
}

double divisor(double y) {
  if (y == 0) refuse_operands("division by zero");
  return y;
}
double added(double x, double y) { return x + y; }
double subtracted(double x, double y) { return x - y; }
double multiplied(double x, double y) { return x * y; }
double divided(double x, double y) { return x / divisor(y); }
double floored(double x, double y) { return std::floor(x / divisor(y)); }
double remainder(double x, double y) { return x - y * std::floor(x / divisor(y)); }

// Exact between integers.
template <int64_t (*integers)(int64_t, int64_t), double (*numbers)(double, double)>
Json arithmetic(std::string_view sign, const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number())
    refuse_operands(fmt::format("'{}' needs two numbers; found {} and {}", sign, shown(a), shown(b)));
  if (a.is_number_integer() && b.is_number_integer()) return integers(a.get<int64_t>(), b.get<int64_t>());
  return numbers(a.get<double>(), b.get<double>());
}

Json sum(std::string_view sign, const Json& a, const Json& b) {
  if (a.is_string() && b.is_string()) return a.get<std::string>() + b.get<std::string>();
  if (!a.is_array() || !b.is_array()) return arithmetic<added, added>(sign, a, b);
  Json list = a;
  list.insert(list.end(), b.begin(), b.end());
  if (static_cast<int64_t>(list.size()) > kMaxListLength) refuse_operands("the list is too long");
  return list;
}

constexpr OperatorRow kOperators[] = {
    {"==", [](std::string_view, const Json& a, const Json& b) { return Json(a == b); }},
    {"!=", [](std::string_view, const Json& a, const Json& b) { return Json(a != b); }},
    {"<", ordered<std::less<>>},
    {"<=", ordered<std::less_equal<>>},
    {">", ordered<std::greater<>>},
    {">=", ordered<std::greater_equal<>>},
    {"in", contains},
    {"+", sum},
    {"-", arithmetic<subtracted, subtracted>},
    {"*", arithmetic<multiplied, multiplied>},
    {"/", arithmetic<divided, divided>},
    {"//", arithmetic<floored, floored>},
    {"%", arithmetic<remainder, remainder>},
};

}  // namespace

const OperatorRow* find_operator(std::string_view sign) {
  const auto row = std::find_if(std::begin(kOperators), std::end(kOperators),
                                [&](const OperatorRow& known) { return known.sign == sign; });
  return row == std::end(kOperators) ? nullptr : row;
}

}  // namespace remap::lang
