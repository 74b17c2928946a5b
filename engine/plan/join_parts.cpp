#include "plan/join_parts.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::plan {
namespace {

using lang::AxisParts;

constexpr size_t kMaxMissing = 8;  // that are named

// The places that a hole's text stands for: its number, counted from the first that the hole takes, or wherever it is
// in the list of names.
std::vector<size_t> places_of(const AxisParts& parts, const lang::IndexRange& range, const std::string& text) {
  std::vector<size_t> places;
  if (!parts.each) {
    for (size_t i = 0; i < parts.parts.size(); ++i)
      if (!parts.parts[i].fill && parts.parts[i].name == text) places.push_back(i);
    return places;
  }
  constexpr size_t kMaxDigits = 9;
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + std::min(text.size(), kMaxDigits), number);
  const auto first = static_cast<size_t>(range.first);
  if (error == std::errc() && end == text.data() + text.size() && number >= first) places.push_back(number - first);
  return places;
}

std::string name_of(const AxisParts& parts, const lang::IndexRange& range, size_t place) {
  return parts.each ? std::to_string(place + static_cast<size_t>(range.first)) : parts.parts[place].name;
}

// The numbers that a hole that is joined along takes.
lang::IndexRange range_of(const lang::Rule& rule, const std::optional<AxisParts>& parts) {
  if (parts)
    for (const auto& token : rule.from.tokens)
      if (token.kind == lang::PatternToken::Kind::hole && token.text == parts->hole && token.range) return *token.range;
  return {};
}

class Joining {
 public:
  Joining(const lang::Rule& rule, const std::string& target, const std::vector<JoinInput>& parts,
          const std::map<size_t, int64_t>& sizes, const Regroup& regroup, Diagnostics& diagnostics)
      : rule_(rule),
        target_(target),
        parts_(parts),
        sizes_(sizes),
        regroup_(regroup),
        diagnostics_(diagnostics),
        stack_range_(range_of(rule, rule.stack)),
        concat_range_(range_of(rule, rule.concat)) {}

  std::optional<Joined> run() {
    if (!find_places() || !nothing_missing() || !widen_entries()) return std::nullopt;
    const JoinInput& first = *grid_.begin()->second;
    Joined result{shape_of_one(), {}, {}, first.key};
    if (!all_fit(first)) return std::nullopt;
    if (rule_.stack) result.shape.insert(result.shape.begin() + rule_.stack->axis, static_cast<int64_t>(n_stack_));
    StridedView joined = StridedView::of(result.shape), target = joined;
    const bool regrouped = rule_.steps_of_parts() < rule_.steps.size();
    if (regrouped) {
      if (!regroup_(*first.key, target)) return std::nullopt;
      joined = target.inverse(result.shape);
      result.shape = target.shape();
    }
    for (size_t s = 0; s < n_stack_; ++s) {
      int64_t at = 0;
      for (size_t c = 0; c < n_concat_; ++c) {
        const auto constant = sizes_.find(c);
        const JoinInput& part = constant == sizes_.end() ? *grid_.at({s, c}) : constant_part(constant->second);
        Piece made;
        if (!regrouped)
          made = piece(part, s, at);
        else if (!regrouped_piece(part, s, at, joined, made))
          return std::nullopt;
        if (constant == sizes_.end())
          result.pieces.push_back(std::move(made));
        else if (constant->second > 0)
          result.filled.push_back(filled(std::move(made), *rule_.concat->parts[c].fill));
        if (rule_.concat) at += part.view.shape()[concat_axis()];
      }
    }
    return result;
  }

 private:
  size_t concat_axis() const { return static_cast<size_t>(rule_.concat->axis); }
  size_t stack_axis() const { return static_cast<size_t>(rule_.stack->axis); }

  // A constant as long as this along the axis, and otherwise as what it is joined with.
  const JoinInput& constant_part(int64_t size) {
    Shape shape = grid_.begin()->second->view.shape();
    shape[concat_axis()] = size;
    constant_ = *grid_.begin()->second;
    constant_.view = StridedView::of(shape);
    return constant_;
  }
  // Its region, without a source side.
  static FilledPart filled(Piece region, double value) {
    std::vector<Axis> axes = region.axes;
    for (Axis& axis : axes) axis.source_dim = 0, axis.source_step = 0;
    region.axes = std::move(axes);
    region.source = region.tensor = 0;
    region.source_origin.clear();
    return {std::move(region), value, 0};
  }

