#include "runtime/grammar/schema_converter.h"

#include <algorithm>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/grammar/gbnf_text.h"
#include "runtime/grammar/schema_rules.h"

namespace lutra::grammar {
namespace {

// Schemas within each other, references followed; and all of them together, as
// a schema of many alternatives grows when it is merged.
constexpr size_t kMaxSchemaDepth = 64;
constexpr size_t kMaxSchemas = 10'000;

const SchemaRule* RuleCalled(std::string_view name) {
  const Span<const SchemaRule> rules = SchemaRules();
  return std::find_if(
      rules.begin(), rules.end(),
      [name](const SchemaRule& each) { return each.name == name; });
}

// The schema without these.
Json Without(Json schema, std::initializer_list<const char*> keywords) {
  for (const char* keyword : keywords) schema.erase(keyword);
  return schema;
}

}  // namespace

std::string SchemaConverter::Literal(const Json& value,
                                     const std::string& where) {
  try {
    return Quoted(value.dump());
  } catch (const Json::exception&) {
    FailSchema(where, "a text is not UTF-8");
  }
}

std::string SchemaConverter::NewName(const std::string& where) {
  std::string name = "root";
  for (const char c : where) {
    const bool is_name = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z');
    name += is_name ? c : '-';
  }
  const std::string base = name.substr(0, 100);
  name = base;
  for (size_t i = 2; rules_.contains(name); ++i) {
    name = base + "--" + std::to_string(i);
  }
  rules_[name];  // taken
  return name;
}

std::string SchemaConverter::AddRule(const std::string& where,
                                     const std::string& expression) {
  std::string name = NewName(where);
  rules_[name] = expression;
  return name;
}

std::string SchemaConverter::Use(std::string_view name) {
  if (used_.emplace(name).second) {
    std::string_view uses = RuleCalled(name)->uses;
    while (!uses.empty()) {
      const size_t end = std::min(uses.find(' '), uses.size());
      Use(uses.substr(0, end));
      uses.remove_prefix(std::min(end + 1, uses.size()));
    }
  }
  return std::string(name);
}

std::string SchemaConverter::Convert() {
  const std::string name = NewName("");
  const std::string expression = Any(root_, "", 0);
  rules_[name] = expression;
  std::string text;
  for (const auto& [each, body] : rules_) text += each + " ::= " + body + "\n";
  for (const SchemaRule& each : SchemaRules()) {
    if (!used_.contains(each.name)) continue;
    text +=
        std::string(each.name) + " ::= " + std::string(each.expression) + "\n";
  }
  return text;
}

std::string SchemaConverter::Any(const Json& schema, const std::string& where,
                                 size_t depth) {
  CheckSchema(schema, where);
  if (depth > kMaxSchemaDepth)
    FailSchema(where, "schemas are nested too deeply");
  if (++converted_ > kMaxSchemas) FailSchema(where, "the schema is too large");
  if (schema == true) return Use("value");
  if (schema == false) FailSchema(where, "no value is allowed here");
  CheckKeywords(schema, where);
  if (schema.contains("$ref")) return Reference(schema, where, depth);
  if (schema.contains("allOf")) return All(schema, where, depth);
  if (schema.contains("anyOf")) {
    return Alternatives(schema, "anyOf", where, depth);
  }
  if (schema.contains("oneOf")) {
    return Alternatives(schema, "oneOf", where, depth);
  }
  if (schema.contains("const")) return Literal(schema["const"], where);
  if (schema.contains("enum")) {
    const Json& values = schema["enum"];
    if (!values.is_array() || values.empty()) {
      FailSchema(where, "'enum' must be a list of values");
    }
    std::vector<std::string> ways;
    for (const Json& value : values) ways.push_back(Literal(value, where));
    return OneOf(ways);
  }
  return Types(schema, where, depth);
}

const Json& SchemaConverter::Target(const std::string& reference,
                                    const std::string& where) {
  if (!reference.starts_with("#")) {
    FailSchema(where, "'$ref' to '" + Printable(reference) +
                          "': only places in the schema itself, #/..., are "
                          "supported");
  }
  try {
    return root_.at(Json::json_pointer(reference.substr(1)));
  } catch (const Json::exception&) {
    FailSchema(where, "'$ref' points to '" + Printable(reference) +
                          "', which does not exist");
  }
}

std::string SchemaConverter::Reference(const Json& schema,
                                       const std::string& where, size_t depth) {
  if (!schema["$ref"].is_string()) FailSchema(where, "'$ref' must be a text");
  const auto reference = schema["$ref"].get<std::string>();
  const Json& target = Target(reference, where);
  const Json rest = Without(schema, {"$ref"});
  if (Constrains(rest)) {
    return Any(Merged(target, rest, where), where, depth + 1);
  }
  if (reference == "#") return "root";
  if (const auto known = references_.find(reference);
      known != references_.end()) {
    return known->second;
  }
  // Known before it is there: it may refer to itself.
  const std::string name = NewName(reference.substr(1));
  references_[reference] = name;
  const std::string expression = Any(target, reference.substr(1), depth + 1);
  rules_[name] = expression;
  return name;
}

std::string SchemaConverter::Alternatives(const Json& schema,
                                          const char* keyword,
                                          const std::string& where,
                                          size_t depth) {
  const Json& list = schema[keyword];
  if (!list.is_array() || list.empty()) {
    FailSchema(where,
               std::string("'") + keyword + "' must be a list of schemas");
  }
  const Json rest = Without(schema, {keyword});
  const bool merges = Constrains(rest);
  std::vector<std::string> ways;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = Below(where, std::to_string(i));
    CheckSchema(list[i], place);
    if (list[i] == false) continue;
    const Json both = merges ? Merged(rest, list[i], place) : list[i];
    if (both == false) continue;
    ways.push_back(AddRule(place, Any(both, place, depth + 1)));
  }
  if (ways.empty()) FailSchema(where, "no value is allowed here");
  return OneOf(ways);
}

