#include "infer/key_template.h"

#include <algorithm>
#include <map>

#include "base/checked.h"
#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

struct NamedTensor {
  std::string key;
  std::vector<Ref> refs;  // of a source in several files: in the order of the files
};

// What trainers keep beside the model, by their names for it.
bool is_left_out(const std::string& key) {
  const auto segments = segments_of(key);
  return segments.size() > 1 && is_training_state(segments[0]);
}

// The tensors of a source: the one that a key names, or those of all files, if all have it alike.
std::vector<NamedTensor> tensors_of(const Problem& problem, uint32_t source) {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::map<int64_t, Ref>> by_key;  // of several files: the key -> by rank
  std::set<int64_t> ranks;
  constexpr size_t kMaxDigits = 9;
  for (uint32_t t = 0; t < problem.sources[source].source->manifest().size(); ++t) {
    const std::string& key = problem.key({source, t});
    const size_t slash = problem.files[source] ? key.find('/') : std::string::npos;
    if (slash > kMaxDigits) {
      tensors.push_back({key, {{source, t}}});
      continue;
    }
    const int64_t rank = std::stoll(key.substr(0, slash));
    by_key[key.substr(slash + 1)][rank] = {source, t};
    ranks.insert(rank);
  }
  for (const auto& [key, refs] : by_key) {
    const TensorInfo& first = problem.info(refs.begin()->second);
    const bool alike = refs.size() == ranks.size() && std::all_of(refs.begin(), refs.end(), [&](const auto& one) {
                         const TensorInfo& other = problem.info(one.second);
                         return other.shape == first.shape && other.dtype == first.dtype &&
                                (other.unread == nullptr) == (first.unread == nullptr);
                       });
    std::vector<Ref> all;
    for (const auto& [rank, ref] : refs) all.push_back(ref);
    if (alike)
      tensors.push_back({key, std::move(all)});
    else
      for (const Ref ref : all) tensors.push_back({problem.key(ref), {ref}});
  }
  return tensors;
}

// The template of keys that are the same but for numbers that count. Those that do not vary after all stay words.
KeyTemplate template_of(const KeyForm& form, const std::vector<std::pair<std::vector<int64_t>, size_t>>& rows,
                        const std::vector<const TensorInfo*>& infos) {
  KeyTemplate one;
  const auto& first = rows[0].first;
  std::vector<bool> varies(first.size(), false);
  for (const auto& [numbers, tensor] : rows)
    for (size_t c = 0; c < varies.size(); ++c) varies[c] = varies[c] || numbers[c] != first[c];
  size_t column = 0, position = 0;
  for (const auto& token : form.tokens()) {
    const bool number = token.kind == KeyToken::Kind::number;
    if (number && !varies[column])
      one.key += std::to_string(first[column]);
    else
      one.key += form.substr(position, number ? 1 : token.text.size());
    column += number;
    position += number ? 1 : token.text.size();
  }
  for (const auto& [numbers, tensor] : rows) {
    std::vector<int64_t> open;
    for (size_t c = 0; c < numbers.size(); ++c)
      if (varies[c]) open.push_back(numbers[c]);
    one.numbers.push_back(std::move(open));
    one.tensors.push_back(tensor);
    one.shapes.push_back(infos[tensor]->shape);
  }
  one.columns = static_cast<size_t>(std::count(varies.begin(), varies.end(), true));
  one.floating = is_floating(infos[rows[0].second]->dtype);
  return one;
}

// Numbers that count 0 … n-1 below a prefix are left open.
std::vector<KeyTemplate> side_of(const std::vector<std::string>& keys, const std::vector<const TensorInfo*>& infos) {
  const auto counted = counted_prefixes(keys);
  std::map<KeyForm, std::vector<std::pair<std::vector<int64_t>, size_t>>> groups;
  for (size_t i = 0; i < keys.size(); ++i) {
    const Numbered key = numbered(keys[i]);
    KeyForm form = KeyForm(key.texts[0]), prefix = form;
    std::vector<int64_t> numbers;
    for (size_t c = 0; c < key.numbers.size(); ++c) {
      if (counted.contains(prefix)) {
        form += KeyForm::number();
        numbers.push_back(std::stoll(key.numbers[c]));
      } else {
        form += key.numbers[c];
      }
      form += key.texts[c + 1];
      prefix += KeyForm::number();
      prefix += key.texts[c + 1];
    }
    groups[form].emplace_back(std::move(numbers), i);
  }
  std::vector<KeyTemplate> side;
  for (auto& [form, rows] : groups) {
    std::sort(rows.begin(), rows.end());
    side.push_back(template_of(form, rows, infos));
  }
  return side;
}

