// By names and shapes. Keys become templates (numbers that count are left open), so the work is by templates and not by
// tensors. A hypothesis relates templates: renamed, cut, joined, stacked; shapes and numbers must fit exactly, names
// make its score. Of a source that is several files, the keys that all of them have are one tensor each: held by all
// alike, or cut along an axis. The best are taken first, three times over: what is taken says which modules correspond,
// and that is part of the next round's scores. What another hypothesis explains nearly as well is marked.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "base/checked.h"
#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/relation.h"

namespace remap::infer {
namespace {

constexpr double kSure = 0.3;           // less of a lead than this is marked
constexpr size_t kMaxCandidates = 400;  // of one kind that fit by shape; beyond, only those whose names are alike

struct Template {
  std::string text;     // with # for numbers that vary
  std::string ordinal;  // the same, other numbers as their place among siblings: norm0, norm1 are 1 and 2
  std::vector<std::vector<int64_t>> numbers;  // of each tensor, ascending
  std::vector<size_t> tensors;                // in the same order; numbers of the side
  std::vector<Shape> shapes;                  // of these
  size_t columns = 0;
  bool floating = true;
  int64_t ranks = 1;  // files that have it, each with its cut or all alike; shapes are those in one file
  std::vector<std::string> words;
  std::string leaf;  // canonical last word
  bool taken = false;
  const Shape& shape() const { return shapes.front(); }
  bool uniform() const {
    return std::all_of(shapes.begin(), shapes.end(), [&](const Shape& s) { return s == shapes.front(); });
  }
};

struct Hypothesis {
  static constexpr int kWhole = -1;
  Relation::Kind kind = Relation::Kind::rename;
  std::vector<size_t> sources, targets;  // templates; parts in order
  int axis = 0;
  size_t column = 0;       // the number that is stacked or cut
  std::vector<int> order;  // a permutation
  int cut = kWhole;        // of a tensor in several files: the axis of the target along which these are joined
  double base = 0, score = 0;
  std::vector<std::string> checks;
};

struct Side {
  std::vector<Template> templates;
  std::map<std::string, size_t> by_text;
};

std::string parent_of_shape(const std::string& text, int up) {
  std::string parent = text;
  for (int i = 0; i < up; ++i) parent = parent_of(parent);
  return parent;
}

class Matcher {
 public:
  explicit Matcher(const Problem& problem) : problem_(problem) {}

  Findings run() {
    read_sides();
    suggest_renames();
    suggest_parts();
    for (int round = 0; round < 4; ++round) choose();
    mark();
    build();
    return std::move(findings_);
  }

 private:
  // ------------------------------------------------------------ templates

  void read_sides() {
    std::vector<std::string> keys;
    std::vector<const TensorInfo*> infos;
    for (uint32_t s = 0; s < problem_.sources.size(); ++s) {
      for (uint32_t t = 0; t < problem_.sources[s].source->manifest().size(); ++t) refs_.push_back({s, t});
      for (auto& [key, refs] : tensors_of(s)) {
        if (is_training_state(key) || problem_.info(refs[0]).unread != nullptr) continue;
        keys.push_back(key);
        infos.push_back(&problem_.info(refs[0]));
        matched_.push_back(std::move(refs));
      }
    }
    read_side(keys, infos, source_);
    for (Template& one : source_.templates) one.ranks = static_cast<int64_t>(matched_[one.tensors[0]].size());
    keys.clear(), infos.clear();
    for (uint32_t t = 0; t < problem_.target->manifest().size(); ++t) {
      if (problem_.info(t).unread != nullptr) continue;
      keys.push_back(problem_.info(t).key), infos.push_back(&problem_.info(t));
      wanted_.push_back(t);
    }
    read_side(keys, infos, target_);
    split_lonely(target_, source_);
    split_lonely(source_, target_);
    name_words(source_);
    name_words(target_);
  }

  // The tensors of a source: the one that a key names, or those of all files, in order, if all have it alike.
  std::vector<std::pair<std::string, std::vector<Ref>>> tensors_of(uint32_t source) const {
    const auto& manifest = problem_.sources[source].source->manifest();
    std::vector<std::pair<std::string, std::vector<Ref>>> tensors;
    std::map<std::string, std::map<int64_t, Ref>> by_key;  // of several files: the key -> by rank
    std::set<int64_t> ranks;
    for (uint32_t t = 0; t < manifest.size(); ++t) {
      const std::string& key = problem_.key({source, t});
      const size_t slash = problem_.files[source] ? key.find('/') : std::string::npos;
      const auto rank = slash < 10 ? std::stoll(key.substr(0, slash)) : -1;
      if (rank < 0)
        tensors.push_back({key, {{source, t}}});
      else
        by_key[key.substr(slash + 1)][rank] = {source, t}, ranks.insert(rank);
    }
    for (const auto& [key, refs] : by_key) {
      const TensorInfo& first = problem_.info(refs.begin()->second);
      const bool alike = refs.size() == ranks.size() && std::all_of(refs.begin(), refs.end(), [&](const auto& one) {
                           const TensorInfo& other = problem_.info(one.second);
                           return other.shape == first.shape && other.dtype == first.dtype &&
                                  (other.unread == nullptr) == (first.unread == nullptr);
                         });
      std::vector<Ref> all;
      for (const auto& [rank, ref] : refs) all.push_back(ref);
      if (alike)
        tensors.emplace_back(key, std::move(all));
      else
        for (const Ref ref : all) tensors.push_back({problem_.key(ref), {ref}});
    }
    return tensors;
  }

