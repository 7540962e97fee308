#ifndef LUTRA_RUNTIME_GRAMMAR_UTF8_RANGES_H_
#define LUTRA_RUNTIME_GRAMMAR_UTF8_RANGES_H_

#include <utility>
#include <vector>

#include "runtime/grammar/rules.h"

namespace lutra::grammar {

// From the first to the last code point.
using CodePoints = std::pair<char32_t, char32_t>;

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

// Sorted, without overlaps.
std::vector<CodePoints> Normalized(std::vector<CodePoints> ranges);
// All code points but these, sorted.
std::vector<CodePoints> Complement(const std::vector<CodePoints>& ranges);

// The UTF-8 of code points as sequences of ranges of bytes: each combination of
// bytes of a sequence is one of them. Surrogates are left out, which UTF-8 does
// not have. (As in Russ Cox, "Regular expression matching in the wild", 2010.)
std::vector<Sequence> Utf8Sequences(const std::vector<CodePoints>& ranges);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_UTF8_RANGES_H_
