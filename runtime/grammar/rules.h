#ifndef LUTRA_RUNTIME_GRAMMAR_RULES_H_
#define LUTRA_RUNTIME_GRAMMAR_RULES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutra::grammar {

// Once repetitions are written out.
inline constexpr size_t kMaxSymbols = size_t{1} << 20;

// One of a range of bytes, the text of a rule, or the end of an alternative.
struct Symbol {
  enum class Kind : uint8_t { kBytes, kRule, kEnd };

  Kind kind = Kind::kEnd;
  uint8_t first = 0;
  uint8_t last = 0;
  uint32_t rule = 0;
};

inline Symbol OfRule(uint32_t rule) {
  return {Symbol::Kind::kRule, 0, 0, rule};
}
inline Symbol OfBytes(uint8_t first, uint8_t last) {
  return {Symbol::Kind::kBytes, first, last, 0};
}

using Sequence = std::vector<Symbol>;

// A grammar over bytes. Its alternatives stand one after the other in
// `symbols`, each with an end.
struct Rules {
  std::vector<Symbol> symbols;
  // Of each rule, where its alternatives begin.
  std::vector<std::vector<uint32_t>> rules;
  uint32_t root = 0;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_RULES_H_