// The column with the fewest values.
size_t narrowest_column(const KeyTemplate& one) {
  size_t best = 0, fewest = static_cast<size_t>(-1);
  for (size_t c = 0; c < one.columns; ++c) {
    std::set<int64_t> values;
    for (const auto& row : one.numbers) values.insert(row[c]);
    if (values.size() <= fewest) best = c, fewest = values.size();
  }
  return best;
}

// A template for each value of a column.
std::vector<KeyTemplate> taken_apart(const KeyTemplate& one, size_t column) {
  std::map<int64_t, KeyTemplate> parts;
  const auto rest = without_column(one.numbers, column);
  for (size_t row = 0; row < one.tensors.size(); ++row) {
    KeyTemplate& part = parts[one.numbers[row][column]];
    part.numbers.push_back(rest[row]);
    part.tensors.push_back(one.tensors[row]);
    part.shapes.push_back(one.shapes[row]);
  }
  std::vector<KeyTemplate> result;
  for (auto& [value, part] : parts) {
    size_t seen = 0, position = 0;
    for (const auto& token : one.key.tokens()) {
      const bool number = token.kind == KeyToken::Kind::number;
      if (number && seen++ == column)
        part.key += std::to_string(value);
      else
        part.key += one.key.substr(position, number ? 1 : token.text.size());
      position += number ? 1 : token.text.size();
    }
    part.columns = one.columns - 1;
    part.floating = one.floating;
    part.ranks = one.ranks;
    result.push_back(std::move(part));
  }
  return result;
}

// A number that counts on one side may be a name on the other: "block.3.layer.1.norm". Templates that nothing of the
// other side could fit are taken apart by the number that has the fewest values.
std::vector<KeyTemplate> with_lonely_apart(std::vector<KeyTemplate> side, const std::vector<KeyTemplate>& other) {
  std::set<std::pair<ShapeClass, size_t>> known;  // and how many columns
  for (const KeyTemplate& one : other)
    for (const auto& shape : shape_classes(one)) known.emplace(shape, one.columns);
  std::vector<KeyTemplate> result;
  for (KeyTemplate& one : side) {
    const auto classes = shape_classes(one);
    const auto is_known = [&](const ShapeClass& shape) { return known.contains({shape, one.columns}); };
    const auto may_stack = [&](const KeyTemplate& whole) {
      return whole.columns + 1 == one.columns && whole.shape().size() == one.shape().size() + 1 &&
             stacked_column(one, whole);
    };
    if (one.columns < 2 || std::any_of(classes.begin(), classes.end(), is_known) ||
        std::any_of(other.begin(), other.end(), may_stack))
      result.push_back(std::move(one));
    else
      for (auto& part : taken_apart(one, narrowest_column(one))) result.push_back(std::move(part));
  }
  return result;
}

void name_ordinals(std::vector<KeyTemplate>& side) {
  std::map<KeyForm, std::set<int64_t>> siblings;  // with any number in one place
  const auto number_at = [](const NumberedForm& key, size_t column) { return std::stoll(key.numbers[column]); };
  for (const KeyTemplate& one : side) {
    const NumberedForm key = numbered(one.key);
    for (size_t c = 0; c < key.numbers.size(); ++c) siblings[key.with_open(c)].insert(number_at(key, c));
  }
  for (KeyTemplate& one : side) {
    NumberedForm key = numbered(one.key);
    const NumberedForm original = key;
    for (size_t c = 0; c < key.numbers.size(); ++c) {
      const auto& known = siblings.at(original.with_open(c));
      if (known.size() > 1)
        key.numbers[c] = std::to_string(std::distance(known.begin(), known.find(number_at(original, c))) + 1);
    }
    one.ordinal = key.joined().shown("#");
  }
}

