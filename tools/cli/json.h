#ifndef LUTRA_TOOLS_CLI_JSON_H_
#define LUTRA_TOOLS_CLI_JSON_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// What verbs print with --json. The library behind it (nlohmann/json) takes
// long to compile, so that only json.cc sees it.

namespace lutra::tools {

// A JSON value whose objects keep the order in which keys were added.
class Json {
 public:
  struct Member;  // of an object
  struct Entry;   // one to be

  Json();  // null
  Json(std::nullptr_t);
  Json(bool value);
  Json(int value);
  Json(unsigned value);
  Json(long value);
  Json(unsigned long value);
  Json(long long value);
  Json(unsigned long long value);
  // JSON has no infinity and no NaN: they are printed as null.
  Json(double value);
  Json(const char* text);
  Json(std::string_view text);
  Json(std::string text);
  // An array.
  template <typename T>
  Json(const std::vector<T>& values) : Json(Array()) {
    for (const T& value : values) PushBack(value);
  }
  // An object, as in Json{{"name", name}, {"bytes", 12}}.
  Json(std::initializer_list<Entry> entries);

  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  static Json Array(std::initializer_list<Json> items = {});
  static Json Object();
  // Throws std::exception for a text that is not JSON.
  static Json Parse(std::string_view text);

  bool IsNull() const;
  bool IsArray() const;
  bool IsObject() const;
  // nullptr if it is no string.
  const std::string* AsString() const;
  // nullopt if it is no whole number, or too large.
  std::optional<int64_t> AsInteger() const;
  // nullopt if it is no number.
  std::optional<double> AsNumber() const;

  // The member of an object, which is added as null if there is none. Null
  // becomes an object.
  Json& operator[](std::string_view key);
  // nullptr if there is none.
  const Json* Find(std::string_view key) const;
  // Adds the members of another object, or replaces their values.
  void Update(const Json& other);
  // Appends to an array. Null becomes one.
  void PushBack(Json item);

  // Of an array, or an object. Throws std::exception for other values, as do
  // the functions above for what is neither that nor null.
  std::vector<Json>& items();
  const std::vector<Json>& items() const;
  const std::vector<Member>& members() const;

  // On one line, or with `indent` spaces for each level. Strings should be
  // UTF-8; where one is not, this throws std::exception, or puts U+FFFD for
  // what is wrong.
  enum class BadText { kThrow, kReplace };
  std::string Dump(int indent = -1, BadText bad_text = BadText::kThrow) const;

 private:
  friend struct JsonConversion;  // from and to the library's values

  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string,
               std::vector<Json>, std::vector<Member>>
      value_;
};

struct Json::Member {
  std::string key;
  Json value;
};

struct Json::Entry {
  std::string_view key;
  Json value;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_JSON_H_