  // A number that counts on one side may be a name on the other: "block.3.layer.1.norm". Templates that nothing of the
  // other side could fit are taken apart by the number that has the fewest values.
  static void split_lonely(Side& side, const Side& other) {
    std::set<std::pair<std::string, size_t>> known;  // (shape class, columns)
    for (const Template& one : other.templates)
      for (const auto& shape : shape_classes(one)) known.emplace(shape, one.columns);
    std::vector<Template> result;
    for (Template& one : side.templates) {
      const auto classes = shape_classes(one);
      const auto is_known = [&](const std::string& shape) { return known.contains({shape, one.columns}); };
      const bool lonely = one.columns >= 2 && std::none_of(classes.begin(), classes.end(), is_known) &&
                          std::none_of(other.templates.begin(), other.templates.end(), [&](const Template& whole) {
                            return whole.columns + 1 == one.columns && whole.shape().size() == one.shape().size() + 1 &&
                                   stacked_column(one, whole);
                          });
      if (!lonely) {
        result.push_back(std::move(one));
        continue;
      }
      size_t column = 0, fewest = static_cast<size_t>(-1);
      for (size_t c = 0; c < one.columns; ++c) {
        std::set<int64_t> values;
        for (const auto& row : one.numbers) values.insert(row[c]);
        if (values.size() <= fewest) column = c, fewest = values.size();
      }
      std::map<int64_t, Template> parts;
      for (size_t row = 0; row < one.tensors.size(); ++row) {
        Template& part = parts[one.numbers[row][column]];
        part.numbers.push_back(one.numbers[row]);
        part.numbers.back().erase(part.numbers.back().begin() + static_cast<std::ptrdiff_t>(column));
        part.tensors.push_back(one.tensors[row]);
        part.shapes.push_back(one.shapes[row]);
      }
      for (auto& [value, part] : parts) {
        size_t seen = 0;
        for (const char c : one.text)
          part.text += c == '#' && seen++ == column ? std::to_string(value) : std::string(1, c);
        part.columns = one.columns - 1;
        part.floating = one.floating;
        part.ranks = one.ranks;
        result.push_back(std::move(part));
      }
    }
    side.templates = std::move(result);
    side.by_text.clear();
    for (size_t i = 0; i < side.templates.size(); ++i) side.by_text.emplace(side.templates[i].text, i);
  }

  // What trainers keep beside the model, by their names for it.
  static bool is_training_state(const std::string& key) {
    static const std::set<std::string> names = {
        "optimizer",     "optimizer_state", "optimizer_states", "last_optimizer_state",
        "opt_state",     "state",           "extra_state",      "lr_scheduler",
        "lr_schedulers", "loops",           "callbacks"};
    const auto segments = segments_of(key);
    return segments.size() > 1 && names.contains(segments[0]);
  }

  // Numbers that count 0 … n-1 below a prefix are left open; if they do not vary in a template after all, they stay
  // words.
  void read_side(const std::vector<std::string>& keys, const std::vector<const TensorInfo*>& infos, Side& side) {
    const auto counted = counted_prefixes(keys);
    std::map<std::string, std::vector<std::pair<std::vector<int64_t>, size_t>>> groups;
    for (size_t i = 0; i < keys.size(); ++i) {
      const Numbered key = numbered(keys[i]);
      std::string text = key.texts[0];
      std::vector<int64_t> numbers;
      for (size_t c = 0; c < key.numbers.size(); ++c) {
        const bool open = counted.contains(key.prefix(c));
        text += open ? "#" : key.numbers[c];
        if (open) numbers.push_back(std::stoll(key.numbers[c]));
        text += key.texts[c + 1];
      }
      groups[text].emplace_back(std::move(numbers), i);
    }
    for (auto& [text, rows] : groups) {
      std::sort(rows.begin(), rows.end());
      Template one;
      std::vector<bool> varies(rows[0].first.size(), false);
      for (const auto& row : rows)
        for (size_t c = 0; c < varies.size(); ++c) varies[c] = varies[c] || row.first[c] != rows[0].first[c];
      size_t column = 0;
      for (const char c : text) {
        if (c != '#')
          one.text += c;
        else {
          one.text += varies[column] ? "#" : std::to_string(rows[0].first[column]);
          ++column;
        }
      }
      for (const auto& [numbers, i] : rows) {
        std::vector<int64_t> open;
        for (size_t c = 0; c < numbers.size(); ++c)
          if (varies[c]) open.push_back(numbers[c]);
        one.numbers.push_back(std::move(open));
        one.tensors.push_back(i);
        one.shapes.push_back(infos[i]->shape);
      }
      one.columns = static_cast<size_t>(std::count(varies.begin(), varies.end(), true));
      one.floating = is_floating(infos[rows[0].second]->dtype);
      side.by_text.emplace(one.text, side.templates.size());
      side.templates.push_back(std::move(one));
    }
  }

  static void name_words(Side& side) {
    name_ordinals(side);
    std::set<std::string> ordinals;
    for (const Template& one : side.templates) ordinals.insert(one.ordinal);
    for (Template& one : side.templates) {
      one.words = roles_of(one.ordinal, [&](const std::string& key) { return ordinals.contains(key); });
      one.leaf = one.words.empty() ? "" : one.words.back();
    }
  }

