#ifndef LUTRA_RUNTIME_TEXT_REGEX_H_
#define LUTRA_RUNTIME_TEXT_REGEX_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lutra {

// A Unicode regular expression as tokenizers use them: \s, \w, \d and classes
// like \p{L} know all of Unicode. Matched by PCRE2, with limits on time and
// memory. Immutable; may be used from several threads.
class Regex {
 public:
  // Throws Error naming `file`, also where the build has no PCRE2.
  Regex(std::string_view pattern, std::string_view file);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Calls `match` with begin and end of every match in `text` (UTF-8), in
  // order, without overlap; empty matches are left out. Throws Error if a match
  // takes more than the limits.
  void ForEachMatch(std::string_view text,
                    const std::function<void(size_t, size_t)>& match) const;

 private:
  class Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_REGEX_H_
