#include "formats/torch_structure.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"

namespace remap::formats {

TorchStructure::TorchStructure(TorchContents& contents, const Limits& limits)
    : contents_(contents),
      graph_(contents.graph),
      meanings_(graph_),
      decoder_(contents, meanings_, limits),
      facts_(graph_.size()),
      seen_(graph_.size()) {
  analyse(graph_.root());
}

void TorchStructure::analyse(PickleRef root) {
  std::vector<Frame> stack;
  enter(root, stack);
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (frame.next < frame.children.refs.size()) {
      enter(frame.children.refs[frame.next++], stack);
      continue;
    }
    close(frame);
    stack.pop_back();
  }
}

void TorchStructure::enter(PickleRef ref, std::vector<Frame>& stack) {
  Facts& facts = facts_[ref];
  State& state = seen_[ref];
  if (state != State::unseen) return;
  state = State::done;
  const PickleView view = view_of(ref);
  if (view.guessed != kNoValue) remark(view.guessed, view.guess);
  if (view.ref != ref &&
      view.meaning != Meaning::scalar) {  // a wrapper: what it wraps is looked at once, not once a wrapper
    state = State::open;
    Children children{{view.ref}};
    add_states(ref, children);
    stack.push_back({ref, std::move(children)});
    return;
  }
  switch (view.meaning) {
    case Meaning::scalar: facts.others = true; return;
    case Meaning::tensor:
      facts.tensors = 1;
      facts.others = !is_read(view) && !is_part(view);
      if (!is_read(view)) return;  // it stands for all it is made of
      break;
    case Meaning::record:
      remark_record(view);
      if (contents_.arrays_only && view.row == nullptr && graph_.is(view.ref, PickleKind::object) &&
          is_result(graph_.object(view.ref)))
        facts.own = true, facts.tensors = 1;
      break;
    default: break;
  }
  Children children = children_of(view);
  if (children.refs.empty()) {
    facts.others |= view.meaning == Meaning::record;
    return;
  }
  state = State::open;
  stack.push_back({ref, std::move(children)});
}

// Adds up the children. One that is still open contains this one: a cycle, whose tensors are counted there.
void TorchStructure::close(const Frame& frame) {
  Facts& facts = facts_[frame.ref];
  const PickleView view = view_of(frame.ref);
  const Meaning meaning = view.ref == frame.ref ? view.meaning : Meaning::mapping;  // a wrapper passes on what it wraps
  const Children& children = frame.children;
  uint64_t tensors = facts.tensors;
  for (size_t i = 0; i < children.refs.size(); ++i) {
    const Facts& child = facts_[children.refs[i]];
    if (i >= children.n_own)
      tensors += child.tensors;
    else if (child.tensors > 0 && !facts.own)
      facts.own = true, ++tensors;
    if (i + children.n_quiet < children.refs.size())
      facts.others |= child.others || seen_[children.refs[i]] == State::open;
  }
  facts.tensors = static_cast<uint32_t>(std::min<uint64_t>(tensors, std::numeric_limits<uint32_t>::max()));
  facts.others |= meaning == Meaning::record || meaning == Meaning::module;
  seen_[frame.ref] = State::done;
}

// The values an object holds are looked at through the containers that hold them, which may be shared: the work stays
// linear.
TorchStructure::Children TorchStructure::children_of(const PickleView& view) const {
  Children out;
  auto& refs = out.refs;
  const PickleKind kind = graph_.kind(view.ref);
  if (kind == PickleKind::dict) {
    const auto& pairs = graph_.items(view.ref);
    for (size_t i = 1; i < pairs.size(); i += 2) refs.push_back(pairs[i]);
    return out;
  }
  if (kind != PickleKind::object) {
    if (view.meaning == Meaning::sequence) refs = graph_.items(view.ref);
    return out;
  }
  const PickleObject& object = graph_.object(view.ref);
  const bool inert = view.row != nullptr && view.row->role == Role::inert;
  if (inert) return out;
  if (view.meaning == Meaning::module) {
    refs = object.states;
    return out;
  }
  if (view.meaning == Meaning::tensor) {
    add_states(view.ref, out);
    return out;
  }
  const bool attributes = view.row != nullptr && view.row->role == Role::attributes,
             record = view.meaning == Meaning::record;
  if (record) {
    refs.push_back(object.arguments);
    if (object.keywords != kNoValue) refs.push_back(object.keywords);
    out.n_own = refs.size();
  } else if (const PickleRef first = meanings_.initial(object, view.row); first != kNoValue && !attributes) {
    refs.push_back(first);
  }
  if (record || attributes) refs.insert(refs.end(), object.states.begin(), object.states.end());
  refs.insert(refs.end(), object.items.begin(), object.items.end());
  for (size_t i = 1; i < object.pairs.size(); i += 2) refs.push_back(object.pairs[i]);
  if (record && is_result(object)) out.n_own = refs.size();
  if (!record && !attributes) add_states(view.ref, out);
  return out;
}

