#include "plan/rule_notes.h"

namespace remap::plan {
namespace {

std::string note_text(const lang::Template& value, layout::CheckpointScope& scope) {
  const auto text = lang::instantiate(value, scope);
  if (!text) return "";
  return text->is_string() ? text->get<std::string>() : text->dump();
}

}  // namespace

void add_notes(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  for (const lang::Note& note : input.rules.notes) {
    try {
      if (!lang::evaluate_condition(note.condition, scope)) continue;
      diagnostics.add({Severity::note,
                       "plan-note",
                       input.place_of_source(0),
                       note_text(note.text, scope),
                       {},
                       note.hint ? note_text(*note.hint, scope) : ""});
    } catch (const Error& error) {
      if (!input.stays_open(error)) diagnostics.add(error.diagnostic());
    }
  }
}

}  // namespace remap::plan
