#ifndef LUTRA_RUNTIME_GRAMMAR_LEFT_RECURSION_H_
#define LUTRA_RUNTIME_GRAMMAR_LEFT_RECURSION_H_

#include <cstdint>
#include <optional>

#include "runtime/grammar/rules.h"

namespace lutra::grammar {

// A rule whose text may begin with a text of its own that more follows, if
// there is one: an automaton would begin it for ever.
std::optional<uint32_t> LeftRecursion(const Rules& rules);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_LEFT_RECURSION_H_
