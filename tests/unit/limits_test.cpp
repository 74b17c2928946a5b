// Time and memory stay proportional to the input, whatever is in it: each hostile file in two sizes, beside a harmless
// one of the larger size, in processes of their own. Only ratios are compared, and generously: what grows with the
// square of its size misses them by far.
#include <functional>
#include <sstream>

#include <fmt/format.h>

#include "lang/rules.h"
#include "lang/schema.h"
#include "plan/config_layers.h"
#include "remap/document.h"
#include "remap/format_rules.h"
#include "remap/plan.h"
#include "remap/report.h"
#include "remap/source.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/memory_source.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"
#include "support/yardstick.h"
#include "support/zarr_files.h"

using namespace remap;
using namespace remap::test;
using namespace std::string_literals;
namespace mp = remap::test::msgpack;

namespace {

// With sanitizers, where no memory is measured and all takes ten times as long, the files are smaller.
constexpr size_t kSmall = kMeasuresMemory ? 1 << 17 : 1 << 15, kLarge = 4 * kSmall;

struct Hostile {
  const char* what;
  std::function<std::string(size_t n_bytes)> make;  // a file of about this size
};

// `text` again and again, with the number of the repetition in place of '#'.
std::string repeated(const std::string& text, size_t n_bytes, const std::string& head = {},
                     const std::string& tail = {}) {
  const size_t at = text.find('#');
  std::string out = head;
  for (size_t i = 0; out.size() < n_bytes; ++i)
    out += at == text.npos ? text : text.substr(0, at) + std::to_string(i) + text.substr(at + 1);
  return out + tail;
}

std::string outcome(const std::function<void()>& action) { return error_of(action).substr(0, 200); }

// `use` reads a file that is on disk.
void check(const std::vector<Hostile>& rows, const std::function<std::string(size_t)>& harmless,
           const std::function<void(const std::string& path)>& use) {
  const TempFolder folder;
  const auto run = [&](const std::string& bytes) {
    const std::string path = folder.write("file", bytes);
    return in_child([&] { return outcome([&] { use(path); }); }, uint64_t{4} << 30);
  };
  const ChildResult plain = run(harmless(kLarge));
  INFO("harmless: " << plain.text << ", " << plain.seconds << " s, " << plain.peak_bytes << " bytes");
  REQUIRE(plain.text == "nothing was thrown");
  for (const Hostile& row : rows) {
    INFO(row.what);
    ChildResult small = run(row.make(kSmall)), large = run(row.make(kLarge));
    CHECK(!contains(small.text, "signal"));
    CHECK(!contains(large.text, "signal"));
    // A moment at which the machine was busy is no finding: what grows with the square does so again.
    const auto grows = [&] { return large.seconds >= 10 * small.seconds + full_checkpoint_seconds() / 5; };
    for (int again = 0; again < 2 && grows(); ++again) {
      small = run(row.make(kSmall));
      large = run(row.make(kLarge));
    }
    INFO(small.text << ", " << small.seconds << " s, " << small.peak_bytes << " bytes; four times as large: "
                    << large.text << ", " << large.seconds << " s, " << large.peak_bytes << " bytes");
    CHECK(!grows());
    CHECK(large.seconds < 20 * plain.seconds + full_checkpoint_seconds());
    if (kMeasuresMemory) CHECK(large.peak_bytes < 10 * plain.peak_bytes + 100 * kLarge);
  }
}

void read_source(const std::string& path) {
  OpenOptions options;
  options.limits.max_metadata_nodes = 100'000;  // of what sharing makes of a small file
  const auto source = open_source(path, options);
  (void)source->metadata().dump();
}

void read_rules(const std::string& path) {
  Diagnostics diagnostics;
  const auto text = std::make_shared<lang::SourceText>(path, read_file(path));
  lang::parse_rules(text, diagnostics);
  lang::parse_schema(text, diagnostics);
}

// A rule file, and keys as many as it has lines that begin with "#": what stands behind it is a key's.
void plan_and_print(const std::string& path) {
  std::vector<MemoryTensor> tensors;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with('#')) tensors.push_back({line.substr(1), DType::f32, {}, {}});
  const MemorySource source(std::move(tensors));
  Diagnostics diagnostics;
  const auto rules = Rules::load(path, diagnostics);
  const auto plan = rules ? make_plan(*rules, {{"", &source}}, {}, diagnostics) : std::nullopt;
  if (!plan) throw Error(diagnostics.items().front());
  (void)render_text(*plan);
}

