#ifndef LUTRA_RUNTIME_GRAMMAR_JSON_SCHEMA_H_
#define LUTRA_RUNTIME_GRAMMAR_JSON_SCHEMA_H_

#include <string>
#include <string_view>

namespace lutra::grammar {

// See Grammar::FromJsonSchema. Throws Error "JSON schema: /place: ...".
std::string SchemaToGbnf(std::string_view schema);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_JSON_SCHEMA_H_
