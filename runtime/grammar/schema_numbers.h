#ifndef LUTRA_RUNTIME_GRAMMAR_SCHEMA_NUMBERS_H_
#define LUTRA_RUNTIME_GRAMMAR_SCHEMA_NUMBERS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace lutra::grammar {

// Whole numbers between which a number lies; "more" and "less" leave the limit
// itself out.
struct NumberLimits {
  std::optional<int64_t> least;
  std::optional<int64_t> most;
  bool more = false;
  bool less = false;

  bool any() const { return least.has_value() || most.has_value(); }
};

// Beyond these limits are not exact in JSON's numbers.
inline constexpr int64_t kMaxLimit = 1'000'000'000'000'000;

// The numbers as JSON writes them, in GBNF; empty if there are none.
std::string IntegersWithin(const NumberLimits& limits);
// Without exponents; up to 16 digits behind the point.
std::string NumbersWithin(const NumberLimits& limits);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_SCHEMA_NUMBERS_H_
