#include "lang/functions.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/text.h"
#include "lang/hole_scope.h"
#include "lang/python_list.h"

namespace remap::lang {

std::string shown(const Json& json) {
  constexpr size_t kMaxBytes = 60, kKept = 57;
  std::string s = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return s.size() <= kMaxBytes ? s : fmt::format("{}…", utf8_prefix(s, kKept));
}

const Json* entry_of(const Json& json, const Json& key) {
  if (json.is_object() && (key.is_string() || key.is_number_integer())) {
    const auto it = json.find(key.is_string() ? key.get<std::string>() : std::to_string(key.get<int64_t>()));
    return it == json.end() ? nullptr : &*it;
  }
  if (json.is_array() && key.is_number_integer()) {
    const int64_t n = static_cast<int64_t>(json.size());
    int64_t i = key.get<int64_t>();
    if (i < 0) i += n;
    return i >= 0 && i < n ? &json[static_cast<size_t>(i)] : nullptr;
  }
  return nullptr;
}

// ---------------------------------------------------------------- arguments

void Call::needs(const std::string& what, size_t i) const {
  const std::string found = i >= size()                                   ? "nothing"
                            : arguments[i].state == Value::State::present ? shown(arguments[i].json)
                                                                          : arguments[i].what;
  const std::string which = function.max_arguments == 1 ? "" : fmt::format(" as argument {}", i + 1);
  throw Error("expression-value", {}, fmt::format("'{}' needs {}{}; found {}", function.name, what, which, found));
}

const Json& Call::json(size_t i) const {
  if (i >= size() || arguments[i].state != Value::State::present) needs("plain data", i);
  return arguments[i].json;
}

const Json& Call::list(size_t i) const {
  if (!json(i).is_array()) needs("a list", i);
  return json(i);
}

const std::string& Call::string(size_t i) const {
  if (!json(i).is_string()) needs("a string", i);
  return json(i).get_ref<const std::string&>();
}

int64_t Call::integer(size_t i) const {
  if (!json(i).is_number_integer()) needs("an integer", i);
  return json(i).get<int64_t>();
}

double Call::number(size_t i) const {
  if (!json(i).is_number()) needs("a number", i);
  return json(i).get<double>();
}

KeyFacts& Call::checkpoint() const {
  if (KeyFacts* facts = scope.key_facts()) return *facts;
  throw Error("expression-no-checkpoint", {},
              fmt::format("'{}' cannot be asked here: no checkpoint is known", function.name));
}

namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error("expression-value", {}, message); }

void check_length(int64_t length) {
  if (length > kMaxListLength) refuse("the list is too long");
}

// ---------------------------------------------------------------- keys and tensors of the checkpoint

Json exists(const Call& c) { return c.checkpoint().exists(c.string(0)); }
Json count(const Call& c) { return c.checkpoint().count(c.string(0)); }
Json indices(const Call& c) { return c.checkpoint().indices(c.string(0)); }
Json captures(const Call& c) { return c.checkpoint().captures(c.string(0), c.string(1)); }
Json counts(const Call& c) { return c.checkpoint().counts(c.string(0), c.string(1)); }
Json shape(const Call& c) { return c.checkpoint().shape(c.string(0)); }
Json values(const Call& c) { return c.checkpoint().values(c.string(0)); }
Json same(const Call& c) { return c.checkpoint().same(c.string(0), c.string(1)); }

// ---------------------------------------------------------------- numbers

// The numbers of max(a, b, …) or max([a, b, …]).
std::vector<Json> numbers_of(const Call& c) {
  std::vector<Json> list;
  if (c.size() == 1 && c.json(0).is_array())
    list = c.json(0).get<std::vector<Json>>();
  else
    for (size_t i = 0; i < c.size(); ++i) list.push_back(c.json(i));
  if (list.empty()) refuse(fmt::format("'{}' of an empty list", c.function.name));
  for (const auto& x : list)
    if (!x.is_number()) refuse(fmt::format("'{}' needs numbers; found {}", c.function.name, shown(x)));
  return list;
}
Json max(const Call& c) {
  const auto list = numbers_of(c);
  return *std::max_element(list.begin(), list.end());
}
Json min(const Call& c) {
  const auto list = numbers_of(c);
  return *std::min_element(list.begin(), list.end());
}

Json to_int(const Call& c) {
  const Json& x = c.json(0);
  if (x.is_number_integer()) return x;
  if (x.is_number() && std::abs(x.get<double>()) < 9e18) return static_cast<int64_t>(x.get<double>());
  if (x.is_string()) {
    const auto& s = x.get_ref<const std::string&>();
    int64_t n = 0;
    if (const auto r = std::from_chars(s.data(), s.data() + s.size(), n);
        r.ec == std::errc() && r.ptr == s.data() + s.size())
      return n;
  }
  refuse(fmt::format("{} is not an integer", shown(x)));
}

