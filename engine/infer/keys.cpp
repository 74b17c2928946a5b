#include "infer/keys.h"

#include <algorithm>
#include <set>

namespace remap::infer {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_border(char c) { return is_separator(c) || c == '_'; }

}  // namespace

bool is_separator(char c) { return c == '.' || c == '/'; }

Numbered numbered(std::string_view key) {
  Numbered result{{""}, {}};
  for (size_t i = 0; i < key.size();) {
    size_t end = i;
    while (end < key.size() && is_digit(key[end])) ++end;
    if (end == i) {
      result.texts.back() += key[i++];
      continue;
    }
    const std::string_view run = key.substr(i, end - i);
    if ((run.size() > 1 && run[0] == '0') || run.size() > 9) {
      result.texts.back() += run;
    } else {
      result.numbers.emplace_back(run);
      result.texts.emplace_back();
    }
    i = end;
  }
  return result;
}

std::string Numbered::shape() const {
  std::string text = texts[0];
  for (size_t i = 1; i < texts.size(); ++i) text += '#' + texts[i];
  return text;
}

std::vector<std::string> segments_of(std::string_view key) {
  std::vector<std::string> segments = {""};
  for (const char c : key) {
    if (is_separator(c))
      segments.emplace_back();
    else
      segments.back() += c;
  }
  return segments;
}

std::string parent_of(std::string_view key) {
  const size_t cut = key.find_last_of("./");
  return cut == std::string_view::npos ? "" : std::string(key.substr(0, cut));
}

std::optional<InFile> in_file(const std::string& key) {
  const size_t slash = key.find('/');
  const size_t dot = slash == std::string::npos ? slash : key.rfind('.', slash);
  static const std::set<std::string> kEndings = {".pt", ".pth", ".bin", ".pkl", ".safetensors"};
  if (dot == std::string::npos || !kEndings.contains(key.substr(dot, slash - dot))) return std::nullopt;
  size_t end = dot;
  while (end > 0 && !is_digit(key[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && is_digit(key[begin - 1])) --begin;
  if (begin == end) return std::nullopt;
  return InFile{key.substr(0, begin), key.substr(begin, end - begin), key.substr(end, slash - end),
                key.substr(slash + 1)};
}

std::optional<Place> differing_place(const std::vector<std::string>& keys) {
  if (keys.size() < 2 || std::set<std::string>(keys.begin(), keys.end()).size() != keys.size()) return std::nullopt;
  const std::string& first = keys.front();
  size_t before = first.size(), after = first.size();
  for (const auto& key : keys) {
    before = std::min(
        before,
        static_cast<size_t>(std::mismatch(first.begin(),
                                          first.begin() + static_cast<std::ptrdiff_t>(std::min(before, key.size())),
                                          key.begin())
                                .first -
                            first.begin()));
    size_t n = 0;
    while (n < std::min(after, key.size()) && first[first.size() - 1 - n] == key[key.size() - 1 - n]) ++n;
    after = n;
  }
  while (before > 0 && !is_border(first[before - 1])) --before;
  const auto fits = [&](size_t n) {
    return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return key.size() > before + n; });
  };
  const auto at_border = [&](size_t n) { return n == 0 || is_border(first[first.size() - n]); };
  while (after > 0 && !(at_border(after) && fits(after))) --after;
  if (!fits(after)) return std::nullopt;
  Place place{first.substr(0, before), first.substr(first.size() - after), {}};
  for (const auto& key : keys) place.names.push_back(key.substr(before, key.size() - before - after));
  return place;
}

std::optional<Place> counting_place(const std::vector<std::string>& keys) {
  std::vector<Numbered> all;
  for (const auto& key : keys) all.push_back(numbered(key));
  const Numbered& first = all.front();
  for (size_t column = 0; column < first.numbers.size(); ++column) {
    const auto begin = std::stoll(first.numbers[column]);
    const std::string &before = first.texts[column], &after = first.texts[column + 1];
    const bool alone = (before.empty() || is_border(before.back())) && (after.empty() || is_border(after.front()));
    if (begin != 0 && (!alone || keys.size() < 2)) continue;
    const bool counts = std::all_of(all.begin(), all.end(), [&](const Numbered& one) {
      if (one.texts != first.texts || one.numbers[column] != std::to_string(begin + (&one - all.data()))) return false;
      for (size_t c = 0; c < one.numbers.size(); ++c)
        if (c != column && one.numbers[c] != first.numbers[c]) return false;
      return true;
    });
    if (!counts) continue;
    Place place;
    for (size_t i = 0; i < first.texts.size(); ++i) {
      std::string& side = i <= column ? place.before : place.after;
      side += first.texts[i];
      if (i < first.numbers.size() && i != column) side += first.numbers[i];
    }
    for (const auto& one : all) place.names.push_back(one.numbers[column]);
    return place;
  }
  return std::nullopt;
}

}  // namespace remap::infer
