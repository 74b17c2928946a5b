// `remap doctor FILE`: what is this, what can remap do with it, and what is the next command?
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "remap/report.h"
#include "remap/text.h"
#include "remap/verify.h"

namespace cli {
namespace {

// As a shell takes it, and no program for an option.
std::string word(const std::string& given) {
  const std::string path = given.starts_with('-') ? "./" + given : given;
  const bool plain = !path.empty() && std::all_of(path.begin(), path.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("/._-+=,:@%").find(c) != std::string_view::npos;
  });
  if (plain) return path;
  std::string quoted;
  if (remap::printable(path) != path) {  // $'…' knows the same escapes as what is printed
    for (const char c : path) quoted += c == '\'' || c == '\\' ? std::string{'\\', c} : remap::printable({&c, 1});
    return "$'" + quoted + "'";
  }
  for (const char c : path) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + quoted + "'";
}

std::string words(const Options& options) {
  std::string all;
  for (const auto& input : options.inputs) all += (all.empty() ? "" : " ") + word(input);
  for (const auto& one : options.set) all += " --set " + word(one);
  for (const auto& one : options.rules_dirs) all += " --rules-dir " + word(one);
  for (const auto& one : options.limits) all += " --limit " + word(one);
  if (!options.config.empty()) all += " --config " + word(options.config);
  if (!options.rules.empty()) all = "--rules " + word(options.rules) + " " + all;
  return all;
}

std::string output_for(const std::string& path) {
  const std::filesystem::path given(path);
  const std::string name = (given.has_filename() ? given : given.parent_path()).stem().string();
  return (name.empty() || name == "." || name == ".." ? "model" : name) + "-converted";
}

void say(const char* what, const std::string& text) { fmt::print("{:9}{}\n", what, text); }

void say_all(const char* what, const std::vector<std::string>& lines) {
  for (const auto& line : lines) say(&line == &lines.front() ? what : "", line);
}

}  // namespace

int doctor(const Options& options) {
  const std::string path = options.inputs.front();
  Progress progress(options.quiet, "opening");
  const auto source = open_whole(path, options);
  uint64_t bytes = 0;
  std::set<std::string> counted;  // tensors that are tied are there once
  for (const auto& tensor : source->manifest().tensors())
    if (tensor.alias.empty() || counted.insert(tensor.alias).second) bytes += static_cast<uint64_t>(data_bytes(tensor));
  progress.end();
  say("this is", fmt::format("{}: {}, {}, {}{}", remap::printable(path), source->format(),
                             remap::count_text(source->manifest().size(), "tensor"), remap::human_bytes(bytes),
                             source->has_data() ? "" : "; a list of them, without their data"));
  std::fflush(stdout);
  progress.begin("planning");
  remap::Diagnostics found;
  const auto planned = open_and_plan(options, found);
  progress.end();
  const std::string all = words(options);
  if (planned) {
    say("rules", fmt::format("{} ({}){}", planned->plan.family, planned->rules.file(),
                             planned->plan.title.empty() ? "" : ": " + planned->plan.title));
    say("gives", fmt::format("{}: {}", planned->plan.architecture.empty() ? "tensors" : planned->plan.architecture,
                             remap::summary(planned->plan)));
    std::vector<std::string> next;
    if (source->has_data()) next.push_back(fmt::format("remap {} -o {}", all, word(output_for(path))));
    next.push_back(fmt::format("remap plan {} --format html > plan.html", all));
    if (source->has_data() && remap::names_forward_passes(planned->rules))
      next.push_back(fmt::format("remap verify {} --target {}", all, word(output_for(path))));
    say_all("next", next);
    print(found, options);
    return kDone;
  }
  const bool unknown =
      std::any_of(found.items().begin(), found.items().end(), [](const auto& d) { return d.id == "family-unknown"; });
  if (unknown) {
    say("rules", "none that are known recognise it; the reasons:");
    for (const auto& d : found.items())
      for (const auto& note : d.notes) say("", remap::printable(note));
    for (const auto& d : found.items())
      if (d.id == "family-unknown") say("hint", d.hint);
    say_all("next",
            {fmt::format("remap inspect {}", word(path)),
             fmt::format("remap infer {} --target CONVERTED -o rules/mine.yaml    if you have it in both layouts",
                         word(path)),
             fmt::format("remap plan --rules RULES {}    if you have a rule file for it", word(path))});
    return kFound;
  }
  say("rules", "a family is recognised, but there is no plan yet:");
  print(found, options);
  std::vector<std::string> next;
  for (const auto& d : found.items())
    if (d.severity == remap::Severity::error && next.empty())
      next = {fmt::format("remap explain {}    what that means, with an example and its mend", d.id)};
  say_all("next", next);
  return kFound;
}

}  // namespace cli