  static void name_ordinals(Side& side) {
    std::map<std::string, std::set<int64_t>> siblings;
    const auto blank = [](const Numbered& key, size_t column) {
      std::string text = key.texts[0];
      for (size_t c = 0; c < key.numbers.size(); ++c)
        text += (c == column ? "\x01" : key.numbers[c]) + key.texts[c + 1];
      return text;
    };
    for (const Template& one : side.templates) {
      const Numbered key = numbered(one.text);
      for (size_t c = 0; c < key.numbers.size(); ++c) siblings[blank(key, c)].insert(std::stoll(key.numbers[c]));
    }
    for (Template& one : side.templates) {
      const Numbered key = numbered(one.text);
      one.ordinal = key.texts[0];
      for (size_t c = 0; c < key.numbers.size(); ++c) {
        const auto& known = siblings.at(blank(key, c));
        const auto place = std::distance(known.begin(), known.find(std::stoll(key.numbers[c]))) + 1;
        one.ordinal += (known.size() > 1 ? std::to_string(place) : key.numbers[c]) + key.texts[c + 1];
      }
    }
  }

  // ------------------------------------------------------------ hypotheses

  static std::vector<std::vector<int64_t>> without(const std::vector<std::vector<int64_t>>& numbers, size_t column) {
    auto result = numbers;
    for (auto& row : result) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
    return result;
  }
  // The same numbers, or all moved by one offset a column.
  static bool same_numbers(const Template& a, const Template& b, bool& moved) {
    moved = false;
    if (a.numbers.size() != b.numbers.size() || a.columns != b.columns) return false;
    if (a.numbers == b.numbers) return true;
    moved = true;
    for (size_t i = 0; i < a.numbers.size(); ++i)
      for (size_t c = 0; c < a.columns; ++c)
        if (a.numbers[i][c] - a.numbers[0][c] != b.numbers[i][c] - b.numbers[0][c]) return false;
    return true;
  }

  // What the whole tensor may look like, the order of its axes aside.
  static std::set<std::string> shape_classes(const Template& one) {
    std::set<std::string> classes;
    const auto add = [&](Shape shape) {
      std::sort(shape.begin(), shape.end());
      classes.insert(fmt::format("{} {} {}", one.floating ? "f" : "i", one.numbers.size(), to_string(shape)));
    };
    add(one.shape());
    for (size_t axis = 0; one.ranks > 1 && axis < one.shape().size(); ++axis) {
      Shape whole = one.shape();
      const auto extent = checked_mul(whole[axis], one.ranks);
      if (extent) whole[axis] = *extent, add(whole);
    }
    return classes;
  }

  void suggest_renames() {
    std::map<std::string, std::vector<size_t>> targets;
    for (size_t t = 0; t < target_.templates.size(); ++t)
      for (const auto& shape : shape_classes(target_.templates[t])) targets[shape].push_back(t);
    for (size_t s = 0; s < source_.templates.size(); ++s) {
      std::vector<Hypothesis> own;
      for (const auto& shape : shape_classes(source_.templates[s])) {
        const auto it = targets.find(shape);
        if (it == targets.end()) continue;
        for (const size_t t : it->second)
          if (auto one = rename(s, t)) own.push_back(std::move(*one));
      }
      if (own.size() > kMaxCandidates) {
        std::stable_sort(own.begin(), own.end(),
                         [](const Hypothesis& a, const Hypothesis& b) { return a.base > b.base; });
        own.resize(kMaxCandidates);
      }
      for (auto& one : own) hypotheses_.push_back(std::move(one));
    }
  }

  // As it is, and of several files joined along an axis: what changes least.
  std::optional<Hypothesis> rename(size_t s, size_t t) const {
    const Template &from = source_.templates[s], &to = target_.templates[t];
    auto best = rename(s, t, to.shapes);
    if (from.ranks == 1 || !to.uniform()) return best;
    for (size_t axis = 0; axis < to.shape().size(); ++axis) {
      Shape cut = to.shape();
      if (cut[axis] == 0 || cut[axis] % from.ranks != 0) continue;
      cut[axis] /= from.ranks;
      auto one = rename(s, t, std::vector<Shape>(to.shapes.size(), cut));
      if (!one || (best && (best->order.empty() || !one->order.empty()))) continue;
      best = std::move(one);
      best->cut = static_cast<int>(axis);
    }
    return best;
  }

  // `shapes`: of what a source tensor becomes.
  std::optional<Hypothesis> rename(size_t s, size_t t, const std::vector<Shape>& shapes) const {
    const Template &from = source_.templates[s], &to = target_.templates[t];
    bool moved = false;
    if (!same_numbers(from, to, moved)) return std::nullopt;
    Hypothesis one;
    one.sources = {s}, one.targets = {t};
    if (from.shapes != shapes) {
      const Shape &a = from.shape(), &b = shapes.front();
      if (!from.uniform() || !to.uniform()) return std::nullopt;
      std::vector<bool> used(a.size(), false);
      for (const int64_t extent : b)
        for (size_t d = a.size(); d-- > 0;)
          if (!used[d] && a[d] == extent) {
            used[d] = true;
            one.order.push_back(static_cast<int>(d));
            break;
          }
      if (one.order.size() != a.size() || a.size() != b.size()) return std::nullopt;
    }
    const bool square = from.shape().size() == 2 && from.shape()[0] == from.shape()[1];
    if (is_kernel(from, to) && square) one.order = {1, 0};
    const bool expected = from.shape().size() == 2 && is_kernel(from, to);
    one.base = likeness(from, to) - (one.order.empty() == expected ? 0.25 : 0) - (moved ? 0.4 : 0);
    if (is_same_name(from, to) && one.order.empty() && !moved) one.base += 3;
    return one;
  }

