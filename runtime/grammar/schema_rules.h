#ifndef LUTRA_RUNTIME_GRAMMAR_SCHEMA_RULES_H_
#define LUTRA_RUNTIME_GRAMMAR_SCHEMA_RULES_H_

#include <string_view>

#include "lutra/kernels/span.h"

namespace lutra::grammar {

// A rule that every schema may use: JSON's types and formats, white space.
struct SchemaRule {
  std::string_view name;
  std::string_view expression;
  std::string_view uses;  // names, a space between them
};

Span<const SchemaRule> SchemaRules();

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_SCHEMA_RULES_H_