Json sqrt(const Call& c) {
  const int64_t n = c.integer(0), root = n < 0 ? -1 : static_cast<int64_t>(std::sqrt(static_cast<double>(n)) + 0.5);
  if (root < 0 || root > (int64_t{1} << 31) || root * root != n)
    refuse(fmt::format("{} is not the square of a whole number", n));
  return root;
}

// ---------------------------------------------------------------- lists

Json len(const Call& c) {
  const Json& x = c.json(0);
  if (x.is_string()) return static_cast<int64_t>(x.get_ref<const std::string&>().size());
  if (!x.is_array() && !x.is_object()) c.needs("a list, an object or a string", 0);
  return static_cast<int64_t>(x.size());
}

Json range(const Call& c) {
  const int64_t begin = c.size() == 1 ? 0 : c.integer(0);
  const int64_t end = c.integer(c.size() == 1 ? 0 : 1);
  const int64_t step = c.size() == 3 ? c.integer(2) : 1;
  if (step <= 0) refuse("the step of 'range' must be positive");
  Json list = Json::array();
  for (int64_t i = begin; i < end;) {
    check_length(static_cast<int64_t>(list.size()) + 1);
    list.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return list;
}

Json numbered(const Call& c) {
  const std::string& prefix = c.string(0);
  const int64_t n = c.integer(1);
  check_length(n);
  Json list = Json::array();
  for (int64_t i = 0; i < n; ++i) list.push_back(prefix + std::to_string(i));
  return list;
}

Json column(const Call& c) {
  const Json& list = c.json(0);
  const int64_t i = c.integer(1);
  if (!list.is_array()) c.needs("a list of lists", 0);
  Json column = Json::array();
  for (const Json& entry : list) {
    const Json* part = entry.is_array() ? entry_of(entry, i) : nullptr;
    if (part == nullptr) refuse(fmt::format("{} has no entry {}", shown(entry), i));
    column.push_back(*part);
  }
  return column;
}

Json slice(const Call& c) {
  const Json& list = c.list(0);
  const auto size = static_cast<int64_t>(list.size());
  const auto bound = [&](size_t i) {
    const int64_t at = c.integer(i);
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  Json part = Json::array();
  const int64_t end = c.size() == 3 ? bound(2) : size;
  for (int64_t i = bound(1); i < end; ++i) part.push_back(list[static_cast<size_t>(i)]);
  return part;
}

Json sorted(const Call& c) {
  const Json& list = c.json(0);
  const auto all = [&](auto is) { return std::all_of(list.begin(), list.end(), is); };
  if (!list.is_array() ||
      (!all([](const Json& x) { return x.is_string(); }) && !all([](const Json& x) { return x.is_number(); })))
    c.needs("a list of strings or of numbers", 0);
  Json result = list;
  std::sort(result.begin(), result.end(), [](const Json& a, const Json& b) {
    return a.is_string() ? natural_less(a.get_ref<const std::string&>(), b.get_ref<const std::string&>()) : a < b;
  });
  return result;
}

Json before_last(const Call& c) {
  const Json& list = c.json(0);
  if (!list.is_array() || !c.json(1).is_string()) refuse("'before_last' needs a list of strings and a separator");
  const std::string& separator = c.string(1);
  Json result = Json::array();
  for (const Json& entry : list) {
    const size_t at = entry.is_string() ? entry.get_ref<const std::string&>().rfind(separator) : std::string::npos;
    if (at == std::string::npos) refuse(fmt::format("{} does not hold {}", shown(entry), shown(separator)));
    result.push_back(entry.get_ref<const std::string&>().substr(0, at));
  }
  return result;
}

Json python_list(const Call& c) {
  std::string wrong;
  if (auto list = parse_python_list(c.string(0), wrong)) return std::move(*list);
  refuse(fmt::format("{} is not a list of a kind that remap reads: {}", shown(c.json(0)), wrong));
}

// ---------------------------------------------------------------- objects

Json by_index(const Call& c) {
  Json object = Json::object();
  for (size_t i = 0; i < c.list(0).size(); ++i) append_member(object, std::to_string(i), c.list(0)[i]);
  return object;
}

Json index_of(const Call& c) {
  Json object = Json::object();
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < c.list(0).size(); ++i) {
    const Json& entry = c.list(0)[i];
    if (!entry.is_string()) refuse("'index_of' needs a list of strings");
    const auto& text = entry.get_ref<const std::string&>();
    if (!seen.insert(text).second) refuse(fmt::format("{} is twice in the list", shown(entry)));
    append_member(object, text, i);
  }
  return object;
}

Json object(const Call& c) {
  const Json &names = c.json(0), &values = c.json(1);
  if (!names.is_array() || !values.is_array() || names.size() != values.size() ||
      !std::all_of(names.begin(), names.end(), [](const Json& x) { return x.is_string(); }))
    refuse("'object' needs a list of names and as many values");
  Json object = Json::object();
  JsonMembers members(object);
  for (size_t i = 0; i < names.size(); ++i) members.set(names[i].get_ref<const std::string&>(), values[i]);
  return object;
}

// The names of numbers become numbers: of {"0": "cat"} it is {"cat": 0}.
Json inverted(const Call& c) {
  const Json& object = c.json(0);
  if (!object.is_object()) c.needs("an object", 0);
  Json inverse = Json::object();
  std::unordered_set<std::string> seen;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_string() && !value.is_number_integer())
      refuse(fmt::format("{} cannot be a name: 'inverted' needs strings or integers as values", shown(value)));
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!seen.insert(text).second) refuse(fmt::format("'inverted': {} is the value of two names", shown(value)));
    append_member(inverse, text, value_of_hole(name));
  }
  return inverse;
}