  bool layout_error(const JoinInput& part, const std::string& wrong) {
    diagnostics_.error("plan-layout", rule_.place,
                       fmt::format("'{}' of shape {}: {}", part.key->key, to_string(part.info->shape), wrong));
    return false;
  }

  bool find_places() {
    bool good = true;
    const auto places = [&](const std::optional<AxisParts>& parts, const lang::IndexRange& range,
                            const std::string& text, const JoinInput& part) -> std::vector<size_t> {
      if (!parts) return {0};
      auto found = places_of(*parts, range, text);
      if (found.empty())
        good = layout_error(part, fmt::format("'{}' of '{{{}}}' is {}", text, parts->hole,
                                              parts->each ? "not a number" : "none of the parts: " + names(*parts)));
      return found;
    };
    for (const JoinInput& part : parts_) {
      const auto stacked = places(rule_.stack, stack_range_, part.stack_name, part);
      if (!good) return false;
      const auto joined = places(rule_.concat, concat_range_, part.concat_name, part);
      if (!good) return false;
      for (const size_t s : stacked)
        for (const size_t c : joined) {
          const auto [it, fresh] = grid_.emplace(std::pair(s, c), &part);
          if (!fresh)
            return layout_error(part, fmt::format("'{}' is the same part of '{}'", it->second->key->key, target_));
        }
    }
    return true;
  }
  static std::string names(const AxisParts& parts) {
    std::vector<std::string> list;
    for (const auto& part : parts.parts)
      if (!part.fill) list.push_back(part.name);
    return join(list, ", ");
  }

  // What is one entry of the axis gets that axis.
  bool widen_entries() {
    for (auto& [at, part] : grid_) {
      if (!rule_.concat || rule_.concat->each || !rule_.concat->parts[at.second].is_entry) continue;
      if (concat_axis() > part->view.dims.size())
        return layout_error(*part, fmt::format("it cannot be one entry of axis {}", concat_axis()));
      JoinInput& wide = entries_.emplace_back(*part);
      wide.view.dims.emplace(wide.view.dims.begin() + rule_.concat->axis);
      part = &wide;
    }
    return true;
  }

  bool nothing_missing() {
    std::set<size_t> stacked, joined;
    for (const auto& [at, part] : grid_) stacked.insert(at.first), joined.insert(at.second);
    // A range that ends says how many there are.
    const auto count = [](const std::optional<AxisParts>& parts, const lang::IndexRange& range,
                          const std::set<size_t>& seen) -> size_t {
      if (!parts) return 1;
      if (!parts->each) return parts->parts.size();
      return range.last ? static_cast<size_t>(*range.last - range.first) + 1 : *seen.rbegin() + 1;
    };
    n_stack_ = count(rule_.stack, stack_range_, stacked);
    n_concat_ = count(rule_.concat, concat_range_, joined);
    // As long as nothing is missing, no more places are looked at than there are parts.
    std::vector<std::string> missing;
    for (size_t s = 0; s < n_stack_ && missing.size() < kMaxMissing; ++s)
      for (size_t c = 0; c < n_concat_ && missing.size() < kMaxMissing; ++c)
        if (!sizes_.contains(c) && !grid_.contains({s, c})) missing.push_back(part_text(s, c));
    if (missing.empty()) return true;
    const std::string holes = rule_.stack && rule_.concat
                                  ? ""
                                  : fmt::format(" of '{{{}}}'", rule_.stack ? rule_.stack->hole : rule_.concat->hole);
    diagnostics_.error("plan-part-missing", rule_.place,
                       fmt::format("'{}' needs the parts {}{}, which the checkpoint does not have", target_,
                                   join(missing, ", "), holes));
    return false;
  }
  std::string part_text(size_t s, size_t c) const {
    if (!rule_.stack) return name_of(*rule_.concat, concat_range_, c);
    if (!rule_.concat) return name_of(*rule_.stack, stack_range_, s);
    return fmt::format("{}={} {}={}", rule_.stack->hole, name_of(*rule_.stack, stack_range_, s), rule_.concat->hole,
                       name_of(*rule_.concat, concat_range_, c));
  }

