// Turns values of the library into what a person or a program reads. Deterministic: no times, no paths but those in the
// values.
#pragma once

#include <string>

#include "remap/diagnostic.h"
#include "remap/explain.h"
#include "remap/plan.h"
#include "remap/plan_diff.h"
#include "remap/values.h"
#include "remap/verify.h"

namespace remap {

// "rules/family.yaml:41:5: error[rule-unknown-field]: …", the source line with a caret, notes, and the hint. Ends with
// a newline.
std::string render_text(const Diagnostic& diagnostic);

struct FindingsTextOptions {
  bool full = false;                                                // each finding by itself, nothing cut
  size_t max_lines = 50;                                            // otherwise, whatever is found; at least 4
  std::string way_on = "--full shows all, --format json has them";  // what the last line says if not all is shown
};
// Findings that differ in nothing but names and numbers are one: the first in full, their count, their keys folded
// ("24 in all: layers.{0..11}.{attn,mlp}.weight"). Errors come first, and causes before what follows from them.
std::string render_text(const Diagnostics& diagnostics, const FindingsTextOptions& options = {});

// The same folding for other forms.
struct FoldedFinding {
  Diagnostic first;
  size_t count = 1;
  std::string others;  // "24 in all: KEYS (in 2 files: FILES)"; empty if all say the same
};
std::vector<FoldedFinding> fold_findings(const Diagnostics& diagnostics);

Json render_json(const Diagnostic& diagnostic);

// Findings in the forms that others read: GitHub's annotations (a line each), SARIF 2.1.0 with the rules of
// diagnostic_table(), and {"remap_lint": 1, "findings": […], "errors": n, "warnings": n, "notes": n}.
std::string render_github(const Diagnostics& diagnostics);
Json render_sarif(const Diagnostics& diagnostics, const std::string& version);
Json render_findings(const Diagnostics& diagnostics);

struct PlanTextOptions {
  bool folded = true;   // one line for all layers that differ in nothing but their indices; else a line a tensor
  bool header = true;   // family, variants, dims
  bool stable = false;  // for a file that is compared: no places of rules and no padding, so that a line changes only
                        // with what it says
};
// Target, dtype, shape, where it comes from, the rule's file:line; then what is dropped and why, and a line of counts.
std::string render_text(const Plan& plan, const PlanTextOptions& options = {});

// Version 1 of the plan's JSON form: {"remap_plan": 1, …}; everything but tensor data. The text has one tensor a line,
// so that diffs are as short as the change.
Json render_json(const Plan& plan);
std::string render_json_text(const Plan& plan);

// As a comment on a pull request: the counts, and a folded table that opens on a click.
std::string render_markdown(const Plan& plan);

// The plan as a committed snapshot: folded, without places, with config.json and the other files. One fact a line.
std::string render_snapshot(const Plan& plan);

// "4 renamed, 2 transposed, …": counts by kind of origin, in a fixed order.
std::string summary(const Plan& plan);
// What becomes of what the sources say beside their tensors, a line each; "" if there is nothing to say.
std::string beside_text(const Plan& plan);

// What a change of rules does, folded: "-" removed, "+" added, "!" made otherwise; then fields of JSON files, and
// counts.
std::string render_text(const PlanDiff& diff);
std::string render_markdown(const PlanDiff& diff);  // a comment on a pull request
Json render_json(const PlanDiff& diff);             // {"remap_diff": 1, …}
std::string summary(const PlanDiff& diff);

std::string render_text(const Explanation& explanation);
Json render_json(const Explanation& explanation);  // {"remap_explain": 1, …}

struct InspectTextOptions {
  bool folded = true;           // one line for all layers that differ in nothing but their indices
  bool whole_metadata = false;  // else long values and deep parts are cut short
};
// Format, metadata, remarks (what a pickle named that is not known …), and the tensors.
std::string render_text(const Source& source, const InspectTextOptions& options = {});

// A manifest in JSON (remap/manifest_file.h) that also has what a checkpoint consists of, each where there is any:
// "step"; "parts", a tree of names ("{0..11}" for numbers) with "tensors" and "bytes" and, where it is known, their
// "meaning"; "files", if the tensors lie in several, with how many of their tensors are there only "in_part";
// "tensors_not_located", which are unpacked when they are read, or the same in several files; "optimizer_slots": what
// an optimizer keeps beside the model's tensors, by names; "remarks".
std::string render_inspect_json(const Source& source);

// A manifest in JSON whose keys are folded (remap/manifest_file.h): what a person commits and reads. Throws Error
// "usage" if a key holds a brace.
std::string render_folded_manifest(const Source& source);

// Layer by layer, the first divergence and its likely cause, what vouches for each tensor, and the verdict. No absolute
// figure of a machine's rounding is left out, so the text may differ in its last digits between machines.
std::string render_text(const VerifyReport& report);
Json render_json(const VerifyReport& report);  // {"remap_verify": 1, …}

// What the values of each source add up to: "123.456 + 7 (codebook)".
std::string sums_text(const Plan& plan, const ParameterSums& sums);

std::string human_bytes(uint64_t bytes);  // "1.42 GB" (powers of 1000), "512 B"

// config.json and the like as transformers writes them: two spaces, Python's spelling of floats, one newline at the
// end.
std::string json_file_text(const Json& json);

}  // namespace remap
