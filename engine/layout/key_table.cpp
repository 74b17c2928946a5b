#include "layout/key_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/fetch.h"
#include "base/sorted_order.h"
#include "tensor/source_formats.h"

namespace remap::layout {
namespace {

constexpr size_t kMostPrefixes = 64;  // that are tried where the keys are not below the rules' own root

// The part of `key` below `root`; nullopt if it lies outside.
std::optional<std::string_view> below(std::string_view key, std::string_view root, char separator) {
  if (root.empty()) return key;
  if (!key.starts_with(root) || key.size() <= root.size() + 1 || key[root.size()] != separator) return std::nullopt;
  return key.substr(root.size() + 1);
}

std::string pick_root(const lang::SourceSpec& spec, const std::vector<std::string_view>& keys, char separator) {
  for (const auto& root : spec.roots)
    for (const auto key : keys)
      if (below(key, root, separator)) return root;
  return spec.roots.front();
}

// "3" for "03".
std::string number_text(const std::string& text) {
  if (text.find_first_not_of("0123456789") != std::string::npos) return text;
  return text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
}

// Where keys come from several files, "consolidated.03.pth/x" is "3/x". A single file counts as number 0.
class FilePrefixes {
 public:
  explicit FilePrefixes(const lang::SourceSpec& spec) {
    if (spec.files) matcher_.emplace(*spec.files, lang::VariantValues{});
  }
  // Takes the file's name off the key.
  std::string take(std::string_view& key) {
    if (!matcher_) return "";
    const size_t slash = key.find('/');
    if (slash == std::string_view::npos) return "";
    if (key.substr(0, slash) != file_) {
      file_ = key.substr(0, slash);
      prefix_ = matcher_->match(file_, captures_) ? holes_text() : "";
    }
    if (!prefix_.empty()) key.remove_prefix(slash + 1);
    return prefix_;
  }
  static std::string of_single_file(const lang::SourceSpec& spec) {
    std::string prefix;
    if (spec.files)
      for (const auto& token : spec.files->tokens)
        if (token.kind == lang::PatternToken::Kind::hole) prefix += "0/";
    return prefix;
  }