void name_words(std::vector<KeyTemplate>& side) {
  name_ordinals(side);
  std::set<std::string> ordinals;
  for (const KeyTemplate& one : side) ordinals.insert(one.ordinal);
  for (KeyTemplate& one : side) {
    one.text = one.key.shown("#");
    one.words = roles_of(one.ordinal, [&](const std::string& key) { return ordinals.contains(key); });
    one.leaf = one.words.empty() ? "" : one.words.back();
  }
}

}  // namespace

Templates templates_of(const Problem& problem) {
  Templates templates;
  std::vector<std::string> keys;
  std::vector<const TensorInfo*> infos;
  for (uint32_t s = 0; s < problem.sources.size(); ++s)
    for (auto& [key, refs] : tensors_of(problem, s)) {
      if (is_left_out(key) || problem.info(refs[0]).unread != nullptr) continue;
      keys.push_back(key);
      infos.push_back(&problem.info(refs[0]));
      templates.source_refs.push_back(std::move(refs));
    }
  auto source = side_of(keys, infos);
  for (KeyTemplate& one : source) one.ranks = static_cast<int64_t>(templates.source_refs[one.tensors[0]].size());
  keys.clear(), infos.clear();
  for (uint32_t t = 0; t < problem.target->manifest().size(); ++t) {
    if (problem.info(t).unread != nullptr) continue;
    keys.push_back(problem.info(t).key), infos.push_back(&problem.info(t));
    templates.target_tensors.push_back(t);
  }
  templates.target = with_lonely_apart(side_of(keys, infos), source);
  templates.source = with_lonely_apart(std::move(source), templates.target);
  name_words(templates.source);
  name_words(templates.target);
  return templates;
}

bool KeyTemplate::is_uniform() const {
  return std::all_of(shapes.begin(), shapes.end(), [&](const Shape& s) { return s == shapes.front(); });
}

std::set<ShapeClass> shape_classes(const KeyTemplate& one) {
  std::set<ShapeClass> classes;
  const auto add = [&](Shape shape) {
    std::sort(shape.begin(), shape.end());
    classes.insert({one.floating, one.numbers.size(), std::move(shape)});
  };
  add(one.shape());
  for (size_t axis = 0; one.ranks > 1 && axis < one.shape().size(); ++axis) {
    Shape whole = one.shape();
    const auto extent = checked_mul(whole[axis], one.ranks);
    if (extent) whole[axis] = *extent, add(whole);
  }
  return classes;
}

Numbers compare_numbers(const KeyTemplate& a, const KeyTemplate& b) {
  if (a.numbers.size() != b.numbers.size() || a.columns != b.columns) return Numbers::differ;
  if (a.numbers == b.numbers) return Numbers::same;
  for (size_t i = 0; i < a.numbers.size(); ++i)
    for (size_t c = 0; c < a.columns; ++c)
      if (a.numbers[i][c] - a.numbers[0][c] != b.numbers[i][c] - b.numbers[0][c]) return Numbers::differ;
  return Numbers::moved;
}

std::vector<std::vector<int64_t>> without_column(std::vector<std::vector<int64_t>> numbers, size_t column) {
  for (auto& row : numbers) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  return numbers;
}

std::optional<size_t> stacked_column(const KeyTemplate& part, const KeyTemplate& whole) {
  for (size_t column = part.columns; column-- > 0;) {
    std::set<int64_t> values;
    for (const auto& row : part.numbers) values.insert(row[column]);
    const auto n = static_cast<int64_t>(values.size());
    if (n != whole.shape()[0] || *values.rbegin() + 1 != n ||
        part.numbers.size() != whole.numbers.size() * static_cast<size_t>(n))
      continue;
    const auto rest = without_column(part.numbers, column);
    const std::set<std::vector<int64_t>> have(rest.begin(), rest.end());
    if (have == std::set<std::vector<int64_t>>(whole.numbers.begin(), whole.numbers.end())) return column;
  }
  return std::nullopt;
}

bool is_same_name(const KeyTemplate& a, const KeyTemplate& b) { return a.key == b.key && a.ordinal == b.ordinal; }

std::string last_segment(const KeyTemplate& one) { return segments_of(one.text).back(); }

}  // namespace remap::infer
