// Objects, arrays, strings and numbers of a schema.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/grammar/gbnf_text.h"
#include "runtime/grammar/schema_converter.h"
#include "runtime/grammar/schema_numbers.h"
#include "runtime/grammar/schema_pattern.h"

namespace lutra::grammar {
namespace {

constexpr size_t kMaxCount = 100'000;

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

}  // namespace

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