const std::string kRules = "remap: 1\nfamily: toy\nsource: {root: \"\"}\n";

}  // namespace

TEST_CASE("torch checkpoints cost what their size is") {
  const auto pickled = [](const std::string& opcodes) { return build_torch_zip(opcodes); };
  const auto numbered = [](size_t n) {
    Pickle pickle;
    pickle << "}(";
    for (int i = 0; pickle.bytes().size() < n; ++i) pickle.text(std::to_string(i)).tensor({});
    return build_torch_zip(pickle.bytes() + "u.");
  };
  check(
      {
          {"DUP", [&](size_t n) { return pickled(repeated("2\x86", n, "]", ".")); }},
          {"nested tuples by the memo",
           [&](size_t n) { return pickled(repeated("0h\1h\1\x86q\1", n, "N\x85q\1", ".")); }},
          {"nested lists by the memo", [&](size_t n) { return pickled(repeated("0](h\1h\1eq\1", n, "]q\1", ".")); }},
          {"levels", [&](size_t n) { return pickled(std::string(n / 2, ']') + std::string(n / 2 - 1, 'a') + "."); }},
          {"marks", [&](size_t n) { return pickled(std::string(n, '(') + "N."); }},
          {"memo slots", [&](size_t n) { return pickled(repeated("\x94", n, "N", ".")); }},
          {"one state for one object",
           [&](size_t n) {
             return pickled(repeated("h\1b", n,
                                     "}q\1"
                                     "0ca\nb\n)\x81",
                                     "."));
           }},
          {"one list extended",
           [&](size_t n) {
             return pickled(repeated("h\1a", n,
                                     "Nq\1"
                                     "0]",
                                     "."));
           }},
          {"classes", [&](size_t n) { return pickled(repeated("cmodule#\nname\n0", n, "]", ".")); }},
          {"objects of classes", [&](size_t n) { return pickled(repeated("cm#\nn\n)Ra", n, "]", ".")); }},
          {"a number of many digits", [&](size_t n) { return pickled("L" + std::string(n, '9') + "L\n."); }},
          {"a number of many bytes",
           [&](size_t n) { return pickled("\x8b" + little(static_cast<int32_t>(n)) + std::string(n, '\x7f') + "."); }},
          {"escapes", [&](size_t n) { return pickled(repeated("\\x41", n, "S'", "'\n.")); }},
          {"one key again and again",
           [&](size_t n) {
             return pickled(repeated("h\1h\1s", n,
                                     "X\1\0\0\0aq\1"
                                     "0}"s,
                                     "."));
           }},
          {"one tuple, a key of many dicts",
           [&](size_t n) {
             return pickled(repeated("}h\1Nsa", n, "(" + std::string(n / 2, 'N') + "tq\1" + "0]", "."));
           }},
          {"tensors under one path",
           [&](size_t n) {
             Pickle pickle;
             pickle << "}(";
             while (pickle.bytes().size() < n) pickle.text("w").tensor({});
             return build_torch_zip(pickle.bytes() + "u.");
           }},
          {"members of the archive",
           [&](size_t n) {
             std::vector<ZipEntry> entries = torch_entries("}.");
             for (size_t i = 0; i * 110 < n; ++i) entries.push_back({"archive/data/x" + std::to_string(i), ""});
             return build_zip(entries, ZipDamage::zip64);
           }},
          {"a legacy stream of storages",
           [&](size_t n) {
             std::vector<LegacyStorage> storages;
             for (size_t i = 0; i * 20 < n; ++i) storages.push_back({std::to_string(i), 0, ""});
             return build_torch_legacy("}.", storages);
           }},
      },
      numbered, read_source);
}

