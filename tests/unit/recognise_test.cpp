// Every bundled checkpoint is recognised as its own family, and as no other.
#include <map>
#include <set>

#include "lang/rule_head.h"
#include "plan/load_rules.h"
#include "remap/source.h"
#include "support/catch.h"

using namespace remap;

namespace {

struct Bundled {
  std::string rules, path;
};

const std::vector<Bundled>& bundled() {
  static const std::vector<Bundled> rows = {
      {"roberta", "roberta/source/model.pt"},
      {"roberta", "roberta/source/model.2019.pt"},
      {"roberta", "roberta/source-mnli/model.pt"},
      {"roberta", "xlmr/source/model.0122.pt"},
      {"xmod", "xmod/source/model.pt"},
      {"xmod", "xmod/source-mnli/model.pt"},
      {"data2vec-audio", "data2vec-audio/source/model.pt"},
      {"data2vec-audio", "data2vec-audio/source-ctc/model.pt"},
      {"flava", "flava/source/model.pt"},
      {"llama", "llama/one-shard/source"},
      {"llama", "llama/two-shards/source/13B"},
      {"llama", "llama/llama31-two-shards/source"},
      {"switch", "switch/source/checkpoint_1200"},
      {"wav2vec2", "wav2vec2/source-large/model.2020.pt"},
      {"wav2vec2", "wav2vec2/source-base-ctc/model.2020.pt"},
      {"hubert", "hubert/source-base/model.fp16.pt"},
      {"hubert", "hubert/source-base-ctc/model.legacy.pt"},
      {"bart", "bart/source/model.2019f.pt"},
      {"bart", "bart/source-mnli/model.0122.pt"},
      {"mbart", "mbart/source/model.2019f.pt"},
      {"mbart", "mbart/source-ft/model.args.pt"},
      {"m2m100", "m2m100/source/model.args.pt"},
      {"xlmr-xl", "xlmr-xl/source-xl/model.0122.pt"},
      {"xlmr-xl", "xlmr-xl/source-xl-mnli/model.pt"},
      {"whisper", "whisper/model.pt"},
      {"mixtral", "mixtral/source"},
      {"clip", "clip/source-openclip/open_clip_pytorch_model.bin"},
      {"clip", "clip/source-b/model.pt"},
      {"t5", "t5/t5_1_0/source/checkpoint_1000"},
      {"t5", "t5/t5_1_1/source/checkpoint_1100000"},
      {"umt5", "t5/umt5/source/checkpoint_1000000"},
      {"bert", "bert/pretraining/source"},
      {"bert", "bert/sharded/source"},
      {"bert-tf2", "bert/tf2/source"},
      {"electra", "electra/small/source"},
      {"albert", "albert/v1/source"},
      {"t5-mesh", "t5-tf/v1_0/source"},
      {"t5-mesh", "t5-tf/v1_1/source"},
  };
  return rows;
}

// What the rules make of the file: they may read a part of it, or none.
bool claims(const Rules& rules, const std::string& path) {
  std::string why;
  try {
    return rules.recognise(*open_source(path, rules.open_options(0)), why);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("the head of a rule file keeps its lines, and none of what recognition does not need") {
  const std::string text =
      "# about\nremap: 1\nnotes:\n- {when: 'true', say: x}\nfamily: a\nrules:\n- {from: a, to: b}\n"
      "recognise: >-\n  exists('a')\nconfig: {a: 1}\nmaps:\n- x\n";
  CHECK(lang::head_of(text, true) ==
        "# about\nremap: 1\n\n\nfamily: a\nrules: []\n\nrecognise: >-\n  exists('a')\n\nmaps:\n- x\n");
  CHECK(lang::head_of(text, false) ==
        "# about\nremap: 1\n\n\nfamily: a\nrules: []\n\nrecognise: >-\n  exists('a')\n\n\n\n");
  CHECK(lang::head_of("", true) == "");
  CHECK(lang::head_of("title: a", false) == "title: a");
}

TEST_CASE("every bundled checkpoint is recognised as its own family and as no other") {
  std::map<std::string, Rules> families, heads;  // a head is what is read of a file until it is chosen
  std::set<std::string> seen;
  for (const auto& name : Rules::known({})) {
    Diagnostics found;
    auto rules = Rules::load(name, found), head = plan::load_head(name, {});
    REQUIRE(rules);
    REQUIRE(head);
    CHECK(head->family() == rules->family());
    CHECK(head->title() == rules->title());
    CHECK(head->rule_count() == 0);
    families.emplace(name, std::move(*rules));
    heads.emplace(name, std::move(*head));
  }
  for (const auto& [name, path] : bundled()) {
    CAPTURE(path);
    std::vector<std::string> claimed, claimed_by_heads;
    for (const auto& [other, rules] : families)
      if (claims(rules, REMAP_TEST_DATA "/" + path)) claimed.push_back(other);
    for (const auto& [other, rules] : heads)
      if (claims(rules, REMAP_TEST_DATA "/" + path)) claimed_by_heads.push_back(other);
    CHECK(claimed == std::vector<std::string>{name});
    CHECK(claimed_by_heads == std::vector<std::string>{name});
    seen.insert(name);
  }
  for (const auto& [name, rules] : families) {
    CAPTURE(name);
    CHECK(seen.contains(name) ==
          rules.impl().set.recognise.has_value());  // those that do not say it are named by the user
  }
}
