// Builds without PCRE2.

#include "lutra/runtime/error.h"
#include "runtime/text/regex.h"

namespace lutra {

class Regex::Impl {};

Regex::Regex(std::string_view, std::string_view file) {
  throw Error::InFile(file,
                      "tokenizer: splits by a regular expression, which this "
                      "build of lutra cannot (it lacks PCRE2)",
                      ErrorCode::kUnsupported);
}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::ForEachMatch(std::string_view,
                         const std::function<void(size_t, size_t)>&) const {}

}  // namespace lutra