TEST_CASE("plans cost what their size is") {
  const std::string head = "remap: 1\nfamily: toy\nsource: {root: \"\"}\n", keep = "rules: [{keep: '**'}]\n";
  check(
      {
          {"numbers that have nothing to do with each other",
           [&](size_t n) {
             std::string text = head + keep;
             for (uint32_t i = 0; text.size() < n; ++i) text += fmt::format("#g.x{}_{}.w\n", i * 2'654'435'761U, i);
             return text;
           }},
          {"a table of all keys",
           [&](size_t n) {
             std::string table = "maps:\n  t:\n", keys;
             for (size_t i = 0; table.size() + keys.size() < n; ++i) {
               table += fmt::format("    k{}: v{}\n", i, i);
               keys += fmt::format("#k{}\n", i);
             }
             return head + table + "rules: [{from: '{x}', to: '{x:t}'}]\n" + keys;
           }},
          {"constants",
           [&](size_t n) {
             return head +
                    fmt::format("rules: [{{to: 'c.{{i}}', each: {{i: range({})}}, fill: 0, shape: [1]}}]\n", n / 32) +
                    std::string(n, '\n');
           }},
      },
      [&](size_t n) {
        std::string text = head + keep;
        for (size_t i = 0; text.size() < n; ++i) text += fmt::format("#layers.{}.w\n", i);
        return text;
      },
      plan_and_print);
}

TEST_CASE("safetensors files cost what their size is") {
  const auto file = [](const std::string& header, const std::string& data = {}) {
    return little<uint64_t>(header.size()) + header + data;
  };
  const auto entries = [](size_t n) {
    std::string out = R"({"__metadata__":{"format":"pt"})";
    for (size_t i = 0; out.size() < n; ++i)
      out += fmt::format(R"(,"layers.{}.w":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i);
    return out + "}";
  };
  check(
      {
          {"levels of JSON", [&](size_t n) { return file(std::string(n, '[')); }},
          {"escapes", [&](size_t n) { return file(repeated("\\u00e9", n, R"({"__metadata__":{"a":")", R"("}})")); }},
          {"a number of many digits",
           [&](size_t n) {
             return file(R"({"a":{"dtype":"U8","shape":[)" + std::string(n, '9') + R"(],"data_offsets":[0,0]}})");
           }},
          {"dimensions",
           [&](size_t n) {
             return file(R"({"a":{"dtype":"U8","shape":[)" + repeated("1,", n) + R"(1],"data_offsets":[0,1]}})", "x");
           }},
          {"metadata",
           [&](size_t n) { return file(repeated("\"k#\":\"\",", n, R"({"__metadata__":{)", R"("z":""}})")); }},
          {"one key again and again",
           [&](size_t n) { return file(repeated("\"k\":\"\",", n, R"({"__metadata__":{)", R"("z":""}})")); }},
          {"entries that overlap",
           [&](size_t n) {
             return file(repeated(R"("k#":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)", n, "{",
                                  R"("z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})"),
                         "x");
           }},
      },
      [&](size_t n) { return file(entries(n)); }, read_source);
}

TEST_CASE("indices and manifests cost what their size is") {
  check(
      {
          {"shards", [&](size_t n) { return repeated("\"k#\":\"s#\",", n, R"({"weight_map":{)", R"("z":"z"}})"); }},
          {"keys of one shard",
           [&](size_t n) { return repeated("\"k#\":\"s\",", n, R"({"weight_map":{)", R"("z":"s"}})"); }},
          {"ranges",
           [&](size_t n) {
             return repeated("{0,1,2,3}", n, R"({"remap_manifest":1,"folded":true,"tensors":{")",
                             R"(":{"dtype":"F32","shape":[]}}})");
           }},
          {"aliases",
           [&](size_t n) {
             return repeated(R"({"key":"k#","dtype":"F32","shape":[],"alias":"a"},)", n,
                             R"({"remap_manifest":1,"tensors":[)", R"({"key":"z","dtype":"F32","shape":[]}]})");
           }},
          {"one line", [&](size_t n) { return std::string(n, 'k') + " float32 [1]\n"; }},
          {"blanks", [&](size_t n) { return "k float32 [1]\n" + std::string(n, ' ') + "\n"; }},
          {"what looks like a reason", [&](size_t n) { return "k float32 [1]\n" + repeated(" not read:", n) + "\n"; }},
          {"one key again and again", [&](size_t n) { return repeated("k float32 [1]\n", n); }},
      },
      [](size_t n) { return repeated("layers.#.w float32 [1]\n", n); }, read_source);
}

