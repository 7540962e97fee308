#ifndef LUTRA_RUNTIME_BASE_JSON_OBJECT_H_
#define LUTRA_RUNTIME_BASE_JSON_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"

namespace lutra {

// Checked access to the members of a JSON object from a file. A member that is
// null counts as absent. All functions throw Error "file: where: cause".
class JsonObject {
 public:
  // Both outlive the object. Throws if `value` is not an object.
  JsonObject(const nlohmann::json& value, std::string_view file,
             std::string where);

  std::string_view file() const { return file_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void Fail(const std::string& cause) const;

  // The members but for these, as JSON.
  std::string Without(std::initializer_list<std::string_view> keys) const;

  // Unknown members could change the meaning: throws if there are any.
  void AllowOnly(std::initializer_list<std::string_view> keys) const;

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // Whether the member is there, if only as null.
  bool Mentions(std::string_view key) const;
  // nullptr if absent.
  const nlohmann::json* Find(std::string_view key) const;
  const nlohmann::json& Get(std::string_view key) const;
  JsonObject Object(std::string_view key) const;
  // Throws if there are more than `limit` entries.
  const nlohmann::json& List(std::string_view key, size_t limit) const;

  std::string String(std::string_view key) const;
  std::string String(std::string_view key, std::string_view fallback) const;
  bool Bool(std::string_view key, bool fallback) const;
  // Whole numbers; 4.0 is not one.
  int64_t Integer(std::string_view key, int64_t minimum, int64_t maximum) const;
  int64_t Integer(std::string_view key, int64_t minimum, int64_t maximum,
                  int64_t fallback) const;
  // Finite numbers.
  double Number(std::string_view key, double minimum, double maximum) const;
  double Number(std::string_view key, double minimum, double maximum,
                double fallback) const;
  // A list of integers, or one integer alone; empty if absent.
  std::vector<int64_t> Integers(std::string_view key, int64_t minimum,
                                int64_t maximum, size_t limit) const;

 private:
  int64_t AsInteger(std::string_view key, const nlohmann::json& value,
                    int64_t minimum, int64_t maximum) const;

  const nlohmann::json& value_;
  std::string_view file_;
  std::string where_;
};

// A value as text for messages, shortened.
std::string ShortDump(const nlohmann::json& value);
std::string ShortDump(double value);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_JSON_OBJECT_H_