 private:
  std::string holes_text() const {
    std::string prefix;
    for (const auto& [name, text] : captures_.holes) prefix += number_text(text) + "/";
    return prefix;
  }
  std::optional<lang::Matcher> matcher_;
  lang::Captures captures_;
  std::string file_, prefix_;
};

struct Spelling {
  const lang::Normalise* rule;
  lang::Matcher matcher;
};

// The key as the rules spell it; nullopt if that is how it is spelt already.
std::optional<std::string> normalised(std::string_view key, const std::vector<Spelling>& spellings,
                                      const lang::Tables& tables) {
  std::optional<std::string> normal;
  lang::Captures captures;
  for (const auto& [rule, matcher] : spellings)
    if (matcher.match(normal ? std::string_view(*normal) : key, captures))
      normal = lang::expand(rule->to, rule->from, captures, tables, {});
  return normal;
}

// Sorted, and none is there twice, which is how a manifest has them.
bool strictly_rising(const std::vector<SourceKey>& keys) {
  for (size_t i = 1; i < keys.size(); ++i) {
    fetch_later(i, keys.size(), [&](size_t later) { return keys[later].key.data(); });
    if (keys[i].key <= keys[i - 1].key) return false;
  }
  return true;
}

}  // namespace

char separator_of(const lang::SourceSpec& spec, const Source& source) {
  const SourceFormat* format = spec.format.empty() ? find_source_format(format_of(source)) : nullptr;
  return format != nullptr ? format->separator : spec.separator;
}

KeyTable::KeyTable(const lang::KeySpace& space, const std::vector<NamedSource>& sources, Diagnostics& diagnostics,
                   const std::optional<std::string>& root_of_first)
    : keys_(sources.size()) {
  std::vector<Spelling> spellings;
  for (const auto& rule : space.normalise) spellings.push_back({&rule, lang::Matcher(rule.from, {})});
  for (size_t s = 0; s < sources.size(); ++s) {
    const lang::SourceSpec& spec = space.sources[s];
    const Manifest& manifest = sources[s].source->manifest();
    const char separator = separator_of(spec, *sources[s].source);
    std::vector<std::string> prefixes;     // if the rules name files
    std::vector<std::string_view> inside;  // the keys in their files
    inside.reserve(manifest.size());
    FilePrefixes files(spec);
    for (const auto& tensor : manifest.tensors()) {
      inside.emplace_back(tensor.key);
      if (spec.files) prefixes.push_back(files.take(inside.back()));
    }
    if (std::all_of(prefixes.begin(), prefixes.end(), [](const std::string& p) { return p.empty(); }))
      std::fill(prefixes.begin(), prefixes.end(), FilePrefixes::of_single_file(spec));
    const std::string root = s == 0 && root_of_first ? *root_of_first : pick_root(spec, inside, separator);
    size_t outside = 0;
    keys_[s].reserve(manifest.size());
    for (size_t t = 0; t < manifest.size(); ++t) {
      fetch_later(t, manifest.size(), [&](size_t later) { return inside[later].data(); });
      auto key = below(inside[t], root, separator);
      if (!key) {
        ++outside;
        continue;
      }
      if (!prefixes.empty() && !prefixes[t].empty()) key = respelt_.emplace_back(prefixes[t] + std::string(*key));
      if (auto normal = normalised(*key, spellings, space.tables)) key = respelt_.emplace_back(std::move(*normal));
      keys_[s].push_back({*key, static_cast<uint32_t>(s), static_cast<uint32_t>(t)});
    }
    const BytePlace place{sources[s].source->path(), {}, {}};
    if (keys_[s].empty()) {
      const std::string_view format = sources[s].source->format();
      const std::string other =
          spec.format.empty() || format == "manifest" || format == spec.format
              ? ""
              : fmt::format("; the rules are for {} checkpoints, and this is {}", spec.format, format);
      diagnostics.error("plan-empty-root", place,
                        (root.empty() ? "the checkpoint holds no tensors"
                                      : fmt::format("no tensor lies below '{}' ({} lie elsewhere)", root, outside)) +
                            other,
                        "look at the keys with 'remap inspect'");
    }
    if (strictly_rising(keys_[s])) continue;
    reorder(keys_[s], sorted_order(keys_[s].size(),
                                   [&list = keys_[s]](size_t a, size_t b) { return list[a].key < list[b].key; }));
    for (size_t i = 1; i < keys_[s].size(); ++i)
      if (keys_[s][i].key == keys_[s][i - 1].key)
        diagnostics.error(
            "plan-spelling-collision", place,
            fmt::format("'{}' and '{}' are both '{}' once older spellings are normalised",
                        manifest[keys_[s][i - 1].tensor].key, manifest[keys_[s][i].tensor].key, keys_[s][i].key));
  }
}

void KeyTable::exchange(size_t source, const std::vector<uint32_t>& now_at, const std::set<std::string_view>& taken,
                        std::vector<std::pair<std::string, uint32_t>> made) {
  auto& keys = keys_[source];
  std::erase_if(keys, [&](const SourceKey& key) { return taken.contains(key.key); });
  for (SourceKey& key : keys) key.tensor = now_at[key.tensor];
  for (auto& [key, tensor] : made)
    keys.push_back({respelt_.emplace_back(std::move(key)), static_cast<uint32_t>(source), tensor});
  std::sort(keys.begin(), keys.end(), [](const SourceKey& a, const SourceKey& b) { return a.key < b.key; });
}

std::vector<SourceKey>::const_iterator KeyTable::lower_bound(size_t source, std::string_view key) const {
  return std::lower_bound(keys_[source].begin(), keys_[source].end(), key,
                          [](const SourceKey& a, std::string_view b) { return a.key < b; });
}

namespace {

// Patterns of keys below the root: those that `recognise` asks for, and older spellings. Without what the names of
// files give.
std::vector<std::string> known_keys(const lang::KeySpace& space) {
  std::vector<std::string> texts;
  for (const auto& spelling : space.normalise) texts.push_back(spelling.from.text);
  if (space.recognise)
    lang::visit(space.recognise->root, [&](const lang::ExpressionNode& node) {
      if (node.kind == lang::NodeKind::call && node.text == "exists" && node.children[0].literal.is_string())
        texts.push_back(node.children[0].literal.get<std::string>());
    });
  const std::string of_file = FilePrefixes::of_single_file(space.sources.front());
  for (std::string& text : texts)
    for (auto n = std::count(of_file.begin(), of_file.end(), '/'); n > 0; --n) text.erase(0, text.find('/') + 1);
  std::erase_if(texts, [](const std::string& text) {
    return text.empty() || text.starts_with("re:") || text.find("${") != std::string::npos;
  });
  return texts;
}

// The key in its file.
template <typename Visit>
void each_key_in_file(const lang::KeySpace& space, const Manifest& manifest, Visit visit) {
  FilePrefixes files(space.sources.front());
  for (const auto& tensor : manifest.tensors()) {
    std::string_view key = tensor.key;
    files.take(key);
    visit(key);
  }
}

}  // namespace

std::vector<std::string> prefixes_of_known_keys(const lang::KeySpace& space, const Manifest& manifest) {
  const lang::SourceSpec& spec = space.sources.front();
  std::vector<lang::Matcher> below_prefix;
  for (const auto& text : known_keys(space)) {
    Diagnostics ignored;
    if (const auto pattern =
            lang::parse_pattern(std::string("**") + spec.separator + text, {space.text}, space.tables, ignored))
      below_prefix.emplace_back(*pattern, lang::VariantValues{});
  }
  std::set<std::string> found = {""};
  lang::Captures captures;
  each_key_in_file(space, manifest, [&](std::string_view key) {
    for (const auto& matcher : below_prefix)
      if (found.size() < kMostPrefixes && matcher.match(key, captures)) found.insert(captures.rests.front());
  });
  for (const auto& root : spec.roots) found.erase(root);
  std::vector<std::string> prefixes(found.begin(), found.end());
  std::stable_sort(prefixes.begin(), prefixes.end(),
                   [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
  return prefixes;
}

bool holds_all_keys(const std::string& prefix, const lang::KeySpace& space, const Manifest& manifest) {
  const lang::SourceSpec& spec = space.sources.front();
  std::string common;  // the longest
  for (const std::string& root : spec.roots)
    for (size_t end = 0; end != std::string::npos && end < prefix.size();) {
      end = std::min(prefix.find(spec.separator, end + 1), prefix.size());
      const std::string part = prefix.substr(0, end);
      if (part != root && !below(root, part, spec.separator)) break;
      if (part.size() > common.size()) common = part;
    }
  bool all = true;
  each_key_in_file(space, manifest, [&](std::string_view key) {
    all = all && (!below(key, common, spec.separator) || below(key, prefix, spec.separator));
  });
  return all;
}

const SourceKey* KeyTable::find(size_t source, std::string_view key) const {
  const auto it = lower_bound(source, key);
  return it != keys_[source].end() && it->key == key ? &*it : nullptr;
}

}  // namespace remap::layout