TEST_CASE("GGUF files cost what their size is") {
  const auto file = [](size_t n, const std::function<std::string(size_t i)>& value) {
    std::string pairs;
    uint64_t count = 0;
    for (; pairs.size() < n; ++count) {
      const std::string key = "k" + std::to_string(count);
      pairs += little<uint64_t>(key.size()) + key + value(count);
    }
    return "GGUF" + little<uint32_t>(3) + little<uint64_t>(0) + little(count) + pairs + std::string(32, '\0');
  };
  check(
      {{"pairs", [&](size_t n) { return file(n, [](size_t) { return little<uint32_t>(0) + "x"; }); }}},
      [&](size_t n) {
        return file(n, [](size_t) { return little<uint32_t>(8) + little<uint64_t>(100) + std::string(100, 'x'); });
      },
      read_source);
}

TEST_CASE("fields of config.json cost what their number is") {
  check(
      {{"fields", [](size_t n) { return repeated("\"k#\":1,", n, "{", "\"z\":1}"); }},
       {"fields of a part", [](size_t n) { return repeated("\"k#\":1,", n, R"({"text_config":{)", "\"z\":1}}"); }}},
      [](size_t n) { return R"({"k":")" + std::string(n, 'x') + "\"}"; },
      [](const std::string& path) {
        const Json given = read_document(path, "json");
        Json config = {{"text_config", {{"first", 1}}}};
        plan::merge(config, given);
        plan::merge(config, given);
        Json rest = config;
        plan::leave_out(rest, given);
        plan::take_out_code(config);
        if (!plan::same_value(config, config) || rest.size() > 2) throw Error("internal", {}, "fields were lost");
      });
}

TEST_CASE("msgpack trees cost what their size is") {
  const auto tree = [](const std::string& target) {
    return mp::map({{"version", mp::integer(3)}, {"optimizer", mp::map({{"target", target}})}});
  };
  const auto map_of = [](size_t n, auto key, const std::string& value) {
    std::string members;
    uint32_t count = 0;
    for (; members.size() < n; ++count) members += mp::text(key(count)) + value;
    return "\xdf" + mp::big_endian(count, 4) + members;
  };
  const auto number = [](uint32_t i) { return "k" + std::to_string(i); };
  check(
      {
          {"empty maps", [&](size_t n) { return tree(map_of(n, number, "\x80")); }},
          {"lists of nothing",
           [&](size_t n) { return tree("\x81\xa1x\xdd" + mp::big_endian(n, 4) + std::string(n, '\xc0')); }},
          {"levels", [&](size_t n) { return tree(repeated("\x81\xa1k", n, "", "\xc0")); }},
          {"one key again and again",
           [&](size_t n) {
             return tree(map_of(
                 n, [](uint32_t) { return "k"; }, "\xc0"));
           }},
          {"chunks of an array",
           [&](size_t n) {
             return tree(mp::map({{"x", mp::map({{"__msgpack_chunked_array__", mp::boolean(true)},
                                                 {"shape", mp::map({{"0", mp::integer(n)}})},
                                                 {"chunks", map_of(
                                                                n, [](uint32_t i) { return std::to_string(i); },
                                                                mp::ndarray({1}, "int8", "x"))}})}}));
           }},
      },
      [&](size_t n) { return tree(map_of(n, number, mp::ndarray({1}, "int8", "x"))); }, read_source);
}