  // A "kernel" is [in, out], a matrix called "weight" [out, in].
  static bool is_kernel(const Template& from, const Template& to) {
    return segments_of(from.text).back() == "kernel" && segments_of(to.text).back() == "weight";
  }
  static bool is_same_name(const Template& a, const Template& b) { return a.text == b.text && a.ordinal == b.ordinal; }

  double likeness(const Template& from, const Template& to) const {
    double score = alikeness(from.words, to.words);
    // weight and bias, running_mean and running_var: what a module's parts are called is hardly ever changed.
    if (from.leaf != to.leaf)
      score -= is_part(from.leaf) && is_part(to.leaf) ? 0.8 : 0.1;
    else
      score += 0.1;
    // The same words at the end, as they are written.
    const auto a = segments_of(from.ordinal), b = segments_of(to.ordinal);
    size_t same = 0;
    while (same < std::min(a.size(), b.size()) && a[a.size() - 1 - same] == b[b.size() - 1 - same]) ++same;
    return score + 0.12 * static_cast<double>(std::min<size_t>(same, 5));
  }
  static bool is_part(const std::string& word) {
    static const std::set<std::string> parts = {"weight", "bias", "mean", "var", "tracked"};
    return parts.contains(word);
  }

  // Templates that differ in one word, which has a role.
  struct Family {
    std::string before, after;  // around the word
    std::map<std::string, std::map<std::string, size_t>>
        roles;  // what else the word says -> role -> template: q_norm is no sibling of k_proj
    std::vector<size_t> members;
  };
  static std::string rest_of(const std::string& word, const std::string& role) {
    std::string rest;
    for (const auto& w : words_of(word))
      if (w != role && w != "w1" && w != "w3") rest += w + ' ';
    return rest;
  }
  static std::vector<Family> families(const Side& side) {
    std::map<std::pair<std::string, std::string>, Family> found;
    for (size_t i = 0; i < side.templates.size(); ++i) {
      const std::string& text = side.templates[i].text;
      size_t begin = 0;
      for (size_t end = 0; end <= text.size(); ++end) {
        if (end < text.size() && !is_separator(text[end])) continue;
        const std::string word = text.substr(begin, end - begin);
        Family& family = found[{text.substr(0, begin), text.substr(end)}];
        family.before = text.substr(0, begin), family.after = text.substr(end);
        family.members.push_back(i);
        for (const auto& role : part_roles(word)) family.roles[rest_of(word, role)].emplace(role, i);
        begin = end + 1;
      }
    }
    std::vector<Family> result;
    for (auto& [key, family] : found)
      if (family.members.size() >= 2) result.push_back(std::move(family));
    return result;
  }

  // What the parts of a fused tensor are, in the order in which they stand in it.
  static const std::vector<std::vector<std::string>>& fused_roles() {
    static const std::vector<std::vector<std::string>> lists = {
        {"gate", "q", "k", "v"}, {"q", "k", "v"}, {"k", "v"}, {"gate", "up"}, {"q", "k"}};
    return lists;
  }

  std::vector<std::vector<size_t>> part_lists(const Family& family, const Side& side) const {
    std::vector<std::vector<size_t>> lists;
    for (const auto& [rest, members] : family.roles)
      for (const auto& roles : fused_roles()) {
        std::vector<size_t> list;
        for (const auto& role : roles)
          if (const auto it = members.find(role); it != members.end()) list.push_back(it->second);
        if (list.size() == roles.size() && std::set<size_t>(list.begin(), list.end()).size() == list.size())
          lists.push_back(std::move(list));
      }
    if (lists.empty() && family.members.size() <= 4) {
      std::vector<size_t> list = family.members;
      const bool near_end = segments_of(family.after).size() <= 2;
      const bool leaves = family.after.empty() && std::all_of(list.begin(), list.end(), [&](size_t i) {
                            return is_part(segments_of(side.templates[i].text).back());
                          });
      if (near_end && !leaves) lists.push_back(list);
    }
    return lists;
  }

  // The axis along which the parts add up to the whole; nullopt: they do not.
  static std::optional<int> axis_of_parts(const Shape& whole, const std::vector<Shape>& parts) {
    for (size_t axis = 0; axis < whole.size(); ++axis) {
      int64_t sum = 0;
      bool fits = true;
      for (const Shape& part : parts) {
        fits &= part.size() == whole.size();
        for (size_t d = 0; fits && d < whole.size(); ++d) fits = d == axis || part[d] == whole[d];
        if (!fits) break;
        sum += part[axis];
      }
      if (fits && sum == whole[axis]) return static_cast<int>(axis);
    }
    return std::nullopt;
  }

  void suggest_parts() {
    // Sources with one number more than the target: stacked. Targets with one more: cut one by one.
    suggest_numbered();
    // target <- parts of the source; source -> parts
    for (const Family& family : families(target_))
      for (const auto& parts : part_lists(family, target_)) suggest_fused(parts, family, false);
    for (const Family& family : families(source_))
      for (const auto& parts : part_lists(family, source_)) suggest_fused(parts, family, true);
  }

  std::vector<Shape> shapes_of(const std::vector<size_t>& parts, const Side& side) const {
    std::vector<Shape> shapes;
    for (const size_t part : parts) shapes.push_back(side.templates[part].shape());
    return shapes;
  }

