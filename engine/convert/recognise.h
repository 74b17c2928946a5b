// Which rules are for a checkpoint. Private to the engine.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "remap/convert.h"

namespace remap::convert {

// The checkpoint opened for each part of it that some rules convert: what lies outside that part of a folder is not
// even looked at. Rules that name a checkpoint's files open a folder in a way of their own. A file is opened once.
class Openings {
 public:
  explicit Openings(const Request& request);
  // As these rules open it; null if it cannot be opened so, which refused() then says. Opened once.
  Source* open(const Rules& rules);
  // All of it; null if that was refused.
  Source* open_whole();
  const std::exception_ptr& refused() const { return refused_; }  // the first refusal; null: none
  std::unique_ptr<Source> take(const Rules& rules);               // null if it was not opened so

 private:
  using Kind = std::pair<std::string, std::string>;  // the subtree, and the files
  Kind kind_of(const Rules& rules) const;

  const Request& request_;
  bool is_folder_;
  std::map<Kind, std::unique_ptr<Source>> opened_;
  std::exception_ptr refused_;
};

// Request::inputs that the reader of the first source takes.
std::map<std::string, std::string> companions_of(const Request& request);

// One source of the rules, by its index. `whole`: all of it, whatever part the rules are for.
std::unique_ptr<Source> open_for(const std::string& path, const Rules& rules, size_t source, const Request& request,
                                 bool whole = false);

// The only known rules that recognise the checkpoint; nullopt after reporting.
std::optional<Rules> recognise(const Request& request, Openings& openings, Diagnostics& diagnostics);

}  // namespace remap::convert
