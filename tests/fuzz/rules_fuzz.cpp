// Any text as a rule file, linted if it is one, as a target schema and as a Python list: reports mistakes or parses;
// never throws, crashes or hangs.
#include <cstdint>
#include <memory>
#include <string>

#include "lang/python_list.h"
#include "lang/rules.h"
#include "lang/schema.h"
#include "plan/load_rules.h"
#include "remap/lint.h"
#include "remap/report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  const auto text =
      std::make_shared<lang::SourceText>("fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size));
  Diagnostics rules, schema;
  if (auto set = lang::parse_rules(text, rules)) {
    auto impl = std::make_shared<Rules::Impl>();
    impl->set = std::move(*set);
    LintOptions options;
    options.reverse = true;
    lint(Rules::of(impl), options, rules);
  }
  lang::parse_schema(text, schema);
  for (const auto& d : rules.items()) render_text(d);
  for (const auto& d : schema.items()) render_text(d);
  std::string wrong;
  lang::parse_python_list(text->text(), wrong);
  return 0;
}
