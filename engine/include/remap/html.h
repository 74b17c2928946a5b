// The same values as pages to look at: one file each, with everything in it, which loads nothing and runs nothing but
// its own script (its Content-Security-Policy names the hash of that and forbids the rest). Keys, metadata and messages
// come from checkpoints: they are text in the page, whatever they hold. Deterministic, like remap/report.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "remap/explain.h"
#include "remap/plan.h"
#include "remap/plan_diff.h"
#include "remap/source.h"
#include "remap/verify.h"

namespace remap {

// Explains target keys, in their order: the captures and dims that a plan by itself does not hold.
using ExplainKeys = std::function<std::vector<Explanation>(const std::vector<std::string>& keys)>;

// Source and target as two trees, folded as the text is; each line with its way from one to the other. With `folded`
// false a line a tensor: a page of some 500 bytes for each.
std::string render_html(const Plan& plan, const ExplainKeys& explain = {}, bool folded = true);

// What a change of rules does to several checkpoints, a section each.
struct DiffSection {
  std::string name;           // of the checkpoint or manifest
  const PlanDiff* diff = {};  // null: there are not two plans to compare
  std::string refused = {};   // then this says why
};
std::string render_html(const std::vector<DiffSection>& sections);

// Layers and their parts as a heat map; what vouches for each tensor.
std::string render_html(const VerifyReport& report);

// Tensors by the bytes they take, as a map and as a tree; metadata and remarks.
std::string render_html(const Source& source);

// How two checkpoints differ.
struct ComparedTensor {
  std::string key, text;         // what is different, in words
  double max_absolute_diff = 0;  // where values were compared
};
struct ComparisonPage {
  std::string a, b;  // names of the two
  std::string how;   // "bit for bit"
  std::string what = "tensors";
  size_t n_equal = 0, n_not_compared = 0;
  std::vector<ComparedTensor> different;  // sorted by key; those that were not compared too
};
std::string render_html(const ComparisonPage& comparison);

}  // namespace remap
