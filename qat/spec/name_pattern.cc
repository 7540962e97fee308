#include "lutra/qat/name_pattern.h"

#include <cstddef>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

// std::regex recurses once per character, so a long enough name in a file
// would exhaust the stack.
constexpr size_t kMaxName = 1024;

std::regex Compile(const std::string& regex) {
  try {
    return std::regex(regex, std::regex::ECMAScript | std::regex::optimize);
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