TEST_CASE("rule files cost what their size is") {
  check(
      {
          {"one line", [](size_t n) { return repeated("a#, ", n, kRules + "let: {x: [", "z]}\n"); }},
          {"one line of mistakes",
           [](size_t n) { return repeated("{odd: #}, ", n, kRules + "rules: [", "{odd: 1}]\n"); }},
          {"lines of mistakes, as long as are shown",
           [](size_t n) { return repeated("  - {" + repeated(", , ", 9'000) + "}\n", n, kRules + "rules:\n"); }},
          {"one line of anchors", [](size_t n) { return repeated("&a# x, ", n, kRules + "rules: [", "z]\n"); }},
          {"sections", [](size_t n) { return repeated("odd#: 1\n", n, kRules); }},
          {"names", [](size_t n) { return repeated("  n#: 1\n", n, kRules + "let:\n"); }},
          {"names, each of the one before", [](size_t n) { return repeated("  n#: n\n", n, kRules + "let:\n"); }},
          {"rules for one key",
           [](size_t n) { return repeated("  - {drop: a, because: x}\n", n, kRules + "rules:\n"); }},
          {"entries of a table",
           [](size_t n) {
             return repeated("    k#: v#\n", n, kRules + "maps:\n  t:\n", "rules: [{from: \"{x:t}\", to: \"{x}\"}]\n");
           }},
          {"regexes", [](size_t n) { return repeated("  - {from: \"re:(a*)*#\", to: b#}\n", n, kRules + "rules:\n"); }},
          {"alternatives of a hole",
           [](size_t n) { return repeated("a#|", n, kRules + "rules: [{from: \"{x:", "b}\", to: \"{x}\"}]\n"); }},
          {"holes", [](size_t n) { return repeated("{x#}.", n, kRules + "rules: [{from: \"", "z\", to: a}]\n"); }},
          {"stars", [](size_t n) { return repeated("*.", n, kRules + "rules: [{from: \"", "z\", to: a}]\n"); }},
          {"an expression", [](size_t n) { return repeated("1 + ", n, kRules + "let: {x: \"", "1\"}\n"); }},
          {"an expression's parentheses",
           [](size_t n) { return kRules + "let: {x: \"" + std::string(n, '(') + "\"}\n"; }},
          {"a schema's alternatives",
           [](size_t n) {
             return repeated("{a|b}", n, "remap_schema: 1\nmodel_type: x\narchitectures: {A: {\"", "\": []}}\n");
           }},
          {"comments", [](size_t n) { return repeated("# x\n", n, kRules); }},
          {"levels", [](size_t n) { return kRules + "rules: " + std::string(n, '['); }},
          {"blank lines", [](size_t n) { return kRules + std::string(n, '\n') + "odd: 1\n"; }},
          {"quotes", [](size_t n) { return repeated("''", n, kRules + "let: {x: '", "'}\n"); }},
      },
      [](size_t n) { return repeated("  - {from: layers.#.w, to: layer.#.weight}\n", n, kRules + "rules:\n"); },
      read_rules);
}

TEST_CASE("laying out a rule file costs what its size is") {
  check(
      {
          {"comments behind",
           [](size_t n) { return repeated("  - {drop: a#, because: x} # c\n", n, kRules + "rules:\n"); }},
          {"one line", [](size_t n) { return repeated("a#, ", n, kRules + "config: {x: [", "z]}\n"); }},
          {"folded lines", [](size_t n) { return repeated("   word\n", n, kRules + "title: >-\n"); }},
          {"a text over many lines", [](size_t n) { return repeated("   word\n", n, kRules + "title: a\n"); }},
      },
      [](size_t n) { return repeated("  - {from: layers.#.w, to: layer.#.weight}\n", n, kRules + "rules:\n"); },
      [](const std::string& path) {
        Diagnostics diagnostics;
        format_rules(path, read_file(path), diagnostics);
      });
}
