#include "runtime/grammar/json_schema.h"

#include "lutra/runtime/error.h"
#include "runtime/base/json.h"
#include "runtime/grammar/schema_converter.h"

namespace lutra::grammar {

std::string SchemaToGbnf(std::string_view schema) {
  // Bounds the time: schemas that are merged are copied.
  constexpr size_t kMaxText = size_t{1} << 18;
  if (schema.size() > kMaxText) {
    throw Error(ErrorCode::kUnsupported,
                "JSON schema: is longer than 262,144 bytes");
  }
  // Depth, size and keys that occur twice; then once more with the keys in
  // their order.
  ParseJson(schema, "JSON schema", "the schema");
  const Json root = Json::parse(schema);
  return SchemaConverter(root).Convert();
}

}  // namespace lutra::grammar
