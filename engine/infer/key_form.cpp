#include "infer/key_form.h"

#include <algorithm>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

using Kind = KeyToken::Kind;

size_t size_of(const KeyToken& token) { return token.kind == Kind::text ? token.text.size() : 1; }

}  // namespace

KeyForm KeyForm::one(KeyToken token) {
  KeyForm form;
  form.tokens_.push_back(std::move(token));
  return form;
}

void KeyForm::push(KeyToken token) {
  if (token.kind != Kind::text)
    tokens_.push_back(std::move(token));
  else
    *this += std::string_view(token.text);
}

KeyForm& KeyForm::operator+=(std::string_view text) {
  if (text.empty()) return *this;
  if (tokens_.empty() || tokens_.back().kind != Kind::text) tokens_.push_back({Kind::text});
  tokens_.back().text += text;
  return *this;
}

KeyForm& KeyForm::operator+=(const KeyForm& other) {
  if (&other == this) return *this += KeyForm(other);
  for (const auto& token : other.tokens_) push(token);
  return *this;
}

size_t KeyForm::size() const {
  size_t size = 0;
  for (const auto& token : tokens_) size += size_of(token);
  return size;
}

char KeyForm::char_at(size_t position) const {
  for (const auto& token : tokens_) {
    if (position < size_of(token)) return token.kind == Kind::text ? token.text[position] : '\0';
    position -= size_of(token);
  }
  return '\0';
}

KeyForm KeyForm::substr(size_t begin, size_t count) const {
  KeyForm form;
  for (const auto& token : tokens_) {
    const size_t size = size_of(token);
    if (count == 0) break;
    if (begin >= size) {
      begin -= size;
      continue;
    }
    const size_t taken = std::min(size - begin, count);
    if (token.kind == Kind::text)
      form += std::string_view(token.text).substr(begin, taken);
    else
      form.push(token);
    if (count != npos) count -= taken;
    begin = 0;
  }
  return form;
}

bool KeyForm::ends_with(const KeyForm& other) const {
  const size_t own = size(), wanted = other.size();
  return wanted <= own && substr(own - wanted) == other;
}

std::vector<size_t> KeyForm::separators() const {
  std::vector<size_t> positions;
  size_t at = 0;
  for (const auto& token : tokens_) {
    for (size_t i = 0; i < token.text.size(); ++i)
      if (is_separator(token.text[i])) positions.push_back(at + i);
    at += size_of(token);
  }
  return positions;
}

std::vector<KeyForm> KeyForm::segments() const {
  std::vector<KeyForm> segments;
  size_t begin = 0;
  for (const size_t end : separators()) {
    segments.push_back(substr(begin, end - begin));
    begin = end + 1;
  }
  segments.push_back(substr(begin));
  return segments;
}

KeyForm KeyForm::parent() const {
  const auto positions = separators();
  return positions.empty() ? KeyForm() : substr(0, positions.back());
}

std::set<size_t> KeyForm::variables() const {
  std::set<size_t> found;
  for (const auto& token : tokens_)
    if (token.kind == Kind::variable) found.insert(token.variable);
  return found;
}

bool KeyForm::has(KeyToken::Kind kind) const {
  return std::any_of(tokens_.begin(), tokens_.end(), [&](const KeyToken& token) { return token.kind == kind; });
}

std::string KeyForm::leading_text() const {
  return tokens_.empty() || tokens_[0].kind != Kind::text ? "" : tokens_[0].text;
}

std::optional<std::string> KeyForm::text() const {
  if (tokens_.empty()) return "";
  return tokens_.size() == 1 && tokens_[0].kind == Kind::text ? std::optional(tokens_[0].text) : std::nullopt;
}

KeyForm KeyForm::without_rule() const {
  KeyForm form;
  for (const auto& token : tokens_) {
    if (token.kind == Kind::variable || token.kind == Kind::each)
      form += number();
    else if (token.kind == Kind::part)
      form += word();
    else
      form.push(token);
  }
  return form;
}

std::string KeyForm::render(const std::function<std::string(const KeyToken&)>& text_of) const {
  std::string text;
  for (const auto& token : tokens_) text += token.kind == Kind::text ? token.text : text_of(token);
  return text;
}

std::string KeyForm::shown(std::string_view open) const {
  return render([&](const KeyToken&) { return std::string(open); });
}

size_t common_prefix(const KeyForm& a, const KeyForm& b) {
  size_t common = 0;
  for (size_t i = 0; i < std::min(a.tokens().size(), b.tokens().size()); ++i) {
    const KeyToken &x = a.tokens()[i], &y = b.tokens()[i];
    if (x == y) {
      common += size_of(x);
      continue;
    }
    if (x.kind == Kind::text && y.kind == Kind::text) {
      const size_t most = std::min(x.text.size(), y.text.size());
      const auto end = x.text.begin() + static_cast<std::ptrdiff_t>(most);
      common += static_cast<size_t>(std::mismatch(x.text.begin(), end, y.text.begin()).first - x.text.begin());
    }
    break;
  }
  return common;
}

size_t common_suffix(const KeyForm& a, const KeyForm& b) {
  size_t common = 0;
  for (size_t i = 0; i < std::min(a.tokens().size(), b.tokens().size()); ++i) {
    const KeyToken &x = a.tokens()[a.tokens().size() - 1 - i], &y = b.tokens()[b.tokens().size() - 1 - i];
    if (x == y) {
      common += size_of(x);
      continue;
    }
    if (x.kind == Kind::text && y.kind == Kind::text) {
      const size_t most = std::min(x.text.size(), y.text.size());
      const auto end = x.text.rbegin() + static_cast<std::ptrdiff_t>(most);
      common += static_cast<size_t>(std::mismatch(x.text.rbegin(), end, y.text.rbegin()).first - x.text.rbegin());
    }
    break;
  }
  return common;
}

}  // namespace remap::infer
