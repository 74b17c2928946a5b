// A first target schema: the tensors of a converted checkpoint, in terms of the fields of its config.json.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "infer/yaml_text.h"
#include "lang/schema.h"
#include "remap/infer.h"

namespace remap::infer {
namespace {

// What a config.json says need not be of the kind that it should be.
Json object_in_metadata(const Json& metadata, const std::string& name) {
  return metadata.is_object() && metadata.contains(name) && metadata[name].is_object() ? metadata[name]
                                                                                       : Json::object();
}
std::string text_in(const Json& object, const std::string& name, const std::string& otherwise) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : otherwise;
}

bool has_only(std::string_view text, std::string_view signs) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || signs.find(c) != std::string_view::npos;
  });
}

bool is_index(const std::string& segment) {
  constexpr size_t kMaxDigits = 9;
  return is_number(segment, kMaxDigits);
}

std::vector<std::string> segments_of_key(const std::string& key) {
  std::vector<std::string> segments(1);
  for (const char c : key) {
    if (c == '.')
      segments.emplace_back();
    else
      segments.back() += c;
  }
  return segments;
}

// Fields of config.json that are whole numbers: of parts too, "text_config.hidden_size".
class SizeNames {
 public:
  explicit SizeNames(const Json& config) { add(config, ""); }

  // The name of a size, or a small multiple of one; digits if nothing has it. What it could be otherwise is noted.
  std::string of_size(int64_t size, std::set<std::string>& doubts) {
    if (size < 2) return std::to_string(size);
    for (const int64_t factor : {1, 2, 3, 4}) {
      if (size % factor != 0) continue;
      const std::string name = first_named(size / factor, false, doubts);
      if (!name.empty()) return factor == 1 ? name : fmt::format("{}*{}", factor, name);
    }
    doubts.insert(fmt::format("no field of config.json is {}", size));
    return std::to_string(size);
  }
  // The same of a number of layers or experts: only names that count something.
  std::string of_count(int64_t count, std::set<std::string>& doubts) { return first_named(count, true, doubts); }
  bool is_used(const std::string& name) const {
    return std::any_of(used_.begin(), used_.end(),
                       [&](const std::string& used) { return used == name || used.starts_with(name + "."); });
  }

 private:
  void add(const Json& object, const std::string& prefix) {
    for (const auto& [name, value] : object.items()) {
      if (value.is_object() && prefix.empty() && has_only(name, "_") && !is_digit(name.front())) add(value, name + ".");
      const bool is_size = value.is_number_integer() && value >= 2 && !name.ends_with("_id") && has_only(name, "_") &&
                           !is_digit(name.front()) && !name.starts_with("_");
      if (is_size) by_value_[value.get<int64_t>()].push_back(prefix + name);
    }
  }
  // "" if nothing has the value.
  std::string first_named(int64_t value, bool counts, std::set<std::string>& doubts) {
    const auto found = named(value, counts);
    if (found.empty()) return "";
    if (found.size() > 1)
      doubts.insert(
          fmt::format("{} could also be {}", found.front(), fmt::join(found.begin() + 1, found.end(), " or ")));
    used_.insert(found.front());
    return found.front();
  }
  // Sizes before counts, or the other way round; of those the fields that stand first.
  std::vector<std::string> named(int64_t value, bool counts) const {
    const auto known = by_value_.find(value);
    if (known == by_value_.end()) return {};
    std::vector<std::string> names = known->second;
    const auto fits = [&](const std::string& name) {
      const bool is_count = name.find("num_") != std::string::npos || name.find("n_") != std::string::npos ||
                            name.find("layers") != std::string::npos;
      return is_count == counts;
    };
    std::stable_partition(names.begin(), names.end(), fits);
    if (counts) std::erase_if(names, [&](const std::string& name) { return !fits(name); });
    return names;
  }

  std::map<int64_t, std::vector<std::string>> by_value_;
  std::set<std::string> used_;
};

// Tensors that differ in numbers alone, or in one word: a line of the schema.
struct SchemaLine {
  std::vector<std::string> segments;  // "{0..n-1}" and "{a|b}" among them
  Shape shape;
};