bool TorchStructure::is_result(const PickleObject& object) const {
  if (object.made_by_new || meanings_.class_of(object) != object.callable ||
      !graph_.is(object.callable, PickleKind::global))
    return false;
  const std::string_view name = graph_.global(object.callable).name;
  const char first = name.substr(name.rfind('.') + 1).empty() ? 'a' : name.substr(name.rfind('.') + 1).front();
  return first < 'A' || first > 'Z';
}

std::vector<PickleRef> TorchStructure::states_of(PickleRef ref) const {
  std::vector<PickleRef> states;
  if (!graph_.is(ref, PickleKind::object)) return states;
  const PickleObject& object = graph_.object(ref);
  states = object.states;
  const KnownRow* row = meanings_.row_of_callable(object.callable);
  const bool in_arguments =
      row != nullptr && (row->role == Role::tensor_from_type || row->name.ends_with("_with_state"));
  if (row != nullptr && (row->role == Role::array || row->role == Role::state_field)) states.clear();  // their content
  if (const PickleRef state = in_arguments ? graph_.argument(object, 3) : kNoValue; state != kNoValue)
    states.push_back(state);
  return states;
}
void TorchStructure::add_states(PickleRef ref, Children& children) const {
  const auto states = states_of(ref);
  children.n_quiet = states.size();
  children.refs.insert(children.refs.end(), states.begin(), states.end());
}

PickleView TorchStructure::view_of(PickleRef ref) const {
  PickleView view = meanings_.view(ref);
  if (contents_.arrays_only && view.row != nullptr && view.row->role == Role::array_scalar)
    view.meaning = Meaning::tensor;
  if (!graph_.is(view.ref, PickleKind::persistent)) return view;
  const PickleRef id = graph_.persistent_id(view.ref);
  if (graph_.is(id, PickleKind::tuple) && !graph_.items(id).empty() && meanings_.text(graph_.items(id)[0]) == "storage")
    view.meaning = Meaning::tensor;
  return view;
}

const DecodedTensor& TorchStructure::tensor(const PickleView& view) {
  const auto known = specs_.find(view.ref);
  if (known != specs_.end()) return known->second;
  try {
    return specs_.emplace(view.ref, decoder_.decode(view)).first->second;
  } catch (const Error& error) {  // who asks for it hears why, with its key
    if (!contents_.arrays_only || error.diagnostic().id != "torch-bad-tensor") throw;
    return specs_.emplace(view.ref, UnreadableTensor{"damaged: " + error.diagnostic().message}).first->second;
  }
}

void TorchStructure::remark(PickleRef object, std::string_view text) {
  const bool named = graph_.is(object, PickleKind::object);
  ++remarks_[{named ? meanings_.class_of(graph_.object(object)) : kNoValue, text}];
}
void TorchStructure::remark_record(const PickleView& view) {
  if (view.row != nullptr && view.row->role == Role::inert) return;
  remark(view.ref,
         view.row == nullptr ? "not known, kept as a record" : "not in a form that is known, kept as a record");
}

std::vector<std::string> TorchStructure::remarks() const {
  std::map<std::pair<std::string, std::string_view>, uint64_t> by_name;
  for (const auto& [what, count] : remarks_)
    by_name[{what.first == kNoValue ? "a value outside the pickle" : json_text(meanings_.global_name(what.first)),
             what.second}] += count;
  std::vector<std::string> lines;
  for (const auto& [what, count] : by_name)
    lines.push_back(fmt::format("{} ({} times): {}", what.first, count, what.second));
  return lines;
}

}  // namespace remap::formats
