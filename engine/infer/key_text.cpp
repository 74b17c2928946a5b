#include "infer/key_text.h"

#include <algorithm>
#include <map>

#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

bool is_border(char c) { return is_separator(c) || c == '_'; }

}  // namespace

namespace {

// What stands at the end, or at the begin, of a text that may be a form: '\0' if something varies there.
char last_of(const std::string& text) { return text.empty() ? '\0' : text.back(); }
char last_of(const KeyForm& form) { return form.empty() ? '\0' : form.char_at(form.size() - 1); }
char first_of(const std::string& text) { return text.empty() ? '\0' : text.front(); }
char first_of(const KeyForm& form) { return form.char_at(0); }

template <typename Text>
void take_apart(std::string_view text, NumbersApart<Text>& result) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    const bool digits = is_digit(text[i]);
    while (end < text.size() && is_digit(text[end]) == digits) ++end;
    const std::string_view run = text.substr(i, end - i);
    if (!digits || (run.size() > 1 && run[0] == '0') || run.size() > 9) {
      result.texts.back() += run;
    } else {
      result.numbers.emplace_back(run);
      result.texts.emplace_back();
    }
    i = end;
  }
}

}  // namespace

Numbered numbered(std::string_view key) {
  Numbered result{{""}, {}};
  take_apart(key, result);
  return result;
}

NumberedForm numbered(const KeyForm& form) {
  NumberedForm result{{KeyForm()}, {}};
  size_t at = 0;
  for (const auto& token : form.tokens()) {
    if (token.kind == KeyToken::Kind::text) {
      take_apart(token.text, result);
      at += token.text.size();
    } else {
      result.texts.back() += form.substr(at++, 1);
    }
  }
  return result;
}

template <typename Text>
Text NumbersApart<Text>::joined() const {
  Text whole = texts[0];
  for (size_t c = 0; c < numbers.size(); ++c) {
    whole += numbers[c];
    whole += texts[c + 1];
  }
  return whole;
}

template <typename Text>
KeyForm NumbersApart<Text>::shape() const {
  return prefix(numbers.size());
}

template <typename Text>
KeyForm NumbersApart<Text>::prefix(size_t column) const {
  KeyForm form = KeyForm() + texts[0];
  for (size_t c = 0; c < column; ++c) {
    form += KeyForm::number();
    form += texts[c + 1];
  }
  return form;
}

template <typename Text>
KeyForm NumbersApart<Text>::with_open(size_t column) const {
  KeyForm form = KeyForm() + texts[0];
  for (size_t c = 0; c < numbers.size(); ++c) {
    if (c == column)
      form += KeyForm::word();
    else
      form += numbers[c];
    form += texts[c + 1];
  }
  return form;
}

template struct NumbersApart<std::string>;
template struct NumbersApart<KeyForm>;

std::set<KeyForm> counted_prefixes(const std::vector<std::string>& keys) {
  std::map<KeyForm, std::set<int64_t>> seen;
  for (const auto& text : keys) {
    const Numbered key = numbered(text);
    for (size_t c = 0; c < key.numbers.size(); ++c) {
      const std::string &before = key.texts[c], &after = key.texts[c + 1];
      const bool whole =
          (before.empty() ? c == 0 : is_border(before.back())) && (after.empty() || is_separator(after[0]));
      if (whole) seen[key.prefix(c)].insert(std::stoll(key.numbers[c]));
    }
  }
  std::set<KeyForm> counted;
  for (const auto& [prefix, numbers] : seen)
    if (numbers.size() > 1 && *numbers.rbegin() + 1 == static_cast<int64_t>(numbers.size())) counted.insert(prefix);
  return counted;
}

std::string parent_of(std::string_view key) {
  const size_t cut = key.find_last_of("./");
  return cut == std::string_view::npos ? "" : std::string(key.substr(0, cut));
}

std::optional<InFile> in_file(const std::string& key) {
  const size_t slash = key.find('/');
  const size_t dot = slash == std::string::npos ? slash : key.rfind('.', slash);
  if (dot == std::string::npos || !is_checkpoint_ending(key.substr(dot, slash - dot))) return std::nullopt;
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

namespace {

template <typename Text>
std::optional<PlaceIn<Text>> counting_place_in(const std::vector<Text>& keys) {
  std::vector<NumbersApart<Text>> all;
  for (const auto& key : keys) all.push_back(numbered(key));
  const auto& first = all.front();
  for (size_t column = 0; column < first.numbers.size(); ++column) {
    const auto begin = std::stoll(first.numbers[column]);
    const Text &before = first.texts[column], &after = first.texts[column + 1];
    const bool alone = (before.empty() || is_border(last_of(before))) && (after.empty() || is_border(first_of(after)));
    if (begin != 0 && (!alone || keys.size() < 2)) continue;
    const bool counts = std::all_of(all.begin(), all.end(), [&](const auto& one) {
      if (one.texts != first.texts || one.numbers[column] != std::to_string(begin + (&one - all.data()))) return false;
      for (size_t c = 0; c < one.numbers.size(); ++c)
        if (c != column && one.numbers[c] != first.numbers[c]) return false;
      return true;
    });
    if (!counts) continue;
    PlaceIn<Text> place;
    for (size_t i = 0; i < first.texts.size(); ++i) {
      Text& side = i <= column ? place.before : place.after;
      side += first.texts[i];
      if (i < first.numbers.size() && i != column) side += first.numbers[i];
    }
    for (const auto& one : all) place.names.push_back(one.numbers[column]);
    return place;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Place> counting_place(const std::vector<std::string>& keys) { return counting_place_in(keys); }
std::optional<FormPlace> counting_place(const std::vector<KeyForm>& forms) { return counting_place_in(forms); }

bool can_be_written(const std::string& key) {
  const auto is_special = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '*' || c == '{' || c == '}' || c == '\\';
  };
  return !key.empty() && std::none_of(key.begin(), key.end(), is_special) && key.find("${") == std::string::npos &&
         !key.starts_with("re:");
}

}  // namespace remap::infer