  // One whole for these parts, on the other side. `joining`: the parts are sources.
  void suggest_fused(const std::vector<size_t>& parts, const Family& family, bool joining) {
    const bool named = !family.roles.empty();
    const Side &side = joining ? source_ : target_, &other = joining ? target_ : source_;
    const Template& first = side.templates[parts[0]];
    for (const size_t part : parts) {
      const Template& one = side.templates[part];
      if (one.numbers != first.numbers || !one.uniform() || one.floating != first.floating || one.ranks > 1) return;
    }
    const auto shapes = shapes_of(parts, side);
    const auto module = roles_of(family.before + "fused" + family.after, [](const std::string&) { return false; });
    for (size_t w = 0; w < other.templates.size(); ++w) {
      const Template& whole = other.templates[w];
      if (whole.floating != first.floating || !whole.uniform() || whole.ranks > 1) continue;
      Hypothesis one;
      (joining ? one.sources : one.targets) = parts;
      (joining ? one.targets : one.sources) = {w};
      std::optional<int> axis;
      if (whole.numbers == first.numbers) {
        axis = axis_of_parts(whole.shape(), shapes);
        one.kind = joining ? Relation::Kind::concat : Relation::Kind::split_into;
      }
      if (!axis && joining && first.columns == whole.columns + 1 && whole.shape().size() == first.shape().size() + 1) {
        const auto column = stacked_column(first, whole);
        Shape rest = whole.shape();
        rest.erase(rest.begin());
        if (column) axis = axis_of_parts(rest, shapes);
        one.kind = Relation::Kind::stack_concat;
        one.column = column.value_or(0);
      }
      if (!axis) continue;
      one.axis = *axis;
      const double hint = fused_hint(whole.text, parts.size());
      one.base = alikeness(module, whole.words) +
                 (hint > 0                    ? 0.2 + hint
                  : parts.size() > 2 && named ? -0.05
                                              : -0.4) -
                 (named ? 0 : 0.1) +
                 (first.leaf == whole.leaf                     ? 0.2
                  : is_part(first.leaf) && is_part(whole.leaf) ? -0.8
                                                               : 0);
      hypotheses_.push_back(std::move(one));
    }
  }

  // The column whose numbers 0 … n-1 the first axis of the whole has, for each of its other numbers.
  static std::optional<size_t> stacked_column(const Template& part, const Template& whole) {
    for (size_t column = part.columns; column-- > 0;) {
      std::set<int64_t> values;
      for (const auto& row : part.numbers) values.insert(row[column]);
      const auto n = static_cast<int64_t>(values.size());
      if (n != whole.shape()[0] || *values.rbegin() + 1 != n ||
          part.numbers.size() != whole.numbers.size() * static_cast<size_t>(n))
        continue;
      const auto rest = without(part.numbers, column);
      const std::set<std::vector<int64_t>> have(rest.begin(), rest.end());
      if (have == std::set<std::vector<int64_t>>(whole.numbers.begin(), whole.numbers.end())) return column;
    }
    return std::nullopt;
  }

  void suggest_numbered() {
    for (const bool stacking : {true, false}) {
      const Side &parts = stacking ? source_ : target_, &wholes = stacking ? target_ : source_;
      for (size_t p = 0; p < parts.templates.size(); ++p) {
        const Template& part = parts.templates[p];
        if (part.columns == 0 || !part.uniform() || part.ranks > 1) continue;
        for (size_t w = 0; w < wholes.templates.size(); ++w) {
          const Template& whole = wholes.templates[w];
          if (whole.columns + 1 != part.columns || whole.shape().size() != part.shape().size() + 1 ||
              !whole.uniform() || whole.floating != part.floating || whole.ranks > 1)
            continue;
          const auto column = stacked_column(part, whole);
          if (!column) continue;
          Hypothesis one;
          one.kind = stacking ? Relation::Kind::stack : Relation::Kind::split_each;
          (stacking ? one.sources : one.targets) = {p};
          (stacking ? one.targets : one.sources) = {w};
          one.column = *column;
          Shape rest(whole.shape().begin() + 1, whole.shape().end());
          if (rest != part.shape()) {
            if (rest.size() != 2 || rest[0] != part.shape()[1] || rest[1] != part.shape()[0]) continue;
            one.order = {1, 0};
          }
          one.base = (part.shape().size() < 2 ? -0.3 : 0.5) + alikeness(part.words, whole.words) -
                     (one.order.empty() ? 0 : 0.1);
          hypotheses_.push_back(std::move(one));
        }
      }
    }
  }

  // Whether the name of the whole says that it is fused of so many.
  static double fused_hint(const std::string& text, size_t parts) {
    static const std::vector<std::pair<std::string, size_t>> hints = {
        {"gqkv", 4}, {"qkv", 3},     {"in_proj", 3}, {"c_attn", 3}, {"att_proj", 3}, {"query_key_value", 3},
        {"kv", 2},   {"gate_up", 2}, {"up_gate", 2}, {"w13", 2},    {"ff_proj", 2},  {"key_value", 2},
        {"qk", 2}};
    double best = 0;
    const std::string near = text.substr(parent_of(parent_of(text)).size());
    for (const auto& [word, count] : hints)
      if (near.find(word) != std::string::npos) best = std::max(best, count == parts ? 0.5 : 0.1);
    return best;
  }

  // ------------------------------------------------------------ choice

  using Modules = std::map<std::pair<std::string, std::string>, double>;

  // How much the modules around a source and a target template have been seen to correspond.
  double context(const std::string& s, const std::string& t) const {
    double best = 0;
    for (int i = 1; i <= 3; ++i)
      for (int j = 1; j <= 3; ++j) {
        const std::string a = parent_of_shape(s, i), b = parent_of_shape(t, j);
        const auto both = modules_.find({a, b});
        if (both == modules_.end()) continue;
        const double share = both->second / std::max(votes_.at(a), 1e-9),
                     back = both->second / std::max(votes_back_.at(b), 1e-9);
        best = std::max(best, std::min(share, back) * (i == 1 && j == 1 ? 0.8 : 0.6 - 0.05 * (i + j)));
      }
    return best;
  }