// The lines of the tensors of one form and shape: loops where their numbers are all there, else a line each.
void add_lines(const std::vector<std::string>& form, const Shape& shape, const std::set<std::vector<int64_t>>& numbers,
               SizeNames& names, std::set<std::string>& doubts, std::vector<SchemaLine>& lines) {
  const size_t n_places = numbers.begin()->size();
  std::vector<std::set<int64_t>> taken(n_places);
  for (const auto& one : numbers)
    for (size_t i = 0; i < n_places; ++i) taken[i].insert(one[i]);
  size_t product = 1;
  bool whole = true;
  for (const auto& set : taken) {
    product *= set.size();
    whole &= *set.rbegin() - *set.begin() + 1 == static_cast<int64_t>(set.size());
  }
  const auto line = [&](const auto& text_of) {
    SchemaLine one{form, shape};
    size_t place = 0;
    for (auto& segment : one.segments)
      if (segment == "*") segment = text_of(place++);
    lines.push_back(std::move(one));
  };
  if (whole && product == numbers.size()) {
    line([&](size_t place) {
      const int64_t first = *taken[place].begin(), last = *taken[place].rbegin();
      if (first == last) return std::to_string(first);
      const std::string count = names.of_count(last + 1, doubts);
      return count.empty() ? fmt::format("{{{}..{}}}", first, last) : fmt::format("{{{}..{}-1}}", first, count);
    });
    return;
  }
  for (const auto& one : numbers) line([&](size_t place) { return std::to_string(one[place]); });
}

// Lines that differ in one word become one.
void merge_lines(std::vector<SchemaLine>& lines) {
  size_t deepest = 0;
  for (const auto& line : lines) deepest = std::max(deepest, line.segments.size());
  for (size_t from_end = 0; from_end < deepest; ++from_end) {
    std::vector<SchemaLine> merged;
    std::map<std::pair<std::vector<std::string>, Shape>, std::pair<size_t, std::vector<std::string>>> groups;
    for (auto& line : lines) {
      const size_t n = line.segments.size();
      if (from_end >= n || line.segments[n - 1 - from_end].find('{') != std::string::npos ||
          is_index(line.segments[n - 1 - from_end])) {
        merged.push_back(std::move(line));
        continue;
      }
      std::vector<std::string> rest = line.segments;
      std::string word = std::exchange(rest[n - 1 - from_end], "");
      const auto [group, fresh] =
          groups.try_emplace({std::move(rest), line.shape}, merged.size(), std::vector<std::string>());
      group->second.second.push_back(std::move(word));
      if (fresh) merged.push_back(std::move(line));
    }
    for (const auto& [key, group] : groups)
      if (group.second.size() > 1) {
        auto& segments = merged[group.first].segments;
        segments[segments.size() - 1 - from_end] = fmt::format("{{{}}}", fmt::join(group.second, "|"));
      }
    lines = std::move(merged);
  }
}

std::string key_text(const std::string& key) {
  return has_only(key, "_.-{}|") && key.front() != '{' && key.front() != '-' ? key : quoted(key);
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? quoted(value.get<std::string>())
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A field whose value is for this checkpoint alone, or is written by itself.
bool is_plain_default(const std::string& name, const Json& value, const SizeNames& names) {
  const auto& common = lang::common_fields();
  return !value.is_structured() && !value.is_null() && name != "model_type" && !names.is_used(name) &&
         common.left_out_because(name).empty() && !common.makes_code_load(name);
}

// Whether the text demands what the target has.
std::vector<std::string> differences(const std::string& text, const std::string& file, const std::string& architecture,
                                     const Json& config, const Manifest& target) {
  Diagnostics diagnostics;
  const auto schema = lang::parse_schema(std::make_shared<lang::SourceText>(file, text), diagnostics);
  if (!schema) return {diagnostics.items().front().message};
  std::vector<std::string> wrong;
  std::set<std::string> demanded;
  try {
    lang::for_each_demanded(*schema, architecture, config,
                            [&](std::string_view key, const Shape& shape, const lang::SchemaTensor&) {
                              demanded.emplace(key);
                              const size_t index = target.find(key);
                              if (index == Manifest::npos || target[index].shape != SharedShape(shape))
                                wrong.emplace_back(key);
                            });
  } catch (const Error& error) {
    return {error.diagnostic().message};
  }
  for (const auto& tensor : target.tensors())
    if (!demanded.contains(tensor.key)) wrong.push_back(tensor.key);
  return wrong;
}

}  // namespace
}  // namespace remap::infer

