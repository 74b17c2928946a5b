#include "plan/load_rules.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "lang/built_in.h"
#include "lang/rule_head.h"
#include "layout/checkpoint_scope.h"
#include "plan/config_layers.h"
#include "plan/roots.h"
#include "tensor/source_formats.h"

namespace remap {
namespace fs = std::filesystem;
namespace {

using Text = std::shared_ptr<const lang::SourceText>;

Text built_in_text(const std::vector<BuiltInFile>& files, std::string_view name) {
  for (const auto& file : files)
    if (file.name == name) return std::make_shared<lang::SourceText>(std::string(file.path), std::string(file.text));
  return nullptr;
}

Text file_text(const std::string& path, const Limits& limits) {
  return std::make_shared<lang::SourceText>(path, read_text_file(path, limits.max_index_bytes));
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
        !entry.path().filename().string().ends_with(".schema.yaml"))
      names.push_back(entry.path().stem().string());
  if (error)
    throw Error("io-read", BytePlace{folder, {}, {}},
                fmt::format("the folder of rule files cannot be listed: {}", error.message()),
                "correct --rules-dir or REMAP_RULES_DIR");
  std::sort(names.begin(), names.end());
  return names;
}

// Whether a rule file is about the family, as its line 'family: NAME' says.
bool is_about(std::string_view text, const std::string& family) {
  return text.find("\nfamily: " + family + "\n") != std::string_view::npos;
}

// A rule file's name, or the family it is about; the user's folders come first.
Text find_by_name(const std::string& name, const std::vector<std::string>& folders, const Limits& limits) {
  std::vector<Text> all;
  for (const auto& folder : folders)
    for (const auto& file : names_in(folder)) {
      all.push_back(file_text((fs::path(folder) / (file + ".yaml")).string(), limits));
      if (file == name) return all.back();
    }
  if (Text text = built_in_text(lang::built_in_rules(), name)) return text;
  for (const Text& text : all)
    if (is_about(text->text(), name)) return text;
  for (const auto& file : lang::built_in_rules())
    if (is_about(file.text, name)) return built_in_text(lang::built_in_rules(), file.name);
  return nullptr;
}

Text find_rules(const std::string& name, const std::vector<std::string>& folders, const Limits& limits,
                Diagnostics& diagnostics) {
  std::error_code ignored;
  if (fs::exists(name, ignored) && !fs::is_directory(name, ignored)) {
    Text text = file_text(name, limits);
    const std::string_view begin = std::string_view(text->text()).substr(0, 4096);
    if (begin.find('\0') == std::string_view::npos) return text;
    diagnostics.error(
        "rules-not-found", BytePlace{name, {}, {}}, "this is not text, so it is not a rule file",
        fmt::format("if it is the checkpoint, give it without --rules: remap [--rules RULES] {} -o OUT", name));
    return nullptr;
  }
  if (Text text = find_by_name(name, folders, limits)) return text;
  if (fs::is_directory(name, ignored)) {
    diagnostics.error(
        "rules-not-found", BytePlace{name, {}, {}}, "this is a folder, not a rule file",
        fmt::format("if it is the checkpoint, give it without --rules: remap [--rules RULES] {} -o OUT", name));
    return nullptr;
  }
  const auto names = Rules::known(folders);
  std::string near = nearest_name(name, names);
  if (near.empty()) near = nearest_path(name);
  if (near.empty())
    near = nearest_name(fs::path(name).stem().string(), names);  // "rules/x.yaml", where no such folder is
  diagnostics.error("rules-not-found", {}, fmt::format("'{}' is neither a file nor a known rule file", name),
                    did_you_mean(near, fmt::format("known: {}", join(names, ", "))));
  return nullptr;
}

// Beside the rules, in the schemas folder next to theirs, or built in. The rule file gives a name, never a path.
Text find_companion(const std::string& beside, const std::string& name, const std::string& rules_file,
                    const Limits& limits) {
  const fs::path folder = fs::path(rules_file).parent_path();
  std::error_code ignored;
  for (const fs::path& candidate : {folder / beside, folder / ".." / "schemas" / (name + ".yaml")})
    if (fs::is_regular_file(candidate, ignored)) return file_text(candidate.lexically_normal().string(), limits);
  return built_in_text(lang::built_in_schemas(), name);
}

// The nearest of the files that are built in, or what to do.
std::string not_found_hint(const std::string& name, const std::string& suffix, const std::string& otherwise) {
  std::vector<std::string> names;
  for (const auto& file : lang::built_in_schemas())
    if (file.name.ends_with(suffix) && (!suffix.empty() || file.name.find('.') == std::string_view::npos))
      names.emplace_back(file.name.substr(0, file.name.size() - suffix.size()));
  return did_you_mean(name, names, otherwise);
}

// "'model.model' or the top"; "" for the whole checkpoint.
std::string roots_text(const std::vector<std::string>& roots) {
  if (roots.size() == 1 && roots.front().empty()) return "";
  std::vector<std::string> texts;
  for (const auto& root : roots) texts.push_back(root.empty() ? "the top" : "'" + root + "'");
  return join(texts, " or ");
}

}  // namespace

