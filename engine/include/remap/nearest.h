// What a person who mistyped a name probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remap {

// The candidate nearest to `word`, or "" if none is near enough to be a typing mistake. Upper and lower case count as
// one difference, however many letters they concern; a word of one letter is near to nothing else. Ties go to the
// first.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

// For a path at which there is nothing: the existing path that was probably meant, each mistyped component replaced by
// the nearest name in its folder, or by one that differs only in its extension; "" if there is none, or if `path`
// exists. Reads folders, never files.
std::string nearest_path(const std::string& path);

// "did you mean 'x'?" for a name that was found near, else `otherwise`.
std::string did_you_mean(const std::string& near, const std::string& otherwise = {});
// The same for the candidate nearest to `word`.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         const std::string& otherwise = {});

}  // namespace remap
