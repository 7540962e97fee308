#include "runtime/grammar/schema_converter.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/grammar/gbnf_text.h"
#include "runtime/grammar/json_schema.h"
#include "runtime/grammar/schema_numbers.h"
#include "runtime/grammar/schema_pattern.h"

namespace lutra::grammar {
namespace {

// Schemas within each other, references followed; and all of them together, as
// a schema of many alternatives grows when it is merged.
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxSchemas = 10'000;
constexpr size_t kMaxCount = 100'000;

// What every schema may use. White space is bounded, so that a model cannot
// write it for ever, and so are numbers.
struct Shared {
  std::string_view name;
  std::string_view expression;
  std::string_view uses;  // names, a space between them
};
constexpr Shared kShared[] = {
    {"ws", R"( | " " | "\n" [ \t]{0,20})", ""},
    {"char",
     R"([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | [dD] [89abAB] [0-9a-fA-F]{2} "\\u" [dD] [c-fC-F] [0-9a-fA-F]{2})))",
     ""},
    {"string", R"("\"" char* "\"")", "char"},
    {"integer", R"("-"? ("0" | [1-9] [0-9]{0,15}))", ""},
    {"number", R"(integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)",
     "integer"},
    {"boolean", R"("true" | "false")", ""},
    {"null", R"("null")", ""},
    {"value", R"(object | array | string | number | boolean | null)",
     "object array string number boolean null"},
    {"member", R"(string ":" ws value)", "string ws value"},
    {"object", R"("{" ws (member ("," ws member)* ws)? "}")", "ws member"},
    {"array", R"("[" ws (value ("," ws value)* ws)? "]")", "ws value"},
    {"date",
     R"([0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01]))",
     ""},
    {"time",
     R"(([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]))",
     ""},
    {"date-time", R"(date "T" time)", "date time"},
    {"uuid",
     R"([0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12})",
     ""},
};

const Shared* FindShared(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kShared), std::end(kShared),
                   [name](const Shared& each) { return each.name == name; });
  return found == std::end(kShared) ? nullptr : found;
}

// A count of characters or elements; nothing where the keyword is missing.
std::optional<size_t> Count(const Json& schema, const char* keyword,
                            const std::string& where) {
  if (!schema.contains(keyword)) return std::nullopt;
  const Json& value = schema[keyword];
  const bool is_count = value.is_number() && value >= 0 && value <= kMaxCount &&
                        value == value.get<size_t>();
  if (!is_count) {
    FailSchema(where, std::string("'") + keyword +
                          "' must be a number from 0 to " +
                          std::to_string(kMaxCount));
  }
  return value.get<size_t>();
}

std::optional<int64_t> Limit(const Json& schema, const char* keyword,
                             const std::string& where) {
  if (!schema.contains(keyword)) return std::nullopt;
  const Json& value = schema[keyword];
  constexpr auto kMost = static_cast<double>(kMaxLimit);
  const double number = value.is_number() ? value.get<double>() : kMost + 1;
  const bool is_limit =
      number >= -kMost && number <= kMost &&
      number == static_cast<double>(static_cast<int64_t>(number));
  if (!is_limit) {
    FailSchema(where, std::string("'") + keyword +
                          "' must be a whole number "
                          "within 10^15 of 0");
  }
  return static_cast<int64_t>(number);
}

bool IsSchema(const Json& value) {
  return value.is_object() || value.is_boolean();
}

void CheckSchema(const Json& schema, const std::string& where) {
  if (!IsSchema(schema)) {
    FailSchema(where, "a schema must be an object, true or false");
  }
}

std::string Literal(const Json& value, const std::string& where) {
  try {
    return Quoted(value.dump());
  } catch (const Json::exception&) {
    FailSchema(where, "a text is not UTF-8");
  }
}

// The schema without these.
Json Without(Json schema, std::initializer_list<const char*> keywords) {
  for (const char* keyword : keywords) schema.erase(keyword);
  return schema;
}

}  // namespace

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
    std::string_view uses = FindShared(name)->uses;
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
  for (const Shared& each : kShared) {
    if (!used_.contains(each.name)) continue;
    text +=
        std::string(each.name) + " ::= " + std::string(each.expression) + "\n";
  }
  return text;
}

