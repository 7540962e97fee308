#ifndef LUTRA_RUNTIME_GRAMMAR_SCHEMA_CONVERTER_H_
#define LUTRA_RUNTIME_GRAMMAR_SCHEMA_CONVERTER_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/grammar/schema_merge.h"

namespace lutra::grammar {

// A rule for each schema within a schema.
class SchemaConverter {
 public:
  explicit SchemaConverter(const Json& root) : root_(root) {}

  // The whole grammar.
  std::string Convert();

 private:
  // Each returns an expression; `where` is the schema's place, which names the
  // rules it makes.
  std::string Any(const Json& schema, const std::string& where, size_t depth);
  std::string Reference(const Json& schema, const std::string& where,
                        size_t depth);
  std::string Alternatives(const Json& schema, const char* keyword,
                           const std::string& where, size_t depth);
  std::string All(const Json& schema, const std::string& where, size_t depth);
  std::string OfType(const Json& schema, const Json& type,
                     const std::string& where, size_t depth);
  std::string Types(const Json& schema, const std::string& where, size_t depth);
  std::string Object(const Json& schema, const std::string& where,
                     size_t depth);
  std::string Array(const Json& schema, const std::string& where, size_t depth);
  std::string String(const Json& schema, const std::string& where);
  std::string Number(const Json& schema, const std::string& where, bool whole);
  // A key that is none of these.
  std::string OtherKey(const std::vector<std::string>& keys,
                       const std::string& where);

  // A constant.
  static std::string Literal(const Json& value, const std::string& where);

  // What "#/..." points to.
  const Json& Target(const std::string& reference, const std::string& where);

  // A rule of this name, or of one that begins so; returns its name.
  std::string AddRule(const std::string& where, const std::string& expression);
  std::string NewName(const std::string& where);
  // One of the rules that every schema may use; returns its name.
  std::string Use(std::string_view name);

  const Json& root_;
  std::map<std::string, std::string> rules_;
  std::set<std::string, std::less<>> used_;        // of every schema's
  std::map<std::string, std::string> references_;  // their rules
  size_t converted_ = 0;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_SCHEMA_CONVERTER_H_
