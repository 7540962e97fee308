#include "lutra/qat/name_pattern.h"

#include <algorithm>
#include <cstddef>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

// std::regex recurses once per character, so a long enough name in a file
// would exhaust the stack.
constexpr size_t kMaxName = 1024;

// Once per group, too, when it reads a pattern.
constexpr std::ptrdiff_t kMaxGroups = 100;

// By default libstdc++ tries one way after the other, of which a pattern of 100
// characters can have more than there is time for. The way that follows all at
// once has no back-references.
constexpr std::regex::flag_type kSyntax = std::regex::ECMAScript |
                                          std::regex::optimize
#ifdef __GLIBCXX__
                                          | std::regex_constants::__polynomial
#endif
    ;

std::regex Compile(const std::string& regex) {
  if (std::count(regex.begin(), regex.end(), '(') > kMaxGroups) {
    throw Error("'" + regex.substr(0, 64) + "...' has more than " +
                std::to_string(kMaxGroups) + " groups");
  }
  try {
    return std::regex(regex, kSyntax);
  } catch (const std::regex_error& error) {
    throw Error("'" + regex + "' is not a regular expression: " + error.what());
  }
}

}  // namespace

NamePattern::NamePattern(const std::string& regex) : regex_(Compile(regex)) {}

bool NamePattern::IsIn(const std::string& name) const {
  if (name.size() > kMaxName) {
    throw Error("tensor '" + name.substr(0, 64) +
                "...': the name is too long for rules (" +
                std::to_string(name.size()) + " characters)");
  }
  return std::regex_search(name, regex_);
}

}  // namespace lutra::qat