  void choose() {
    for (auto& one : hypotheses_) {
      one.score = one.base;
      double around = 0;
      for (const size_t s : one.sources)
        for (const size_t t : one.targets) around += context(source_.templates[s].text, target_.templates[t].text);
      one.score += around / static_cast<double>(one.sources.size() * one.targets.size());
    }
    std::vector<size_t> order(hypotheses_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return hypotheses_[a].score > hypotheses_[b].score; });
    source_owner_.assign(source_.templates.size(), kNone);
    target_owner_.assign(target_.templates.size(), kNone);
    chosen_.clear();
    for (const size_t h : order) {
      const Hypothesis& one = hypotheses_[h];
      const auto free = [](const std::vector<size_t>& list, const std::vector<size_t>& owner) {
        return std::all_of(list.begin(), list.end(), [&](size_t i) { return owner[i] == kNone; });
      };
      if (!free(one.sources, source_owner_) || !free(one.targets, target_owner_)) continue;
      for (const size_t s : one.sources) source_owner_[s] = h;
      for (const size_t t : one.targets) target_owner_[t] = h;
      chosen_.push_back(h);
    }
    learn();
  }

  void learn() {
    modules_.clear(), votes_.clear(), votes_back_.clear();
    for (const size_t h : chosen_) {
      const Hypothesis& one = hypotheses_[h];
      const double vote = std::clamp(one.score - 0.4, 0.05, 1.0);
      for (const size_t s : one.sources)
        for (const size_t t : one.targets)
          for (int i = 1; i <= 3; ++i)
            for (int j = 1; j <= 3; ++j) {
              const std::string a = parent_of_shape(source_.templates[s].text, i),
                                b = parent_of_shape(target_.templates[t].text, j);
              if (a.empty() || b.empty()) continue;
              const double own = vote / (i == j ? 1.0 : 2.0);
              modules_[{a, b}] += own;
            }
    }
    for (const auto& [pair, vote] : modules_) {
      votes_[pair.first] = std::max(votes_[pair.first], vote);
      votes_back_[pair.second] = std::max(votes_back_[pair.second], vote);
    }
  }

  // ------------------------------------------------------------ what is not certain

  static std::string shown(const Template& one) {
    std::string text = one.text;
    std::replace(text.begin(), text.end(), '#', '*');
    return text;
  }

  void mark() {
    std::unordered_map<size_t, std::vector<size_t>> by_source, by_target;
    std::map<std::pair<size_t, size_t>, double> scores, bases;  // of renames
    for (size_t h = 0; h < hypotheses_.size(); ++h) {
      const Hypothesis& one = hypotheses_[h];
      for (const size_t s : one.sources) by_source[s].push_back(h);
      for (const size_t t : one.targets) by_target[t].push_back(h);
      if (one.kind == Relation::Kind::rename)
        scores[{one.sources[0], one.targets[0]}] = one.score, bases[{one.sources[0], one.targets[0]}] = one.base;
    }
    const bool rotary = may_be_rotary();
    for (const size_t h : chosen_) {
      Hypothesis& one = hypotheses_[h];
      if (rotary && is_renamed_projection(one))
        one.checks.push_back("the order of the rows of q and k (rotary), which only weights can tell");
      if (one.kind == Relation::Kind::split_into || one.kind == Relation::Kind::concat ||
          one.kind == Relation::Kind::stack_concat)
        one.checks.push_back("the order of the parts, and of the rows in each, is taken from names");
      const bool same_name = one.kind == Relation::Kind::rename &&
                             is_same_name(source_.templates[one.sources[0]], target_.templates[one.targets[0]]);
      if (same_name) continue;
      if (one.kind == Relation::Kind::rename && !one.order.empty()) one.checks.push_back("transposed, by its shape");
      if (one.kind == Relation::Kind::rename && has_rival_norm(one))
        one.checks.push_back("which norm this is, is taken from names");
      if (one.kind == Relation::Kind::rename && fused_hint(target_.templates[one.targets[0]].text, 2) > 0.3)
        one.checks.push_back("its rows may have another order");
      // What else a source or target here could be, and what exchanging would cost.
      double lead = 9;
      size_t rival = kNone;
      bool rival_is_source = false;
      for (const size_t s : one.sources)
        for (const size_t other : by_source[s]) {
          const Hypothesis& alternative = hypotheses_[other];
          if (other == h) continue;
          const double loss = lead_over(h, other, scores, bases);
          if (loss < lead) lead = loss, rival = alternative.targets[0], rival_is_source = false;
        }
      for (const size_t t : one.targets)
        for (const size_t other : by_target[t]) {
          const Hypothesis& alternative = hypotheses_[other];
          if (other == h) continue;
          const double loss = lead_over(h, other, scores, bases);
          if (loss < lead) lead = loss, rival = alternative.sources[0], rival_is_source = true;
        }
      const bool numbered =
          rival != kNone && one.kind == Relation::Kind::rename &&
          (is_bare_number(source_.templates[one.sources[0]]) || is_bare_number(target_.templates[one.targets[0]]));
      if (lead < kSure || numbered)
        one.checks.push_back(fmt::format(
            "'{}' {}", shown(rival_is_source ? source_.templates[rival] : target_.templates[rival]), kFitsAsWell));
      else if (one.score < 0.55)
        one.checks.push_back("only its shape says so, hardly its name");
    }
  }

