#ifndef LUTRA_RUNTIME_CHAT_VALUE_H_
#define LUTRA_RUNTIME_CHAT_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/chat/budget.h"
#include "runtime/chat/wide_integer.h"

// The values of a template: Python's, as far as templates can tell.

namespace lutra::chat {

// Python's integers have no end; these hold what templates compute, and more is
// an error, never another number.
#if defined(__SIZEOF_INT128__)
__extension__ typedef __int128 Int;
#else  // compilers for 32 bits
using Int = WideInteger;
#endif

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,       // of a dict: keys, values, items
  kGenerator,  // can be iterated once
  kNamespace,
  kMacro,
  kFunction,
  kMethod,
  kLoop,
  kCycler,
  kJoiner,
};

// What values share. Its bytes are given back to the budget of the rendering;
// constants of a template have none.
class Object {
 public:
  Object() = default;
  virtual ~Object() {
    if (budget_ != nullptr) budget_->Give(bytes_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  void Charge(Budget& budget, size_t bytes) {
    budget.Take(bytes);
    if (budget_ == nullptr) budget_ = &budget;
    bytes_ += bytes;
  }

  // How many objects are below each other, this one included: destructors and
  // comparisons go as deep.
  size_t depth = 1;

 private:
  Budget* budget_ = nullptr;
  size_t bytes_ = 0;
};

struct StringObject;
struct ListObject;
struct DictObject;

class Value {
 public:
  Value() = default;  // undefined, for no known reason
  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool value) {
    Value result(Kind::kBool);
    result.int_ = value ? 1 : 0;
    return result;
  }
  static Value Integer(Int value) {
    Value result(Kind::kInt);
    result.int_ = value;
    return result;
  }
  static Value Float(double value) {
    Value result(Kind::kFloat);
    result.float_ = value;
    return result;
  }
  static Value Of(Kind kind, std::shared_ptr<const Object> object) {
    Value result(kind);
    result.object_ = std::move(object);
    return result;
  }

  Kind kind() const { return kind_; }
  bool Is(Kind kind) const { return kind_ == kind; }
  bool IsUndefined() const { return kind_ == Kind::kUndefined; }
  bool IsNone() const { return kind_ == Kind::kNone; }
  bool IsString() const { return kind_ == Kind::kString; }
  bool IsDict() const { return kind_ == Kind::kDict; }
  // A bool is an integer, as in Python.
  bool IsInteger() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool IsNumber() const { return IsInteger() || kind_ == Kind::kFloat; }
  bool IsSequence() const {
    return kind_ == Kind::kList || kind_ == Kind::kTuple;
  }

  bool boolean() const { return int_ != 0; }
  Int integer() const { return int_; }
  double real() const { return float_; }
  // Of a number.
  double AsDouble() const {
    return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_);
  }

  const Object* object() const { return object_.get(); }
  const std::shared_ptr<const Object>& shared() const { return object_; }
  template <class T>
  const T& As() const {
    return static_cast<const T&>(*object_);
  }
  inline const std::string& text() const;
  inline const std::vector<Value>& items() const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union {
    Int int_ = 0;
    double float_;
  };
  std::shared_ptr<const Object> object_;
};

using Values = std::vector<Value>;

// Of an undefined value: what to say when it is used.
struct UndefinedObject : Object {
  std::string cause;
};

struct StringObject : Object {
  std::string text;   // UTF-8
  size_t length = 0;  // code points
  bool safe = false;  // markupsafe's Markup

  bool ascii() const { return length == text.size(); }
};

struct ListObject : Object {  // and of tuples
  Values items;
  bool group = false;  // of groupby: has .grouper and .list
};

struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;
  // Keys that are strings, once there are many.
  std::unordered_map<std::string_view, size_t> index;
};

struct RangeObject : Object {
  Int start = 0, stop = 0, step = 1;
  size_t length = 0;
};

struct ViewObject : Object {
  enum Part { kKeys, kValues, kItems } part = kKeys;
  Value dict;
};

struct GeneratorObject : Object {
  Values items;
  mutable size_t next = 0;
};

struct CyclerObject : Object {
  Values items;
  mutable size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  mutable bool used = false;
};

enum class Function : uint8_t {
  kRange,
  kDict,
  kNamespace,
  kCycler,
  kJoiner,
  kLipsum,
  kRaise,
  kNow,
};

struct FunctionObject : Object {
  Function function = Function::kRange;
};

// A method with its object.
struct MethodObject : Object {
  Value self;
  std::string name;
};

inline const std::string& Value::text() const {
  return As<StringObject>().text;
}
inline const std::vector<Value>& Value::items() const {
  return As<ListObject>().items;
}

// The depth of an object that holds these. Throws if that is too deep.
size_t DepthAbove(const Value& item);
size_t DepthAbove(const Values& items);

// Constants of a template are charged to nobody (budget null).
Value MakeString(Budget* budget, std::string text, bool safe = false);
Value MakeList(Budget& budget, Values items, Kind kind = Kind::kList);
Value MakeGenerator(Budget& budget, Values items);
Value MakeUndefined(Budget& budget, std::string cause);
Value MakeRange(Budget& budget, Int start, Int stop, Int step);

// Builds a dict; a later value of a key replaces the earlier one.
class DictBuilder {
 public:
  explicit DictBuilder(Budget& budget);
  // The place of the key among all.
  size_t Set(const Value& key, Value value);
  Value Take();

 private:
  Budget& budget_;
  std::shared_ptr<DictObject> dict_;
};

// nullptr if it has none. Throws if the key cannot be one.
const Value* FindKey(Budget& budget, const DictObject& dict, const Value& key);
const Value* FindKey(const DictObject& dict, std::string_view key);

// The name of the type as Python has it.
std::string TypeName(const Value& value);

// How many elements; throws for what has no length.
size_t Length(const Value& value);

// All elements, as iteration gives them. Throws for what cannot be iterated.
Values Elements(Budget& budget, const Value& value);
bool IsIterable(const Value& value);

bool Truth(const Value& value);
bool Equal(Budget& budget, const Value& a, const Value& b);
// Below 0, 0, above 0. Throws for values without an order.
bool Less(Budget& budget, const Value& a, const Value& b,
          std::string_view op = "<");
// Of numbers, where one may be NaN: 2 if there is no order.
int CompareNumbers(const Value& a, const Value& b);
bool Contains(Budget& budget, const Value& container, const Value& value);
// Whether `is` holds in Python.
bool Same(const Value& a, const Value& b);

// Throws "'x' is undefined" for an undefined value.
void RequireDefined(const Value& value);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_VALUE_H_
