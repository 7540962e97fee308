#include "runtime/base/json_object.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {

using nlohmann::json;

namespace {

std::string Quoted(std::string_view key) {
  std::string text = "'";
  text += key;
  return text += "'";
}

}  // namespace

// As nlohmann's writer has them, which a program that only reads need not link.
std::string ShortDump(const json& value) {
  constexpr size_t kLongest = 60;
  switch (value.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case json::value_t::number_integer:
      return std::to_string(value.get<int64_t>());
    case json::value_t::number_unsigned:
      return std::to_string(value.get<uint64_t>());
    case json::value_t::number_float:
      return ShortDump(value.get<double>());
    case json::value_t::string: {
      const std::string_view text = value.get_ref<const std::string&>();
      const bool fits = text.size() < kLongest - 1;
      return TextOf("\"", text.substr(0, kLongest - 1), fits ? "\"" : "...");
    }
    case json::value_t::array:
      return "a list";
    default:
      return "an object";
  }
}

std::string ShortDump(double value) {
#ifdef __cpp_lib_to_chars
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value);
  const std::string_view text(digits, end.ptr);
  // What looks like a whole number is none.
  return TextOf(text, text.find_first_of(".en") == text.npos ? ".0" : "");
#else
  return json(value).dump();
#endif
}

JsonObject::JsonObject(const json& value, std::string_view file,
                       std::string where)
    : value_(value), file_(file), where_(std::move(where)) {
  if (!value.is_object()) Fail("is not a JSON object");
}

void JsonObject::Fail(const std::string& cause) const {
  throw Error::InFile(file_, TextOf(where_, ": ", cause));
}

void JsonObject::AllowOnly(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : value_.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      Fail(TextOf("unknown key ", Quoted(key)));
    }
  }
}

const json* JsonObject::Find(std::string_view key) const {
  const auto member = value_.find(key);
  if (member == value_.end() || member->is_null()) return nullptr;
  return &*member;
}

bool JsonObject::Mentions(std::string_view key) const {
  return value_.contains(key);
}

const json& JsonObject::Get(std::string_view key) const {
  const json* member = Find(key);
  if (member == nullptr) Fail(TextOf("has no ", Quoted(key)));
  return *member;
}

JsonObject JsonObject::Object(std::string_view key) const {
  return JsonObject(Get(key), file_, TextOf(where_, ": ", key));
}

const json& JsonObject::List(std::string_view key, size_t limit) const {
  const json& list = Get(key);
  if (!list.is_array()) Fail(TextOf(Quoted(key), " is not a list"));
  if (list.size() > limit) {
    Fail(TextOf(Quoted(key), " has more than ", limit, " entries"));
  }
  return list;
}

std::string JsonObject::String(std::string_view key) const {
  const json& value = Get(key);
  if (!value.is_string()) {
    Fail(TextOf(Quoted(key), " is ", ShortDump(value), ", not a string"));
  }
  return value.get<std::string>();
}

std::string JsonObject::String(std::string_view key,
                               std::string_view fallback) const {
  return Has(key) ? String(key) : std::string(fallback);
}

bool JsonObject::Bool(std::string_view key, bool fallback) const {
  const json* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    Fail(TextOf(Quoted(key), " is ", ShortDump(*value), ", not true or false"));
  }
  return value->get<bool>();
}

int64_t JsonObject::AsInteger(std::string_view key, const json& value,
                              int64_t minimum, int64_t maximum) const {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     std::in_range<int64_t>(value.get<uint64_t>()));
  const int64_t number = fits ? value.get<int64_t>() : 0;
  if (!fits || number < minimum || number > maximum) {
    Fail(TextOf(Quoted(key), " is ", ShortDump(value),
                ", not a whole number from ", minimum, " to ", maximum));
  }
  return number;
}

int64_t JsonObject::Integer(std::string_view key, int64_t minimum,
                            int64_t maximum) const {
  return AsInteger(key, Get(key), minimum, maximum);
}

int64_t JsonObject::Integer(std::string_view key, int64_t minimum,
                            int64_t maximum, int64_t fallback) const {
  return Has(key) ? Integer(key, minimum, maximum) : fallback;
}

double JsonObject::Number(std::string_view key, double minimum,
                          double maximum) const {
  const json& value = Get(key);
  const double number = value.is_number() ? value.get<double>() : 0;
  if (!value.is_number() || !std::isfinite(number) || number < minimum ||
      number > maximum) {
    Fail(TextOf(Quoted(key), " is ", ShortDump(value), ", not a number from ",
                ShortDump(minimum), " to ", ShortDump(maximum)));
  }
  return number;
}

double JsonObject::Number(std::string_view key, double minimum, double maximum,
                          double fallback) const {
  return Has(key) ? Number(key, minimum, maximum) : fallback;
}

std::string JsonObject::Without(
    std::initializer_list<std::string_view> keys) const {
  std::string text = "{";
  for (const auto& [key, value] : value_.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    if (text.size() > 1) text += ',';
    text += QuoteJson(key, file_) + ':' + value.dump();
  }
  return TextOf(text, "}");
}

std::vector<int64_t> JsonObject::Integers(std::string_view key, int64_t minimum,
                                          int64_t maximum, size_t limit) const {
  const json* value = Find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {AsInteger(key, *value, minimum, maximum)};
  std::vector<int64_t> numbers;
  for (const json& entry : List(key, limit)) {
    numbers.push_back(AsInteger(key, entry, minimum, maximum));
  }
  return numbers;
}

}  // namespace lutra
