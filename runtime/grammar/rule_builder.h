#ifndef LUTRA_RUNTIME_GRAMMAR_RULE_BUILDER_H_
#define LUTRA_RUNTIME_GRAMMAR_RULE_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/grammar/rules.h"
#include "runtime/grammar/utf8_ranges.h"

namespace lutra::grammar {

// Makes Rules of what notations have: classes of characters, repetitions.
// Throws Error beyond kMaxSymbols.
class RuleBuilder {
 public:
  static constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

  // A rule without alternatives: no text at all until it gets some.
  uint32_t NewRule();
  void AddAlternative(uint32_t rule, const Sequence& sequence);
  bool HasAlternatives(uint32_t rule) const {
    return !rules_.rules[rule].empty();
  }

  // One character.
  Symbol Characters(const std::vector<CodePoints>& ranges);
  // `item` from `least` to `most` times.
  Sequence Repeated(const Sequence& item, size_t least, size_t most);

  size_t symbols() const { return rules_.symbols.size(); }
  const Rules& rules() const { return rules_; }
  Rules Take(uint32_t root);

 private:
  Symbol AsOne(const Sequence& item);

  Rules rules_;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_RULE_BUILDER_H_