std::optional<Rules> Rules::load(const std::string& name, Diagnostics& diagnostics,
                                 const std::vector<std::string>& folders, const Limits& limits) {
  return load(name, diagnostics, folders, limits, false);
}
std::optional<Rules> Rules::load_to_plan(const std::string& name, Diagnostics& diagnostics,
                                         const std::vector<std::string>& folders, const Limits& limits) {
  return load(name, diagnostics, folders, limits, true);
}

std::optional<Rules> Rules::load(const std::string& name, Diagnostics& diagnostics,
                                 const std::vector<std::string>& folders, const Limits& limits,
                                 bool leave_unknown_names) {
  const Text text = find_rules(name, folders, limits, diagnostics);
  if (!text) return std::nullopt;
  auto impl = std::make_shared<Impl>();
  auto set = lang::parse_rules(text, diagnostics, leave_unknown_names);
  if (!set) return std::nullopt;
  impl->set = std::move(*set);
  const auto refused = [&] {
    for (const auto& d : impl->set.unknown_names) diagnostics.add(d);  // nobody will plan with them
    return std::nullopt;
  };
  if (!impl->set.schema.empty()) {
    const Text schema = find_companion(impl->set.schema + ".schema.yaml", impl->set.schema, text->file(), limits);
    if (!schema) {
      diagnostics.error("schema-not-found", impl->set.schema_place,
                        fmt::format("there is no target schema '{}'", impl->set.schema),
                        not_found_hint(impl->set.schema, "",
                                       "put it beside the rules as NAME.schema.yaml, or into ../schemas/NAME.yaml"));
      return refused();
    }
    impl->schema = lang::parse_schema(schema, diagnostics);
    if (!impl->schema) return refused();
  }
  plan::check_templates(impl->set, impl->schema, diagnostics);
  if (diagnostics.has_errors()) return refused();
  for (const auto& [wanted, place, model] :
       {std::tuple{impl->set.verify_source, impl->set.verify_source_place, &impl->source_model},
        std::tuple{impl->set.verify_target, impl->set.verify_target_place, &impl->target_model}}) {
    if (wanted.empty()) continue;
    *model = find_companion(wanted + ".model.yaml", wanted + ".model", text->file(), limits);
    if (!*model) {
      diagnostics.error(
          "model-not-found", place, fmt::format("there is no forward pass '{}'", wanted),
          not_found_hint(wanted, ".model", "put it beside the rules as NAME.model.yaml, or into ../schemas"));
      return refused();
    }
  }
  return of(std::move(impl));
}

std::optional<Rules> plan::load_head(const std::string& name, const std::vector<std::string>& folders) {
  std::error_code ignored;
  for (const fs::path folder : folders)
    if (fs::exists(folder / (name + ".yaml"), ignored)) return std::nullopt;
  const Text text = built_in_text(lang::built_in_rules(), name);
  if (!text) return std::nullopt;
  for (const bool with_names : {false, true}) {
    Diagnostics diagnostics;
    const auto head = std::make_shared<lang::SourceText>(text->file(), lang::head_of(text->text(), with_names));
    auto set = lang::parse_rules(head, diagnostics, true);
    if (!set || (!with_names && (!set->recognise || !set->unknown_names.empty()))) continue;
    auto impl = std::make_shared<Rules::Impl>();
    impl->set = std::move(*set);
    return Rules::of(std::move(impl));
  }
  return std::nullopt;
}

