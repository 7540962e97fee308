#include "tools/cli/json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace lutra::tools {

using nlohmann::ordered_json;

struct JsonConversion {
  static ordered_json To(const Json& json) {
    return std::visit([](const auto& value) { return To(value); }, json.value_);
  }
  template <typename T>
  static ordered_json To(const T& value) {
    return value;
  }
  static ordered_json To(const std::vector<Json>& items) {
    ordered_json array = ordered_json::array();
    for (const Json& item : items) array.push_back(To(item));
    return array;
  }
  static ordered_json To(const std::vector<Json::Member>& members) {
    ordered_json object = ordered_json::object();
    for (const Json::Member& member : members) {
      object[member.key] = To(member.value);
    }
    return object;
  }

  static Json From(const ordered_json& value) {
    Json json;
    if (value.is_object()) {
      json = Json::Object();
      for (const auto& [key, member] : value.items()) json[key] = From(member);
    } else if (value.is_array()) {
      json = Json::Array();
      for (const ordered_json& item : value) json.PushBack(From(item));
    } else if (value.is_string()) {
      json = value.get<std::string>();
    } else if (value.is_boolean()) {
      json = value.get<bool>();
    } else if (value.is_number_unsigned()) {
      json = value.get<uint64_t>();
    } else if (value.is_number_integer()) {
      json = value.get<int64_t>();
    } else if (value.is_number()) {
      json = value.get<double>();
    }
    return json;
  }
};

Json::Json() = default;
Json::Json(std::nullptr_t) {}
Json::Json(bool value) : value_(value) {}
Json::Json(int value) : value_(int64_t{value}) {}
Json::Json(unsigned value) : value_(uint64_t{value}) {}
Json::Json(long value) : value_(int64_t{value}) {}
Json::Json(unsigned long value) : value_(uint64_t{value}) {}
Json::Json(long long value) : value_(int64_t{value}) {}
Json::Json(unsigned long long value) : value_(uint64_t{value}) {}
Json::Json(double value) : value_(value) {}
Json::Json(const char* text) : value_(std::string(text)) {}
Json::Json(std::string_view text) : value_(std::string(text)) {}
Json::Json(std::string text) : value_(std::move(text)) {}
Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

Json::Json(std::initializer_list<Entry> entries) : Json(Object()) {
  for (const Entry& entry : entries) (*this)[entry.key] = entry.value;
}

Json Json::Array(std::initializer_list<Json> items) {
  Json json;
  json.value_ = std::vector<Json>(items);
  return json;
}

Json Json::Object() {
  Json json;
  json.value_ = std::vector<Member>();
  return json;
}

Json Json::Parse(std::string_view text) {
  return JsonConversion::From(ordered_json::parse(text));
}

bool Json::IsNull() const {
  return std::holds_alternative<std::nullptr_t>(value_);
}

bool Json::IsArray() const {
  return std::holds_alternative<std::vector<Json>>(value_);
}
bool Json::IsObject() const {
  return std::holds_alternative<std::vector<Member>>(value_);
}

std::optional<int64_t> Json::AsInteger() const {
  if (const auto* number = std::get_if<int64_t>(&value_)) return *number;
  const auto* number = std::get_if<uint64_t>(&value_);
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (number == nullptr || *number > kMost) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<double> Json::AsNumber() const {
  if (const auto* number = std::get_if<double>(&value_)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value_)) {
    return static_cast<double>(*number);
  }
  if (const auto* number = std::get_if<int64_t>(&value_)) {
    return static_cast<double>(*number);
  }
  return std::nullopt;
}

const std::string* Json::AsString() const {
  return std::get_if<std::string>(&value_);
}

Json& Json::operator[](std::string_view key) {
  if (IsNull()) value_ = std::vector<Member>();
  auto& members = std::get<std::vector<Member>>(value_);
  const auto found =
      std::find_if(members.begin(), members.end(),
                   [key](const Member& member) { return member.key == key; });
  if (found != members.end()) return found->value;
  members.push_back({std::string(key), {}});
  return members.back().value;
}

const Json* Json::Find(std::string_view key) const {
  for (const Member& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

void Json::Update(const Json& other) {
  for (const Member& member : other.members()) {
    (*this)[member.key] = member.value;
  }
}

void Json::PushBack(Json item) {
  if (IsNull()) value_ = std::vector<Json>();
  std::get<std::vector<Json>>(value_).push_back(std::move(item));
}

std::vector<Json>& Json::items() { return std::get<std::vector<Json>>(value_); }

const std::vector<Json>& Json::items() const {
  return std::get<std::vector<Json>>(value_);
}

const std::vector<Json::Member>& Json::members() const {
  return std::get<std::vector<Member>>(value_);
}

std::string Json::Dump(int indent, BadText bad_text) const {
  return JsonConversion::To(*this).dump(
      indent, ' ', false,
      bad_text == BadText::kThrow ? ordered_json::error_handler_t::strict
                                  : ordered_json::error_handler_t::replace);
}

}  // namespace lutra::tools
