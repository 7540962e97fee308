#ifndef LUTRA_QAT_NAME_PATTERN_H_
#define LUTRA_QAT_NAME_PATTERN_H_

#include <regex>
#include <string>

namespace lutra::qat {

// A regular expression (ECMAScript) that is found in names of tensors, in the
// whole or in a part of them.
class NamePattern {
 public:
  // Throws lutra::Error for what is none.
  explicit NamePattern(const std::string& regex);

  // Throws lutra::Error for a name that is too long to be matched.
  bool IsIn(const std::string& name) const;

 private:
  std::regex regex_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_NAME_PATTERN_H_