Json listed(const Call& c) {
  const Json& object = c.json(0);
  if (!object.is_object()) c.needs("an object, such as a dim that a hole tells apart", 0);
  std::vector<std::pair<std::string_view, const Json*>> members;
  for (const auto& [name, value] : object.get_ref<const Json::object_t&>()) members.emplace_back(name, &value);
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return natural_less(a.first, b.first); });
  Json list = Json::array();
  for (const auto& [name, value] : members) list.push_back(*value);
  return list;
}

}  // namespace

const std::vector<FunctionRow>& function_table() {
  constexpr auto about_keys = FunctionRow::Takes::key_first;
  static const std::vector<FunctionRow> rows = {
      {"before_last", 2, 2, "before_last(list, separator)", "each string of a list up to the last separator in it",
       plain<before_last>},
      {"by_index", 1, 1, "by_index(list)", "{\"0\": first, \"1\": second, …}", plain<by_index>},
      {"captures", 2, 2, "captures(pattern, hole)",
       "the sorted, distinct strings that a hole of the pattern takes over all keys", plain<captures>, about_keys},
      {"column", 2, 2, "column(list, i)", "entry i of each entry of a list of lists", plain<column>},
      {"count", 1, 1, "count(pattern)",
       "how many distinct combinations of indices and holes the pattern takes over all keys", plain<count>, about_keys},
      {"counts", 2, 2, "counts(pattern, hole)",
       "a list: count() for each text that the hole takes, these in natural order (layer2 before layer10)",
       plain<counts>, about_keys},
      {"exists", 1, 1, "exists(pattern)", "whether any key matches", plain<exists>, about_keys},
      {"index_of", 1, 1, "index_of(list)", "{first: 0, second: 1, …}", plain<index_of>},
      {"indices", 1, 1, "indices(pattern)", "the sorted, distinct values of the pattern's first '*' over all keys",
       plain<indices>, about_keys},
      {"int", 1, 1, "int(x)", "a number rounded toward zero, or a string of digits, as an integer", plain<to_int>},
      {"inverted", 1, 1, "inverted(object)", "{value: name}; names of digits become numbers, as of id2label",
       plain<inverted>},
      {"len", 1, 1, "len(x)", "entries of a list or object, bytes of a string", plain<len>},
      {"listed", 1, 1, "listed(object)",
       "the values of an object, in natural order of their names; of a dim by hole, its sizes", plain<listed>},
      {"max", 1, -1, "max(a, b, …)", "the largest number", plain<max>},
      {"min", 1, -1, "min(a, b, …)", "the smallest number", plain<min>},
      {"numbered", 2, 2, "numbered(prefix, n)", "[prefix0, prefix1, …], n entries", plain<numbered>},
      {"object", 2, 2, "object(names, values)", "{first name: first value, …}", plain<object>},
      {"python_list", 1, 1, "python_list(text)",
       "the list that a Python expression of lists, tuples, numbers, strings, + and * writes; parsed, never run",
       plain<python_list>},
      {"range", 1, 3, "range(end) or range(begin, end[, step])", "a list of integers, as in Python", plain<range>},
      {"same", 2, 2, "same(key, key)",
       "whether two source tensors hold the same bytes; answered before the plan is final and listed in it",
       plain<same>, about_keys},
      {"shape", 1, 1, "shape(key)", "the shape of a source tensor, as a list", plain<shape>, about_keys},
      {"slice", 2, 3, "slice(list, begin[, end])", "the entries from begin up to end, as list[begin:end] in Python",
       plain<slice>},
      {"sorted", 1, 1, "sorted(list)", "a list of strings in natural order (layer2 before layer10), or of numbers",
       plain<sorted>},
      {"sqrt", 1, 1, "sqrt(n)", "the whole number whose square is n", plain<sqrt>},
      {"values", 1, 1, "values(key)", "the elements of a source tensor of at most 65536, as a flat list", plain<values>,
       about_keys},
  };
  return rows;
}

}  // namespace remap::lang
