#ifndef LUTRA_RUNTIME_GRAMMAR_SCHEMA_PATTERN_H_
#define LUTRA_RUNTIME_GRAMMAR_SCHEMA_PATTERN_H_

#include <string>
#include <string_view>

namespace lutra::grammar {

// The strings in which a regular expression (ECMA-262) finds something, as JSON
// has them between its quotes, in GBNF; `any` is the rule of any character.
// Throws Error "where: ..." for what is no regular expression, and for what no
// grammar can do (looking around, references back).
std::string PatternToGbnf(std::string_view pattern, std::string_view any,
                          const std::string& where);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_SCHEMA_PATTERN_H_