  // Whether positions turn q and k: the keys say so, or none says that positions are learned.
  bool may_be_rotary() const {
    static const std::set<std::string> kRotary = {"rope", "rotary", "freqs", "freq"},
                                       kLearned = {"position", "rel", "relative", "relpos"};
    bool learned = false;
    for (const Side* side : {&source_, &target_})
      for (const Template& one : side->templates)
        for (const auto& word : words_of(one.text)) {
          if (kRotary.contains(word)) return true;
          learned |= kLearned.contains(word);
        }
    return !learned;
  }
  // A projection to q or k whose own name is another: who renames these may have another order of their rows.
  bool is_renamed_projection(const Hypothesis& one) const {
    if (one.kind != Relation::Kind::rename) return false;
    const auto word_of = [](const Template& of) {
      std::string found;
      for (const auto& segment : segments_of(of.text)) {
        const auto words = words_of(segment);
        if (std::any_of(words.begin(), words.end(), [](const auto& w) { return w == "q" || w == "k"; }) &&
            std::find(words.begin(), words.end(), "norm") == words.end())
          found = segment;
      }
      return found;
    };
    const std::string from = word_of(source_.templates[one.sources[0]]),
                      to = word_of(target_.templates[one.targets[0]]);
    return from != to && !to.empty();
  }

  // The last module is called by a number: its place in a list of modules, which says nothing about what it does.
  static bool is_bare_number(const Template& one) {
    const std::string module = segments_of(parent_of(one.text)).back();
    return !module.empty() && module.find_first_not_of("0123456789") == std::string::npos;
  }

  // A norm whose name is another, and which is not the only one in its module.
  bool has_rival_norm(const Hypothesis& one) const {
    const std::string &s = source_.templates[one.sources[0]].text, &t = target_.templates[one.targets[0]].text;
    const auto module = [](const std::string& text) { return segments_of(parent_of(text)).back(); };
    const auto is_norm = [](const std::string& text) {
      const auto words = words_of(text);
      return std::find(words.begin(), words.end(), "norm") != words.end();
    };
    if (!(is_norm(module(s)) || is_norm(module(t))) ||
        module(source_.templates[one.sources[0]].ordinal) == module(target_.templates[one.targets[0]].ordinal))
      return false;
    const std::string around = parent_of(parent_of(t));
    return std::count_if(target_.templates.begin(), target_.templates.end(), [&](const Template& other) {
             return parent_of(parent_of(other.text)) == around && is_norm(module(other.text)) &&
                    other.shape() == target_.templates[one.targets[0]].shape() &&
                    other.leaf == target_.templates[one.targets[0]].leaf;
           }) > 1;
  }

  // How much better `h` is: with what the modules around say, and hardly worse without.
  double lead_over(size_t h, size_t other, const std::map<std::pair<size_t, size_t>, double>& scores,
                   const std::map<std::pair<size_t, size_t>, double>& bases) const {
    const double lead = exchange(h, other, scores, &Hypothesis::score);
    return exchange(h, other, bases, &Hypothesis::base) < 0.12 ? std::min(lead, kSure - 0.01) : lead;
  }

  // What is lost if `other` held instead of `h`, and those it displaces were exchanged.
  double exchange(size_t h, size_t other, const std::map<std::pair<size_t, size_t>, double>& scores,
                  double Hypothesis::*worth) const {
    const Hypothesis &one = hypotheses_[h], &alternative = hypotheses_[other];
    double loss = one.*worth - alternative.*worth;
    if (one.kind != Relation::Kind::rename || alternative.kind != Relation::Kind::rename) return loss;
    const bool same_source = alternative.sources[0] == one.sources[0];
    const size_t displaced =
        same_source ? target_owner_[alternative.targets[0]] : source_owner_[alternative.sources[0]];
    if (displaced == kNone || hypotheses_[displaced].kind != Relation::Kind::rename)
      return displaced == kNone ? loss : loss + hypotheses_[displaced].*worth;
    const Hypothesis& second = hypotheses_[displaced];
    const std::pair<size_t, size_t> swapped =
        same_source ? std::pair(second.sources[0], one.targets[0]) : std::pair(one.sources[0], second.targets[0]);
    const auto it = scores.find(swapped);
    return loss + second.*worth - (it == scores.end() ? -0.5 : it->second);
  }

  // ------------------------------------------------------------ relations between tensors

  void build() {
    transpose_like_the_others();
    std::vector<bool> source_used(refs_.size(), false), target_used(problem_.target->manifest().size(), false);
    std::sort(chosen_.begin(), chosen_.end(),
              [&](size_t a, size_t b) { return hypotheses_[a].sources[0] < hypotheses_[b].sources[0]; });
    for (const size_t h : chosen_) {
      const Hypothesis& one = hypotheses_[h];
      for (auto& relation : relations_of(one)) {
        bool same_source = true;
        for (const Ref ref : relation.sources) same_source &= ref.source == relation.sources[0].source;
        if (!same_source) continue;
        for (const uint32_t t : relation.targets) target_used[t] = true;
        findings_.relations.push_back(std::move(relation));
      }
    }
    for (const auto& relation : findings_.relations)
      for (const Ref ref : relation.sources) source_used[number_of(ref)] = true;
    for (size_t i = 0; i < refs_.size(); ++i)
      if (!source_used[i]) findings_.open_sources.push_back(refs_[i]);
    for (uint32_t t = 0; t < target_used.size(); ++t)
      if (!target_used[t]) findings_.open_targets.push_back(t);
  }
  size_t number_of(Ref ref) const {
    return static_cast<size_t>(std::lower_bound(refs_.begin(), refs_.end(), ref) - refs_.begin());
  }

