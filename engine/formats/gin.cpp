#include "formats/gin.h"

#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "base/json_members.h"
#include "formats/gin_value.h"

namespace remap::formats {
namespace {

struct Binding {
  std::string key;
  Json value;
  size_t position = 0;  // of the value in the text
};

class FileParser {
 public:
  FileParser(std::string_view text, const std::string& file, const Limits& limits)
      : in_(text, file), limits_(limits), file_(file) {}

  void parse() {
    for (in_.skip_empty_lines(); !in_.at_end(); in_.skip_empty_lines()) {
      if (in_.column() != 1) in_.fail("unexpected indentation");
      statement();
    }
  }

  const GinCursor& cursor() const { return in_; }
  std::vector<Binding>& bindings() { return bindings_; }
  const std::unordered_map<std::string, size_t>& index() const { return index_; }
  const std::vector<std::string>& imports() const { return imports_; }
  std::vector<std::string>& remarks() { return remarks_; }

 private:
  void statement() {
    const size_t begin = in_.position();
    const std::string name = parse_gin_selector(in_);
    if (name.empty()) in_.fail(fmt::format("{} where a binding was expected", in_.describe()));
    const bool more_words = in_.peek() == ' ' || in_.peek() == '\t';
    in_.skip_blanks(false);
    const bool assigned = in_.peek() == '=' || in_.peek() == ':';
    if (!assigned && more_words && (name == "import" || name == "from")) return import(begin);
    if (!assigned && name == "include") return include(begin);
    if (in_.peek() == ':') return block(name);
    binding(name);
  }

  void binding(const std::string& key) {
    if (in_.peek() != '=') in_.fail(fmt::format("{} where '=' was expected", in_.describe()));
    in_.skip(1);
    in_.skip_blanks(false);
    const size_t position = in_.position();
    Json value = parse_gin_value(in_, limits_, n_nodes_);
    in_.expect_line_end();
    const auto [it, fresh] = index_.emplace(key, bindings_.size());
    if (fresh)
      bindings_.push_back({key, std::move(value), position});
    else
      bindings_[it->second] = {key, std::move(value), position};
  }

  void block(const std::string& name) {
    in_.skip(1);
    in_.expect_line_end();
    size_t indentation = 0;
    for (in_.skip_empty_lines(); !in_.at_end() && in_.column() > 1; in_.skip_empty_lines()) {
      if (indentation == 0) indentation = in_.column();
      if (in_.column() != indentation) in_.fail("the indentation differs from that of the block's first line");
      const std::string parameter = parse_gin_selector(in_);
      if (parameter.empty()) in_.fail(fmt::format("{} where a parameter's name was expected", in_.describe()));
      in_.skip_blanks(false);
      binding(fmt::format("{}.{}", name, parameter));
    }
    if (indentation == 0) in_.fail(fmt::format("the block '{}' has no parameters", name));
  }

  // Kept as written, with single blanks.
  void import(size_t begin) {
    while (is_word(in_.peek()) || in_.peek() == '.' || in_.peek() == ' ' || in_.peek() == '\t') in_.skip(1);
    std::string text;
    for (const char c : in_.since(begin)) {
      const bool blank = c == ' ' || c == '\t';
      if (!blank) text += c;
      if (blank && !text.ends_with(' ')) text += ' ';
    }
    while (text.ends_with(' ')) text.pop_back();
    in_.expect_line_end();
    imports_.push_back(text);
  }

  void include(size_t begin) {
    const Json name = parse_gin_value(in_, limits_, n_nodes_);
    if (!name.is_string()) in_.fail_at(begin, "include is followed by something other than a file's name");
    in_.expect_line_end();
    remarks_.push_back(fmt::format("{}:{}: include '{}' is not followed", file_, in_.place(begin).line,
                                   name.get_ref<const std::string&>()));
  }

  GinCursor in_;
  const Limits& limits_;
  uint64_t n_nodes_ = 0;
  const std::string& file_;
  std::vector<Binding> bindings_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::string> imports_;
  std::vector<std::string> remarks_;
};

// Replaces macros by their values. A macro that names another is resolved once; the total size is bounded, because a
// few lines can describe a value of any size.
class MacroResolver {
 public:
  MacroResolver(FileParser& file, const Limits& limits)
      : file_(file), limits_(limits), states_(file.bindings().size(), State::open) {}

  void run() {
    for (size_t i = 0; i < states_.size(); ++i) resolve(i, 0);
  }

 private:
  enum class State : uint8_t { open, busy, done };

  void resolve(size_t i, int depth) {
    if (states_[i] == State::done) return;
    states_[i] = State::busy;
    substitute(file_.bindings()[i].value, i, depth);
    states_[i] = State::done;
  }

  void substitute(Json& value, size_t owner, int depth) {
    check_limits(owner, depth);
    if (value.is_object() && value.size() == 1 && value.begin().key() == "$macro" && value.begin()->is_string()) {
      const auto it = file_.index().find(value.begin()->get<std::string>());
      if (it == file_.index().end()) return;  // a constant of some module
      if (states_[it->second] == State::busy)
        throw Error("gin-macro-cycle", file_.cursor().place(file_.bindings()[owner].position),
                    fmt::format("the macro '%{}' is defined by itself", it->first));
      resolve(it->second, depth + 1);
      const Json& resolved = file_.bindings()[it->second].value;
      count(resolved, owner, depth);
      value = resolved;
      return;
    }
    if (value.is_structured())
      for (Json& item : value) substitute(item, owner, depth + 1);
  }

  // Before a copy is made of `value`, `depth` levels down in the value of `owner`.
  void count(const Json& value, size_t owner, int depth) {
    check_limits(owner, depth);
    if (value.is_structured())
      for (const Json& item : value) count(item, owner, depth + 1);
  }

  void check_limits(size_t owner, int depth) {
    const auto refuse = [&](std::string_view name) {
      throw Error("limit-exceeded", file_.cursor().place(file_.bindings()[owner].position),
                  fmt::format("the value of '{}', with its macros resolved, is too large ({})",
                              file_.bindings()[owner].key, name));
    };
    if (++n_nodes_ > limits_.max_metadata_nodes) refuse("max_metadata_nodes");
    if (depth > limits_.max_metadata_depth) refuse("max_metadata_depth");
  }

  FileParser& file_;
  const Limits& limits_;
  std::vector<State> states_;
  uint64_t n_nodes_ = 0;
};

}  // namespace

GinConfig parse_gin(std::string_view text, const std::string& file, const Limits& limits) {
  if (!is_utf8(text)) throw Error("gin-syntax", BytePlace{file, {}, {}}, "the file is not UTF-8 text");
  FileParser parser(text, file, limits);
  parser.parse();
  MacroResolver(parser, limits).run();
  GinConfig config;
  auto& values = config.values.get_ref<Json::object_t&>();
  if (!parser.imports().empty()) append_member(values, "$imports", parser.imports());
  for (Binding& binding : parser.bindings()) append_member(values, binding.key, std::move(binding.value));
  config.remarks = std::move(parser.remarks());
  return config;
}

}  // namespace remap::formats