  // Of what is stacked, or of the whole if nothing is.
  Shape shape_of_one() const {
    Shape shape = grid_.begin()->second->view.shape();
    if (!rule_.concat || concat_axis() >= shape.size()) return shape;
    shape[concat_axis()] = constants();
    for (const auto& [at, part] : grid_)
      if (const Shape own = part->view.shape(); at.first == 0 && own.size() == shape.size())
        shape[concat_axis()] += own[concat_axis()];
    return shape;
  }

  // How long they are together.
  int64_t constants() const {
    int64_t sum = 0;
    for (const auto& [place, size] : sizes_) sum += size;
    return sum;
  }

  bool all_fit(const JoinInput& first) {
    const Shape one = shape_of_one();
    if (rule_.concat && concat_axis() >= one.size())
      return layout_error(first, fmt::format("there is no axis {} to join along", concat_axis()));
    if (rule_.stack && stack_axis() > one.size())
      return layout_error(first, fmt::format("there is no axis {} to join along", stack_axis()));
    std::map<size_t, int64_t> lengths;  // along the concat axis, by place in the stack
    for (const auto& [at, part] : grid_) {
      Shape own = part->view.shape();
      if (rule_.concat && own.size() == one.size()) {
        lengths[at.first] += own[concat_axis()];
        own[concat_axis()] = one[concat_axis()];
      }
      if (own != one || part->info->dtype != first.info->dtype)
        return layout_error(*part, fmt::format("it cannot be joined with '{}' of shape {} {}", first.key->key,
                                               name(first.info->dtype), to_string(first.info->shape)));
    }
    for (const auto& [place, length] : lengths)
      if (length + constants() != one[concat_axis()])
        return layout_error(*grid_.lower_bound({place, 0})->second,
                            fmt::format("its parts are {} long along axis {}; those that begin with '{}' are {}",
                                        length + constants(), concat_axis(), first.key->key, one[concat_axis()]));
    return true;
  }

  // `at`: where the part begins along the concat axis.
  Piece piece(const JoinInput& part, size_t place, int64_t at) const {
    std::vector<int64_t> origin(part.view.dims.size(), 0);
    std::vector<uint8_t> axes(origin.size());
    for (size_t d = 0; d < axes.size(); ++d)
      axes[d] = static_cast<uint8_t>(d + (rule_.stack && d >= stack_axis() ? 1 : 0));
    if (rule_.concat) origin[concat_axis()] = at;
    if (rule_.stack) origin.insert(origin.begin() + rule_.stack->axis, static_cast<int64_t>(place));
    return part.view.piece(part.key->source, part.key->tensor, std::move(origin), axes);
  }

  // The same where steps follow. `joined`: what was joined, as a view of the target.
  bool regrouped_piece(const JoinInput& part, size_t place, int64_t at, const StridedView& joined, Piece& made) {
    StridedView box = joined;
    std::string wrong;
    if (rule_.stack) wrong = box.select(stack_axis(), static_cast<int64_t>(place));
    const Shape own = part.view.shape();
    if (rule_.concat && wrong.empty()) wrong = box.slice(concat_axis(), at, own[concat_axis()]);
    if (wrong.empty()) made = part.view.piece(part.key->source, part.key->tensor, box, wrong);
    return wrong.empty() || layout_error(part, wrong);
  }

  const lang::Rule& rule_;
  const std::string& target_;
  const std::vector<JoinInput>& parts_;
  const std::map<size_t, int64_t>& sizes_;
  const Regroup& regroup_;
  Diagnostics& diagnostics_;
  const lang::IndexRange stack_range_, concat_range_;
  std::map<std::pair<size_t, size_t>, const JoinInput*> grid_;  // by place in the stack, then in the concat
  size_t n_stack_ = 1, n_concat_ = 1;
  JoinInput constant_;
  std::deque<JoinInput> entries_;
};

}  // namespace

std::optional<Joined> join_parts(const lang::Rule& rule, const std::string& target, const std::vector<JoinInput>& parts,
                                 const std::map<size_t, int64_t>& sizes, const Regroup& regroup,
                                 Diagnostics& diagnostics) {
  return Joining(rule, target, parts, sizes, regroup, diagnostics).run();
}

}  // namespace remap::plan
