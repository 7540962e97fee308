#ifndef LUTRA_RUNTIME_GRAMMAR_SCHEMA_MERGE_H_
#define LUTRA_RUNTIME_GRAMMAR_SCHEMA_MERGE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lutra::grammar {

using Json = nlohmann::ordered_json;

// A place in a schema, as a JSON pointer (RFC 6901).
std::string Below(const std::string& where, std::string_view key);

[[noreturn]] void FailSchema(const std::string& where,
                             const std::string& cause);

// Refuses what is no schema.
void CheckSchema(const Json& schema, const std::string& where);

// Refuses the keywords that forbid something and are not supported. Those that
// only describe, and words that are no keywords, are fine.
void CheckKeywords(const Json& schema, const std::string& where);

// Whether the schema has a keyword that forbids something.
bool Constrains(const Json& schema);

// What both allow. Throws Error where that is no schema of the keywords that
// are supported.
Json Merged(const Json& a, const Json& b, const std::string& where);

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_SCHEMA_MERGE_H_
