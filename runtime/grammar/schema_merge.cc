#include "runtime/grammar/schema_merge.h"

#include <algorithm>

#include "lutra/runtime/error.h"
#include "runtime/base/printable.h"

namespace lutra::grammar {
namespace {

constexpr std::string_view kRefused[] = {
    "not",          "if",
    "then",         "else",
    "dependencies", "dependentRequired",
    "contains",     "dependentSchemas",
    "minContains",  "patternProperties",
    "maxContains",  "propertyNames",
    "multipleOf",   "unevaluatedProperties",
    "$dynamicRef",  "unevaluatedItems",
    "$recursiveRef"};

constexpr std::string_view kSupported[] = {
    "$ref",          "allOf",         "anyOf",
    "oneOf",         "enum",          "const",
    "type",          "properties",    "required",
    "items",         "prefixItems",   "additionalProperties",
    "minItems",      "maxItems",      "additionalItems",
    "minLength",     "maxLength",     "pattern",
    "minimum",       "maximum",       "exclusiveMinimum",
    "minProperties", "maxProperties", "exclusiveMaximum",
    "uniqueItems"};

template <size_t count>
bool IsOneOf(const std::string& key, const std::string_view (&keys)[count]) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

Json AsList(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

// Types that both have; an integer is a number.
Json CommonTypes(const Json& a, const Json& b) {
  Json common = Json::array();
  const auto has = [](const Json& list, const char* type) {
    return std::find(list.begin(), list.end(), type) != list.end();
  };
  const Json first = AsList(a);
  const Json second = AsList(b);
  for (const Json& type : first) {
    const bool both =
        std::find(second.begin(), second.end(), type) != second.end();
    if (both || (type == "integer" && has(second, "number"))) {
      common.push_back(type);
    } else if (type == "number" && has(second, "integer")) {
      common.push_back("integer");
    }
  }
  return common.size() == 1 ? common[0] : common;
}

Json Intersection(const Json& a, const Json& b) {
  Json common = Json::array();
  for (const Json& each : a) {
    if (std::find(b.begin(), b.end(), each) != b.end()) common.push_back(each);
  }
  return common;
}

void MergeProperties(const Json& from, Json& into) {
  for (const auto& [name, schema] : from.items()) {
    if (!into.contains(name)) {
      into[name] = schema;
    } else if (into[name] != schema) {
      into[name] = {{"allOf", Json::array({into[name], schema})}};
    }
  }
}

// Properties that only `b` names are additional ones to `a`.
Json WithAdditional(const Json& a, Json b, const std::string& where) {
  if (!a.contains("additionalProperties") || !b.contains("properties") ||
      !b["properties"].is_object()) {
    return b;
  }
  for (const auto& [name, schema] : b["properties"].items()) {
    if (a.contains("properties") && a["properties"].contains(name)) continue;
    b["properties"][name] = Merged(schema, a["additionalProperties"], where);
  }
  return b;
}

// Elements that only `b` has a place for are further ones to `a`.
void CheckElements(const Json& a, const Json& b, const std::string& where) {
  if (a.contains("items") && b.contains("prefixItems") &&
      !a.contains("prefixItems")) {
    FailSchema(where,
               "'items' and 'prefixItems' of two schemas that both must "
               "hold are not supported");
  }
}

}  // namespace

std::string Below(const std::string& where, std::string_view key) {
  std::string place = where + "/";
  for (const char c : key) {
    if (c == '~') {
      place += "~0";
    } else if (c == '/') {
      place += "~1";
    } else {
      place += c;
    }
  }
  return place;
}

void FailSchema(const std::string& where, const std::string& cause) {
  const std::string place = where.empty() ? "" : Printable(where) + ": ";
  throw Error(ErrorCode::kUnsupported, "JSON schema: " + place + cause);
}

void CheckSchema(const Json& schema, const std::string& where) {
  if (schema.is_object() || schema.is_boolean()) return;
  FailSchema(where, "a schema must be an object, true or false");
}

void CheckKeywords(const Json& schema, const std::string& where) {
  for (const auto& [key, value] : schema.items()) {
    if (IsOneOf(key, kRefused)) {
      FailSchema(where, "'" + key + "' is not supported");
    }
    if (key == "uniqueItems" && value != false) {
      FailSchema(where,
                 "'uniqueItems' is not supported: a grammar cannot "
                 "compare");
    }
    if ((key == "minProperties" && value != 0) || key == "maxProperties") {
      FailSchema(where, "'" + key + "' is not supported");
    }
  }
}

bool Constrains(const Json& schema) {
  return std::any_of(schema.items().begin(), schema.items().end(),
                     [](const auto& member) {
                       return IsOneOf(member.key(), kSupported) ||
                              IsOneOf(member.key(), kRefused);
                     });
}

Json Merged(const Json& a, const Json& b, const std::string& where) {
  if (a == false || b == false) return false;
  if (a == true) return b;
  if (b == true) return a;
  CheckElements(a, b, where);
  CheckElements(b, a, where);
  Json merged = WithAdditional(b, a, where);
  const Json other = WithAdditional(a, b, where);
  for (const auto& [key, value] : other.items()) {
    if (!merged.contains(key) || merged[key] == value) {
      merged[key] = value;
    } else if (key == "properties" && value.is_object() &&
               merged[key].is_object()) {
      MergeProperties(value, merged[key]);
    } else if (key == "required" && value.is_array()) {
      for (const Json& name : value) merged[key].push_back(name);
    } else if (key == "type") {
      merged[key] = CommonTypes(merged[key], value);
      if (merged[key].is_array() && merged[key].empty()) return false;
    } else if (key == "enum" && value.is_array()) {
      merged[key] = Intersection(merged[key], value);
    } else if (value.is_number() && merged[key].is_number() &&
               (key.starts_with("min") || key == "exclusiveMinimum")) {
      merged[key] = std::max(merged[key], value);
    } else if (value.is_number() && merged[key].is_number() &&
               (key.starts_with("max") || key == "exclusiveMaximum")) {
      merged[key] = std::min(merged[key], value);
    } else if (IsOneOf(key, kSupported)) {
      FailSchema(where, "'" + key +
                            "' of two schemas that both must hold is "
                            "not supported");
    }
  }
  return merged;
}

}  // namespace lutra::grammar