std::string SchemaConverter::All(const Json& schema, const std::string& where,
                                 size_t depth) {
  const Json& list = schema["allOf"];
  if (!list.is_array() || list.empty()) {
    FailSchema(where, "'allOf' must be a list of schemas");
  }
  Json merged = Without(schema, {"allOf"});
  if (!Constrains(merged)) merged = true;
  for (const Json& each : list) {
    CheckSchema(each, where);
    // What a reference stands for, so that it can be merged.
    Json next = each;
    for (size_t i = 0; next.is_object() && next.contains("$ref"); ++i) {
      if (list.size() == 1 && merged == true) break;
      if (!next["$ref"].is_string() || i > kMaxSchemaDepth) {
        FailSchema(where, "'$ref' must be a text that ends somewhere");
      }
      const Json& target = Target(next["$ref"].get<std::string>(), where);
      CheckSchema(target, where);
      next = Merged(target, Without(next, {"$ref"}), where);
    }
    merged = Merged(merged, next, where);
  }
  return Any(merged, where, depth + 1);
}

std::string SchemaConverter::Types(const Json& schema, const std::string& where,
                                   size_t depth) {
  if (!schema.contains("type")) {
    const auto has = [&schema](std::initializer_list<const char*> keywords) {
      return std::any_of(
          keywords.begin(), keywords.end(),
          [&schema](const char* each) { return schema.contains(each); });
    };
    // Other types would be allowed too, but are hardly meant.
    if (has({"properties", "required", "additionalProperties"})) {
      return Object(schema, where, depth);
    }
    if (has({"items", "prefixItems", "minItems", "maxItems"})) {
      return Array(schema, where, depth);
    }
    if (has({"pattern", "minLength", "maxLength"})) {
      return String(schema, where);
    }
    if (has({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) {
      return Number(schema, where, false);
    }
    return Use("value");
  }
  const Json& type = schema["type"];
  if (!type.is_array()) return OfType(schema, type, where, depth);
  std::vector<std::string> ways;
  for (const Json& each : type) {
    ways.push_back(AddRule(where, OfType(schema, each, where, depth)));
  }
  if (ways.empty()) FailSchema(where, "'type' has no types");
  return OneOf(ways);
}

std::string SchemaConverter::OfType(const Json& schema, const Json& type,
                                    const std::string& where, size_t depth) {
  if (type == "object") return Object(schema, where, depth);
  if (type == "array") return Array(schema, where, depth);
  if (type == "string") return String(schema, where);
  if (type == "integer") return Number(schema, where, true);
  if (type == "number") return Number(schema, where, false);
  if (type == "boolean") return Use("boolean");
  if (type == "null") return Use("null");
  FailSchema(where,
             "'type' is none of object, array, string, number, "
             "integer, boolean, null");
}

}  // namespace lutra::grammar