Rules Rules::of(std::shared_ptr<const Impl> impl) {
  Rules rules;
  rules.impl_ = std::move(impl);
  return rules;
}

std::vector<std::string> Rules::known(const std::vector<std::string>& folders) {
  std::set<std::string> names;
  for (const auto& file : lang::built_in_rules()) names.emplace(file.name);
  for (const auto& folder : folders)
    for (const auto& name : names_in(folder)) names.insert(name);
  return {names.begin(), names.end()};
}

std::string Rules::file() const { return impl_->set.text->file(); }
std::string Rules::text() const { return impl_->set.text->text(); }
std::string Rules::library() const { return impl_->schema ? impl_->schema->library : ""; }
std::string Rules::family() const { return impl_->set.family; }
std::string Rules::title() const { return impl_->set.title; }
size_t Rules::rule_count() const { return impl_->set.rules.size(); }

std::vector<std::string> Rules::architectures() const {
  std::vector<std::string> names;
  if (impl_->schema)
    for (const auto& [name, tensors] : impl_->schema->architectures) names.push_back(name);
  return names;
}

std::vector<Rules::Need> Rules::sources() const {
  std::vector<Need> needs;
  for (const auto& spec : impl_->set.sources)
    needs.push_back(
        {spec.name, spec.format, roots_text(spec.roots), spec.doc, false, "", spec.files ? spec.files->text : ""});
  for (const auto& spec : impl_->set.documents)
    needs.push_back({spec.name, spec.format, "", spec.doc, true, spec.beside, ""});
  return needs;
}

std::vector<Rules::Choice> Rules::variants() const {
  std::vector<Choice> choices;
  for (const auto& variant : impl_->set.variants) choices.push_back({variant.name, variant.doc});
  for (const auto& choice : lang::choice_table())
    if (choice.name == "replicas" || choice.name == "twins" || choice.name == "waive")
      if (choice.applies(impl_->set)) choices.push_back({std::string(choice.name), std::string(choice.doc)});
  return choices;
}

std::string Rules::subtree(size_t source) const {
  const auto& sources = impl_->set.sources;
  return source < sources.size() && sources[source].roots.size() == 1 ? sources[source].roots.front() : "";
}

OpenOptions Rules::open_options(size_t source) const {
  OpenOptions options{{}, subtree(source), {}};
  const auto& sources = impl_->set.sources;
  if (source < sources.size() && sources[source].files)
    options.is_part = [matcher = lang::Matcher(*sources[source].files, {})](const std::string& name) {
      lang::Captures captures;
      return matcher.match(name, captures);
    };
  return options;
}

bool Rules::reads(const Source& source, std::string& why) const {
  const std::string& wanted = impl_->set.sources.front().format;
  const std::string format = format_of(source);
  if (wanted.empty() || format.empty() || format == wanted) return true;
  why = fmt::format("it reads {} checkpoints; this is {}", wanted, format);
  return false;
}

bool Rules::recognise(const Source& source, std::string& why) const {
  const lang::RuleSet& set = impl_->set;
  if (!reads(source, why)) return false;
  if (!set.recognise) {
    why = "it does not say what it recognises";
    return false;
  }
  Diagnostics diagnostics;
  const std::vector<NamedSource> sources = {{"", &source}};
  const layout::KeyTable keys(set, sources, diagnostics);
  if (diagnostics.has_errors()) {
    why = diagnostics.items().front().message;
    return false;
  }
  const PlanOptions options;
  layout::CheckpointScope scope(set, keys, sources, options);
  try {
    if (lang::evaluate_condition(*set.recognise, scope)) return true;
    why = fmt::format("not: {}", set.recognise->text);
  } catch (const Error& e) {
    why = e.diagnostic().message;
  }
  return false;
}

bool Rules::recognise_elsewhere(const Source& source) const {
  std::string ignored;
  if (!reads(source, ignored)) return false;
  const auto found = plan::other_roots(impl_->set, {"", &source});
  return found.all || !found.parts.empty();
}

}  // namespace remap