  // Square matrices tell nothing: they go the way of the others that are called alike.
  void transpose_like_the_others() {
    std::map<std::pair<std::string, std::string>, std::pair<size_t, size_t>>
        seen;  // leaves -> (transposed, not), of those that are not square
    const auto leaves = [&](const Hypothesis& one) {
      const auto a = segments_of(source_.templates[one.sources[0]].text),
                 b = segments_of(target_.templates[one.targets[0]].text);
      return std::pair(a.back(), b.back());
    };
    const auto is_matrix = [&](const Hypothesis& one) {
      return one.kind == Relation::Kind::rename && source_.templates[one.sources[0]].shape().size() == 2;
    };
    const auto is_square = [&](const Hypothesis& one) {
      const Shape& shape = source_.templates[one.sources[0]].shape();
      return shape[0] == shape[1];
    };
    for (const size_t h : chosen_)
      if (const auto& one = hypotheses_[h]; is_matrix(one) && !is_square(one))
        ++(one.order.empty() ? seen[leaves(one)].second : seen[leaves(one)].first);
    for (const size_t h : chosen_) {
      auto& one = hypotheses_[h];
      if (!is_matrix(one) || !is_square(one)) continue;
      const auto it = seen.find(leaves(one));
      if (it == seen.end() || it->second.first <= it->second.second) continue;
      one.order = {1, 0};
      one.checks.push_back("it is square: transposed as the others are");
    }
  }

  std::vector<Relation> relations_of(const Hypothesis& one) const {
    const auto ref = [&](size_t tmpl, size_t row) { return matched_[source_.templates[tmpl].tensors[row]].front(); };
    const auto target = [&](size_t tmpl, size_t row) { return wanted_[target_.templates[tmpl].tensors[row]]; };
    std::vector<Relation> relations;
    Relation blank;
    blank.kind = one.kind;
    blank.axis = one.axis;
    blank.layout.order = one.order;
    blank.checks = one.checks;
    using Kind = Relation::Kind;
    if (one.kind == Kind::rename || one.kind == Kind::split_into || one.kind == Kind::concat) {
      const Template& first =
          one.kind == Kind::concat ? target_.templates[one.targets[0]] : source_.templates[one.sources[0]];
      for (size_t row = 0; row < first.tensors.size(); ++row) {
        Relation relation = blank;
        for (const size_t s : one.sources) {
          const auto& refs = matched_[source_.templates[s].tensors[row]];
          relation.sources.insert(relation.sources.end(), refs.begin(), refs.end());
          if (one.kind == Kind::concat)
            relation.sizes.push_back(source_.templates[s].shape()[static_cast<size_t>(one.axis)]);
        }
        for (const size_t t : one.targets) {
          relation.targets.push_back(target(t, row));
          if (one.kind == Kind::split_into)
            relation.sizes.push_back(target_.templates[t].shape()[static_cast<size_t>(one.axis)]);
        }
        if (source_.templates[one.sources[0]].ranks > 1) {
          relation.kind = one.cut == Hypothesis::kWhole ? Kind::replicated : Kind::concat;
          relation.axis = std::max(one.cut, 0);
        }
        relations.push_back(std::move(relation));
      }
      return relations;
    }
    // Numbered parts: those of one whole, in the order of their number.
    const bool cutting = one.kind == Kind::split_each;
    const Template& whole = cutting ? source_.templates[one.sources[0]] : target_.templates[one.targets[0]];
    const Template& part = cutting ? target_.templates[one.targets[0]] : source_.templates[one.sources[0]];
    std::map<std::vector<int64_t>, std::map<int64_t, size_t>> rows;
    for (size_t row = 0; row < part.numbers.size(); ++row) {
      auto rest = part.numbers[row];
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(one.column));
      rows[rest][part.numbers[row][one.column]] = row;
    }
    for (size_t w = 0; w < whole.numbers.size(); ++w) {
      Relation relation = blank;
      relation.axis = 0;
      relation.inner_axis = one.axis;
      if (cutting)
        relation.sources = {ref(one.sources[0], w)};
      else
        relation.targets = {target(one.targets[0], w)};
      for (const auto& [number, row] : rows.at(whole.numbers[w])) {
        if (cutting)
          relation.targets.push_back(target(one.targets[0], row));
        else
          for (const size_t s : one.sources) relation.sources.push_back(ref(s, row));
      }
      if (one.kind == Kind::stack_concat)
        for (const size_t s : one.sources)
          relation.sizes.push_back(source_.templates[s].shape()[static_cast<size_t>(one.axis)]);
      relations.push_back(std::move(relation));
    }
    return relations;
  }

  static constexpr size_t kNone = static_cast<size_t>(-1);
  const Problem& problem_;
  Findings findings_;
  std::vector<Ref> refs_;
  std::vector<uint32_t> wanted_;           // the target's tensors that take part: all but those that are not read
  std::vector<std::vector<Ref>> matched_;  // those that take part; of several files that have a key alike, all
  Side source_, target_;
  std::vector<Hypothesis> hypotheses_;
  std::vector<size_t> chosen_, source_owner_, target_owner_;
  Modules modules_;
  std::map<std::string, double> votes_, votes_back_;
};

}  // namespace

Findings find_by_names(const Problem& problem) { return Matcher(problem).run(); }

}  // namespace remap::infer