std::string SchemaConverter::Any(const Json& schema, const std::string& where,
                                 size_t depth) {
  CheckSchema(schema, where);
  if (depth > kMaxDepth) FailSchema(where, "schemas are nested too deeply");
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
      if (!next["$ref"].is_string() || i > kMaxDepth) {
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

std::string SchemaConverter::Object(const Json& schema,
                                    const std::string& where, size_t depth) {
  static const Json kNone = Json::object();
  static const Json kFalse = false;
  static const Json kTrue = true;
  Json properties =
      schema.contains("properties") ? schema["properties"] : kNone;
  if (!properties.is_object()) {
    FailSchema(where, "'properties' must be an object");
  }
  std::set<std::string> required;
  if (schema.contains("required")) {
    if (!schema["required"].is_array()) {
      FailSchema(where, "'required' must be a list of names");
    }
    for (const Json& name : schema["required"]) {
      if (!name.is_string()) {
        FailSchema(where, "'required' must be a list of names");
      }
      required.insert(name.get<std::string>());
    }
  }
  for (const std::string& name : required) {
    if (properties.contains(name)) continue;
    properties[name] = schema.contains("additionalProperties")
                           ? schema["additionalProperties"]
                           : kTrue;
  }
  const Json& more = schema.contains("additionalProperties")
                         ? schema["additionalProperties"]
                         : kFalse;
  CheckSchema(more, Below(where, "additionalProperties"));
  if (!schema.contains("properties") && required.empty() &&
      !schema.contains("additionalProperties")) {
    return Use("object");
  }
  const std::string ws = Use("ws");

  std::vector<std::string> keys;
  for (const auto& [key, value] : properties.items()) keys.push_back(key);
  // What may follow the first properties: "first" where none was written yet.
  std::string first = "\"\"";
  std::string next = "\"\"";
  if (more != false) {
    const std::string place = Below(where, "additionalProperties");
    const std::string member =
        AddRule(place, OtherKey(keys, place) + " \":\" " + ws + " " +
                           AddRule(place, Any(more, place, depth + 1)));
    next = "(\",\" " + ws + " " + member + ")*";
    first = "(" + member + " " + next + ")?";
  }
  for (size_t i = keys.size(); i-- > 0;) {
    const std::string place = Below(Below(where, "properties"), keys[i]);
    const Json& value = properties[keys[i]];
    const bool is_required = required.contains(keys[i]);
    CheckSchema(value, place);
    if (value == false && !is_required) continue;
    const std::string member =
        AddRule(place, Literal(keys[i], place) + " \":\" " + ws + " " +
                           AddRule(place, Any(value, place, depth + 1)));
    const std::string rest = AddRule(place + "/next", next);
    const std::string others = is_required ? "" : " | " + first;
    const std::string skipped = is_required ? "" : " | " + rest;
    first = "(" + member + " " + rest + others + ")";
    next = "\",\" " + ws + " " + member + " " + rest + skipped;
    first = AddRule(place + "/first", first);
  }
  return "\"{\" " + ws + " " + first + " " + ws + " \"}\"";
}

std::string SchemaConverter::OtherKey(const std::vector<std::string>& keys,
                                      const std::string& where) {
  // Escapes could spell one of the keys, so other keys have none.
  const std::vector<CodePoints> escaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  const std::string plain = Class(Complement(escaped));
  if (keys.empty()) return Use("string");
  // A tree of the keys' characters: each node goes on with one of its own, or
  // leaves the tree.
  struct Node {
    std::map<char32_t, size_t> next;
    bool is_key = false;
  };
  std::vector<Node> tree(1);
  for (std::string_view key : keys) {
    size_t node = 0;
    while (!key.empty()) {
      const char32_t c = DecodeUtf8(key);
      key.remove_prefix(ReadUtf8(key).bytes);
      const auto [child, is_new] = tree[node].next.try_emplace(c, tree.size());
      node = child->second;
      if (is_new) tree.emplace_back();
    }
    tree[node].is_key = true;
  }
  // Below, a node has a higher number.
  std::vector<std::string> rules(tree.size());
  for (size_t i = tree.size(); i-- > 0;) {
    std::vector<std::string> ways;
    std::vector<CodePoints> taken = escaped;
    for (const auto& [c, child] : tree[i].next) {
      taken.emplace_back(c, c);
      if (c < 0x20 || c == '"' || c == '\\') continue;
      ways.push_back(Class({{c, c}}) + " " + rules[child]);
    }
    ways.push_back(Class(Complement(taken)) + " " + plain + "*");
    if (!tree[i].is_key) ways.emplace_back("\"\"");
    rules[i] = AddRule(where + "/key", OneOf(ways));
  }
  return "\"\\\"\" " + rules[0] + " \"\\\"\"";
}

std::string SchemaConverter::Array(const Json& schema, const std::string& where,
                                   size_t depth) {
  const std::string ws = Use("ws");
  const size_t least = Count(schema, "minItems", where).value_or(0);
  const std::optional<size_t> most = Count(schema, "maxItems", where);
  if (most && *most < least) FailSchema(where, "no length is allowed");
  // "items" is a list in draft 7 what "prefixItems" is since 2020-12.
  const bool is_old = schema.contains("items") && schema["items"].is_array();
  const char* const prefix_key = is_old ? "items" : "prefixItems";
  const char* const items_key = is_old ? "additionalItems" : "items";
  const Json prefix =
      schema.contains(prefix_key) ? schema[prefix_key] : Json::array();
  if (!prefix.is_array()) FailSchema(where, "'prefixItems' must be a list");
  // Behind a prefix there is only what is asked for.
  const Json items = schema.contains(items_key) ? schema[items_key]
                     : prefix.empty() || least > prefix.size() ? Json(true)
                                                               : Json(false);
  std::string elements;
  const size_t fixed = std::min(prefix.size(), most.value_or(prefix.size()));
  for (size_t i = 0; i < fixed; ++i) {
    const std::string place =
        Below(Below(where, prefix_key), std::to_string(i));
    if (i > 0) elements += " \",\" " + ws + " ";
    elements += AddRule(place, Any(prefix[i], place, depth + 1));
  }
  const size_t needed = least > fixed ? least - fixed : 0;
  CheckSchema(items, Below(where, items_key));
  if (items == false && needed > 0) FailSchema(where, "no length is allowed");
  if (items != false && most.value_or(fixed + 1) > fixed) {
    const std::string place = Below(where, items_key);
    const std::string item = AddRule(place, Any(items, place, depth + 1));
    std::optional<size_t> room;
    if (most) room = *most - fixed;
    const std::string more = "(\",\" " + ws + " " + item + ")";
    if (fixed > 0) {
      elements += " " + more + Times(needed, room ? &*room : nullptr);
    } else {
      if (room) --*room;
      const size_t others = needed > 0 ? needed - 1 : 0;
      elements = item + " " + more + Times(others, room ? &*room : nullptr);
      if (needed == 0) elements = "(" + elements + ")?";
    }
  }
  if (elements.empty()) return "\"[\" " + ws + " \"]\"";
  return "\"[\" " + ws + " " + elements + " " + ws + " \"]\"";
}

std::string SchemaConverter::String(const Json& schema,
                                    const std::string& where) {
  const std::optional<size_t> least = Count(schema, "minLength", where);
  const std::optional<size_t> most = Count(schema, "maxLength", where);
  if (most && *most < least.value_or(0)) {
    FailSchema(where, "no length is allowed");
  }
  if (schema.contains("pattern")) {
    if (least || most) {
      FailSchema(where, "'pattern' beside a length is not supported");
    }
    if (!schema["pattern"].is_string()) {
      FailSchema(where, "'pattern' must be a text");
    }
    return "\"\\\"\" " +
           PatternToGbnf(schema["pattern"].get<std::string>(), Use("char"),
                         "JSON schema: " + where) +
           " \"\\\"\"";
  }
  if (least || most) {
    return "\"\\\"\" " + Use("char") +
           Times(least.value_or(0), most ? &*most : nullptr) + " \"\\\"\"";
  }
  // Other formats only describe.
  for (const char* format : {"date", "time", "date-time", "uuid"}) {
    if (schema.contains("format") && schema["format"] == format) {
      return "\"\\\"\" " + Use(format) + " \"\\\"\"";
    }
  }
  return Use("string");
}

std::string SchemaConverter::Number(const Json& schema,
                                    const std::string& where, bool whole) {
  NumberLimits limits;
  limits.least = Limit(schema, "minimum", where);
  limits.most = Limit(schema, "maximum", where);
  if (const auto more = Limit(schema, "exclusiveMinimum", where)) {
    limits.more = !limits.least || *more >= *limits.least;
    if (limits.more) limits.least = more;
  }
  if (const auto less = Limit(schema, "exclusiveMaximum", where)) {
    limits.less = !limits.most || *less <= *limits.most;
    if (limits.less) limits.most = less;
  }
  if (!limits.any()) return Use(whole ? "integer" : "number");
  const std::string numbers =
      whole ? IntegersWithin(limits) : NumbersWithin(limits);
  if (numbers.empty()) FailSchema(where, "no number is allowed");
  return numbers;
}

}  // namespace lutra::grammar
