#include "report/html_page.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/sha256.h"
#include "base/text.h"
#include "report/json_text.h"

namespace remap::report {
namespace {

constexpr auto kReplaceBytes = Json::error_handler_t::replace;
constexpr size_t kMostParts = 32, kMostDepth = 32;  // a page is nested no deeper than that

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// As a Content-Security-Policy names a text that may run: "'sha256-…'".
std::string hash_source(std::string_view text) {
  const std::string hex = sha256(text);
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return "'sha256-" + base64(bytes) + "'";
}

std::string joined(const std::vector<BuiltInFile>& files) {
  std::string text;
  for (const auto& file : files) text += file.text;
  return text;
}

// JSON that no parser of HTML takes for the end of the element that it stands in.
std::string json_in_html(const Json& json) {
  std::string text;
  for (const char c : json.dump(-1, ' ', false, kReplaceBytes)) {
    if (c == '<' || c == '>' || c == '&')
      text += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      text += c;
  }
  return text;
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string html;
  for (const char c : printable(text)) switch (c) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      case '\'': html += "&#39;"; break;
      default: html += c;
    }
  return html;
}

std::string html_page(const std::string& title, const std::string& body, const Json& data) {
  static const std::string style = joined(page_styles()), script = joined(page_scripts());
  static const std::string policy = fmt::format(
      "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; "
      "form-action 'none'",
      hash_source(style), hash_source(script));
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += fmt::format("<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n", policy);
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += "<meta name=\"color-scheme\" content=\"light dark\">\n";
  page += fmt::format("<meta name=\"generator\" content=\"remap {}\">\n<title>{}</title>\n", REMAP_VERSION,
                      html_text(title));
  page += "<style>" + style + "</style>\n</head>\n<body>\n" + body;
  if (!data.is_null()) page += "<script type=\"application/json\" id=\"data\">" + json_in_html(data) + "</script>\n";
  return page + "<script>" + script + "</script>\n</body>\n</html>\n";
}

std::string html_header(const std::string& headline, const std::string& below,
                        const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string html = fmt::format("<header>\n<h1>{}</h1>\n", html_text(headline));
  if (!below.empty()) html += fmt::format("<p class=\"below\">{}</p>\n", html_text(below));
  if (!facts.empty()) {
    html += "<dl class=\"facts\">";
    for (const auto& [name, value] : facts)
      html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", html_text(name), html_text(value));
    html += "</dl>\n";
  }
  return html + "</header>\n";
}

std::string html_tools(const std::string& what, bool trees) {
  std::string html = fmt::format(
      "<div class=\"tools\" role=\"search\" hidden>\n<label for=\"filter\">Filter</label>\n"
      "<input id=\"filter\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"part of a key, a "
      "rule, a shape\">\n<output id=\"count\" for=\"filter\" data-what=\"{}\"></output>\n",
      html_text(what));
  if (trees)
    html +=
        "<button type=\"button\" id=\"open\">Open all</button>\n<button type=\"button\" id=\"close\">Close all"
        "</button>\n";
  return html + "</div>\n";
}

std::string html_left_out(size_t n_tensors, std::string_view which) {
  return n_tensors == 0 ? ""
                        : fmt::format("<p>and {} more{}: <code>--format json</code> lists all</p>\n", n_tensors, which);
}

std::string html_json(const std::string& name, const Json& json, size_t depth) {
  if (!json.is_structured() || json.empty() || depth >= kMostDepth)
    return fmt::format("<li><span class=\"name\">{}</span> <code>{}</code></li>", html_text(name),
                       html_text(one_line(json)));
  std::string html = fmt::format(
      "<li><details><summary><span class=\"name\">{}</span> <span class=\"sum\">{}</span>"
      "</summary><ul>",
      html_text(name), json.size());
  if (json.is_array())
    for (size_t i = 0; i < json.size(); ++i) html += html_json(std::to_string(i), json[i], depth + 1);
  else
    for (const auto& [key, value] : json.items()) html += html_json(key, value, depth + 1);
  return html + "</ul></details></li>\n";
}

std::vector<std::string> key_parts(std::string_view key) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '{') {  // a set of numbers is not cut
      const size_t end = key.find('}', i);
      if (end != std::string_view::npos &&
          key.substr(i + 1, end - i - 1).find_first_not_of("0123456789.,") == std::string_view::npos) {
        parts.back() += key.substr(i, end - i + 1);
        i = end;
        continue;
      }
    }
    parts.back() += key[i];
    const bool separator = key[i] == '.' || key[i] == '/' || key[i] == ':';
    if (separator && i + 1 < key.size() && parts.size() < kMostParts) parts.emplace_back();
  }
  return parts;
}

std::string counted_tensors(uint64_t count, uint64_t bytes) {
  return fmt::format("{}, {}", count_text(count, "tensor"), human_bytes(bytes));
}

void HtmlTree::add(const std::string& key, std::string leaf, std::string classes, std::string data, uint64_t count,
                   uint64_t bytes) {
  auto parts = key_parts(key);
  const std::string name = std::move(parts.back());
  parts.pop_back();
  Branch* branch = &top_;
  branch->count += count, branch->bytes += bytes;
  for (auto& part : parts) {
    const auto [below, fresh] = branch->branches.try_emplace(part);
    if (fresh) branch->order.emplace_back(part, 0);
    branch = &below->second;
    branch->count += count, branch->bytes += bytes;
  }
  branch->order.emplace_back("", branch->leaves.size());
  branch->leaves.push_back({name, std::move(leaf), std::move(classes), std::move(data), count, bytes});
  ++n_lines_;
}

void HtmlTree::write_leaf(const Leaf& leaf, std::string& out) {
  out += fmt::format("<li class=\"leaf {}\"{}><button type=\"button\">{}</button>{}{}</li>\n", leaf.classes, leaf.data,
                     html_text(leaf.name),
                     leaf.count > 1 ? fmt::format(" <span class=\"times\">×{}</span>", leaf.count) : "", leaf.html);
}

void HtmlTree::write_branch(const std::string& name, const Branch& branch, bool open, std::string& out) {
  if (branch.order.size() == 1) {  // one with what is below it
    const auto& [only, index] = branch.order.front();
    if (!only.empty()) return write_branch(name + only, branch.branches.at(only), open, out);
    Leaf leaf = branch.leaves[index];
    leaf.name = name + leaf.name;
    return write_leaf(leaf, out);
  }
  out += fmt::format(
      "<li><details{}><summary><span class=\"name\">{}</span> <span class=\"sum\">{}</span></summary>"
      "<ul>\n",
      open ? " open" : "", html_text(name), counted_tensors(branch.count, branch.bytes));
  write(branch, open, out);
  out += "</ul></details></li>\n";
}

void HtmlTree::write(const Branch& branch, bool open, std::string& out) {
  for (const auto& [name, index] : branch.order)
    if (name.empty())
      write_leaf(branch.leaves[index], out);
    else
      write_branch(name, branch.branches.at(name), open, out);
}

std::string HtmlTree::html(const std::string& label, size_t max_open) const {
  std::string out = fmt::format("<ul class=\"tree\" aria-label=\"{}\">\n", html_text(label));
  write(top_, n_lines_ <= max_open, out);
  return out + "</ul>\n";
}

}  // namespace remap::report