namespace remap {

InferredSchema infer_schema(const Source& target, const std::string& file) {
  using namespace infer;
  const Manifest& manifest = target.manifest();
  const Json config = object_in_metadata(target.metadata(), "config");
  const auto classes = config.find("architectures");
  const bool is_named =
      classes != config.end() && classes->is_array() && !classes->empty() && (*classes)[0].is_string();
  const std::string architecture = is_named ? (*classes)[0].get<std::string>() : "Model";
  SizeNames names(config);
  std::set<std::string> doubts;

  std::map<std::pair<std::vector<std::string>, Shape>, std::set<std::vector<int64_t>>> groups;
  std::vector<std::pair<std::vector<std::string>, Shape>> order;
  for (const auto& tensor : manifest.tensors()) {
    std::vector<std::string> form = segments_of_key(tensor.key);
    std::vector<int64_t> numbers;
    for (auto& segment : form)
      if (is_index(segment) && !segment.empty()) numbers.push_back(std::stoll(segment)), segment = "*";
    std::pair<std::vector<std::string>, Shape> group(std::move(form), tensor.shape.list());
    const auto [it, fresh] = groups.try_emplace(group);
    if (fresh) order.push_back(std::move(group));
    it->second.insert(std::move(numbers));
  }
  std::vector<SchemaLine> lines;
  for (const auto& group : order) add_lines(group.first, group.second, groups.at(group), names, doubts, lines);
  merge_lines(lines);

  std::string tensors;
  for (const auto& line : lines) {
    std::vector<std::string> sizes;
    for (const int64_t size : line.shape) sizes.push_back(names.of_size(size, doubts));
    tensors += fmt::format("    {}: {}\n", key_text(join(line.segments, ".")), list_of(sizes));
  }
  InferredSchema result;
  result.lines = lines.size();
  std::string version = text_in(config, "transformers_version", "");
  if (!has_only(version, ".+-")) version.clear();
  result.text = fmt::format("remap_schema: 1\nmodel_type: {}\nlibrary: transformers {}\n\n",
                            quoted(text_in(config, "model_type", "model")),
                            version.empty() ? "4.38.2   # check: config.json does not say which" : version);
  std::string defaults;
  std::vector<std::string> fields;
  for (const auto& [name, value] : config.items()) {
    if (is_plain_default(name, value, names)) defaults += fmt::format("  {}: {}\n", quoted(name), scalar_text(value));
    if (lang::find_field(lang::common_fields().common, name) == nullptr && !name.starts_with("_") &&
        !lang::common_fields().makes_code_load(name))
      fields.push_back(quoted(name));
  }
  if (!defaults.empty())
    result.text +=
        "config:   # check: what this checkpoint has; the class's own defaults belong here\n" + defaults + "\n";
  result.text += "architectures:\n";
  result.differences = differences(result.text + fmt::format("  {}:\n{}", quoted(architecture), tensors), file,
                                   architecture, config, manifest);
  for (const auto& doubt : doubts) result.text += fmt::format("  # check: {}\n", doubt);
  for (const auto& difference : result.differences) result.text += fmt::format("  # open: {}\n", printable(difference));
  result.text += fmt::format("  {}:\n{}", quoted(architecture), tensors);
  if (!fields.empty())
    result.text += fmt::format(
        "\nfields: {}   # check: those of this checkpoint's config.json; the class may have more\n", list_of(fields));
  result.marked = doubts.size() + (version.empty() ? 1 : 0) + (defaults.empty() ? 0 : 1) + (fields.empty() ? 0 : 1);
  return result;
}

}  // namespace remap
