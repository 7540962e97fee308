#ifndef LUTRA_RUNTIME_GRAMMAR_GBNF_H_
#define LUTRA_RUNTIME_GRAMMAR_GBNF_H_

#include <string_view>

#include "runtime/grammar/rules.h"

namespace lutra::grammar {

// Throws Error "grammar: line N: ...". See Grammar::Parse.
Rules ParseGbnf(std::string_view text);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_GBNF_H_
