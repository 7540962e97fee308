#ifndef LUTRA_RUNTIME_GRAMMAR_GBNF_TEXT_H_
#define LUTRA_RUNTIME_GRAMMAR_GBNF_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/grammar/utf8_ranges.h"

// Pieces of a grammar in GBNF.

namespace lutra::grammar {

// A text, with its quotes.
std::string Quoted(std::string_view text);
// One of a set of characters.
std::string Class(const std::vector<CodePoints>& ranges);
// "(a | b)"; none at all is not allowed.
std::string OneOf(const std::vector<std::string>& alternatives);
// "{least,most}", shorter where there is a shorter notation; without `most`
// there is no limit.
std::string Times(size_t least, const size_t* most);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_GBNF_TEXT_H_
