// Keys of the dicts in a pickle: what each is called, and which of them Python calls equal.
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/pickle_known.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

constexpr int kMostNestedKeys = 4;  // tuples in tuples that are written out

// Python 2's strings are bytes: UTF-8, or else taken for Latin-1, as Python 3 does where it is asked to.
std::string as_text(std::string_view bytes) {
  bytes = utf8_prefix(bytes, PickleMeanings::kMaxName + 4);  // more than bounded() leaves, whatever ends there
  if (is_pickle_text(bytes)) return std::string(bytes);
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xc0 | byte >> 6);
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return text;
}

// Cut, with `ref` to keep it apart from others that begin alike.
std::string bounded(std::string_view text, PickleRef ref) {
  if (text.size() <= PickleMeanings::kMaxName) return std::string(text);
  return fmt::format("{}...<{}>", utf8_prefix(text, PickleMeanings::kMaxName - 1 - 3), ref);
}

}  // namespace

std::string PickleMeanings::key_text(PickleRef key) const { return key_text(key, kMostNestedKeys); }

std::string PickleMeanings::key_text(PickleRef key, int levels) const {
  const PickleView found = view(key);
  // Bytes, as older protocols write them: a text, and how it is encoded.
  if (found.row != nullptr && found.row->role == Role::encoded)
    if (const PickleRef text = graph_.argument(graph_.object(found.ref), 0);
        text != kNoValue && graph_.is(text, PickleKind::text))
      return bounded(graph_.text(text), text);
  switch (graph_.kind(found.ref)) {
    case PickleKind::bytes: return bounded(as_text(graph_.text(found.ref)), found.ref);
    case PickleKind::text:
    case PickleKind::big_integer: return bounded(graph_.text(found.ref), found.ref);
    case PickleKind::integer: return fmt::to_string(graph_[found.ref].integer);
    case PickleKind::boolean: return graph_[found.ref].integer != 0 ? "True" : "False";
    case PickleKind::none: return "None";
    case PickleKind::real: return fmt::to_string(graph_[found.ref].real);
    case PickleKind::tuple: {
      if (levels == 0) return "<a tuple>";
      std::string out = "(";
      for (const PickleRef item : graph_.items(found.ref)) {
        if (out.size() > 1) out += ", ";
        out += key_text(item, levels - 1);
        if (out.size() > kMaxName) break;
      }
      return out + ")";
    }
    case PickleKind::global: return global_name(found.ref);
    default: return fmt::format("<{} {}>", describe(graph_.kind(found.ref)), found.ref);  // the number keeps keys apart
  }
}

// Of a key that is not a tuple. Numbers are equal by value, whatever their type: 1 == 1.0 == True. Objects are equal
// as their classes say, which is not known: each is equal to itself.
std::string PickleMeanings::plain_identity(PickleRef key) const {
  const PickleValue& value = graph_[key];
  switch (value.kind) {
    case PickleKind::none: return "none";
    case PickleKind::boolean:
    case PickleKind::integer: return fmt::format("n{}", value.integer);
    case PickleKind::big_integer: return fmt::format("n{}", graph_.text(key));
    case PickleKind::real:
      if (std::isnan(value.real)) break;
      if (std::isinf(value.real) || value.real != std::trunc(value.real)) return fmt::format("f{}", value.real);
      return value.real == 0 ? "n0" : fmt::format("n{:.0f}", value.real);  // -0.0 is 0, too
    case PickleKind::bytes: return fmt::format("b{}", graph_.text(key));
    case PickleKind::text: return fmt::format("t{}", graph_.text(key));
    case PickleKind::global: return fmt::format("g{}\n{}", graph_.global(key).module, graph_.global(key).name);
    default: break;
  }
  return fmt::format("r{}", key);
}

// A number that two keys share if Python calls them equal. Each value is looked at once, however many dicts have it as
// a key; a tuple after what is in it, which was there before it.
size_t PickleMeanings::identity_number(PickleRef key) const {
  std::vector<PickleRef> open = {key};
  while (!open.empty()) {
    const PickleRef ref = open.back();
    const size_t height = open.size();
    std::string identity;
    if (!identity_numbers_.contains(ref)) {
      if (graph_.is(ref, PickleKind::tuple)) {
        for (const PickleRef item : graph_.items(ref))
          if (!identity_numbers_.contains(item)) open.push_back(item);
        if (open.size() > height) continue;
        identity = "(";
        for (const PickleRef item : graph_.items(ref)) identity += fmt::format("{},", identity_numbers_.at(item));
      } else {
        identity = plain_identity(ref);
      }
      identity_numbers_.emplace(ref, identities_.try_emplace(std::move(identity), identities_.size()).first->second);
    }
    open.pop_back();
  }
  return identity_numbers_.at(key);
}

std::string PickleMeanings::identity(PickleRef key) const {
  static constexpr size_t kShort = 256;
  bool is_short = true;
  if (const PickleKind kind = graph_.kind(key); kind == PickleKind::tuple)
    is_short = false;
  else if (kind == PickleKind::text || kind == PickleKind::bytes || kind == PickleKind::big_integer)
    is_short = graph_.text(key).size() <= kShort;
  else if (kind == PickleKind::global)
    is_short = graph_.global(key).module.size() + graph_.global(key).name.size() <= kShort;
  return is_short ? plain_identity(key) : fmt::format("#{}", identity_number(key));
}

std::vector<NamedEntry> PickleMeanings::named_entries(const PickleView& mapping) const {
  std::vector<NamedEntry> out;
  std::unordered_map<PickleRef, size_t> seen_refs;  // the same value again: no need to look at it
  std::unordered_map<std::string, size_t> seen;     // by identity: 1 and "1" are different keys of one text
  for (const auto& [key, value] : entries(mapping)) {
    const auto [same, first_time] = seen_refs.emplace(key, out.size());
    if (!first_time) {
      out[same->second].value = value;
      continue;
    }
    const auto [it, fresh] = seen.emplace(identity(key), out.size());
    same->second = it->second;
    if (fresh)
      out.push_back({key_text(key), value});
    else
      out[it->second].value = value;
  }
  return out;
}

}  // namespace remap::formats
