#include "runtime/chat/access.h"

#include <algorithm>
#include <array>
#include <string>

#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/loop.h"
#include "runtime/chat/macro.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/namespace.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

constexpr std::string_view kInternal[] = {"__class__",
                                          "__class_getitem__",
                                          "__contains__",
                                          "__delattr__",
                                          "__delitem__",
                                          "__dir__",
                                          "__doc__",
                                          "__eq__",
                                          "__format__",
                                          "__ge__",
                                          "__getattribute__",
                                          "__getitem__",
                                          "__getstate__",
                                          "__gt__",
                                          "__hash__",
                                          "__init__",
                                          "__init_subclass__",
                                          "__ior__",
                                          "__iter__",
                                          "__le__",
                                          "__len__",
                                          "__lt__",
                                          "__ne__",
                                          "__new__",
                                          "__or__",
                                          "__reduce__",
                                          "__reduce_ex__",
                                          "__repr__",
                                          "__reversed__",
                                          "__ror__",
                                          "__setattr__",
                                          "__setitem__",
                                          "__sizeof__",
                                          "__str__",
                                          "__subclasshook__"};

bool IsInternal(std::string_view name) {
  return std::find(std::begin(kInternal), std::end(kInternal), name) !=
         std::end(kInternal);
}

Value Unsafe(Budget& budget, const Value& value, std::string_view name) {
  return MakeUndefined(budget, "access to attribute " + Quoted(name) + " of '" +
                                   TypeName(value) + "' object is unsafe.");
}

std::string TypeForMessage(const Value& value) {
  return value.IsNone() ? "None" : TypeName(value) + " object";
}

std::optional<Value> LoopAttribute(Budget& budget, const Value& value,
                                   std::string_view name) {
  const auto& loop = value.As<LoopObject>();
  const auto number = [](size_t n) {
    return Value::Integer(static_cast<Int>(n));
  };
  if (name == "index") return number(loop.index0 + 1);
  if (name == "index0") return number(loop.index0);
  if (name == "first") return Value::Bool(loop.index0 == 0);
  if (name == "last") return Value::Bool(loop.PeekNext() == nullptr);
  if (name == "length") return number(loop.Length());
  if (name == "revindex") return number(loop.Length() - loop.index0);
  if (name == "revindex0") return number(loop.Length() - loop.index0 - 1);
  if (name == "depth") return number(loop.depth0 + 1);
  if (name == "depth0") return number(loop.depth0);
  if (name == "previtem") {
    return loop.index0 == 0 ? MakeUndefined(budget, "there is no previous item")
                            : loop.before;
  }
  if (name == "nextitem") {
    const Value* next = loop.PeekNext();
    return next == nullptr ? MakeUndefined(budget, "there is no next item")
                           : *next;
  }
  return std::nullopt;
}

std::optional<Value> NumberAttribute(const Value& value,
                                     std::string_view name) {
  const bool integer = value.IsInteger();
  const Value number = integer ? Value::Integer(value.integer())
                               : Value::Float(value.AsDouble());
  if (name == "real") return number;
  if (name == "imag") return integer ? Value::Integer(0) : Value::Float(0);
  if (integer && name == "numerator") return number;
  if (integer && name == "denominator") return Value::Integer(1);
  return std::nullopt;
}

// Attributes that are no methods.
std::optional<Value> PlainAttribute(Budget& budget, const Value& value,
                                    std::string_view name) {
  switch (value.kind()) {
    case Kind::kLoop:
      return LoopAttribute(budget, value, name);
    case Kind::kNamespace: {
      const Value* found = value.As<NamespaceObject>().Find(name);
      if (found == nullptr) return std::nullopt;
      return *found;
    }
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return NumberAttribute(value, name);
    case Kind::kTuple: {
      const auto& tuple = value.As<ListObject>();
      if (tuple.group && name == "grouper") return tuple.items[0];
      if (tuple.group && name == "list") return tuple.items[1];
      return std::nullopt;
    }
    case Kind::kRange: {
      const auto& range = value.As<RangeObject>();
      if (name == "start") return Value::Integer(range.start);
      if (name == "stop") return Value::Integer(range.stop);
      if (name == "step") return Value::Integer(range.step);
      return std::nullopt;
    }
    case Kind::kMacro:
      if (name == "name") {
        return MakeString(&budget, value.As<MacroObject>().name);
      }
      return std::nullopt;
    case Kind::kCycler: {
      const auto& cycler = value.As<CyclerObject>();
      if (name == "current") return cycler.items[cycler.position];
      if (name == "pos") {
        return Value::Integer(static_cast<Int>(cycler.position));
      }
      if (name == "items") return MakeList(budget, cycler.items, Kind::kTuple);
      return std::nullopt;
    }
    case Kind::kJoiner:
      if (name == "sep") return value.As<JoinerObject>().separator;
      if (name == "used") return Value::Bool(value.As<JoinerObject>().used);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

// The element at a key, nothing where Python has none or cannot look.
std::optional<Value> FindElement(Budget& budget, const Value& value,
                                 const Value& key) {
  if (value.IsDict()) {
    // A key that cannot be one is a TypeError, and so none.
    switch (key.kind()) {
      case Kind::kView:
      case Kind::kList:
      case Kind::kDict:
        return std::nullopt;
      default:
        break;
    }
    const Value* found = FindKey(budget, value.As<DictObject>(), key);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  if (!key.IsInteger()) return std::nullopt;
  const bool sized =
      value.IsSequence() || value.IsString() || value.Is(Kind::kRange);
  if (!sized) return std::nullopt;
  const Int length = static_cast<Int>(Length(value));
  Int index = key.integer();
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  const auto at = static_cast<size_t>(index);
  if (value.IsSequence()) return value.items()[at];
  if (value.Is(Kind::kRange)) {
    const auto& range = value.As<RangeObject>();
    return Value::Integer(range.start + index * range.step);
  }
  const auto& text = value.As<StringObject>();
  if (!text.ascii()) budget.Step(text.text.size() / 16);
  return MakeString(&budget, std::string(Substring(text, at, at + 1)),
                    text.safe);
}

}  // namespace

std::optional<Value> FindAttribute(Budget& budget, const Value& value,
                                   std::string_view name) {
  if (value.IsUndefined() && IsInternal(name)) {
    return Unsafe(budget, value, name);
  }
  RequireDefined(value);
  if (auto plain = PlainAttribute(budget, value, name)) return plain;
  switch (FindMethod(value, name)) {
    case MethodKind::kNone:
      break;
    case MethodKind::kSafe: {
      auto method = std::make_shared<MethodObject>();
      method->Charge(budget, 64);
      method->depth = DepthAbove(value);
      method->self = value;
      method->name = std::string(name);
      return Value::Of(Kind::kMethod, std::move(method));
    }
    case MethodKind::kUnsafe:
      return Unsafe(budget, value, name);
    case MethodKind::kLacking:
      FailRun("chat template: the attribute '" + Printable(name) + "' of " +
              TypeName(value) + " is not supported");
  }
  if (IsInternal(name)) return Unsafe(budget, value, name);
  return std::nullopt;
}

Value GetAttribute(Budget& budget, const Value& value, std::string_view name) {
  budget.Step();
  if (auto found = FindAttribute(budget, value, name)) return *found;
  if (value.IsDict()) {
    const Value* found = FindKey(value.As<DictObject>(), name);
    if (found != nullptr) return *found;
  }
  return MakeUndefined(budget, Quoted(TypeForMessage(value)) +
                                   " has no attribute " + Quoted(name));
}

Value GetItem(Budget& budget, const Value& value, const Value& key) {
  budget.Step();
  RequireDefined(value);
  if (auto found = FindElement(budget, value, key)) return *found;
  if (key.IsString()) {
    if (auto found = FindAttribute(budget, value, key.text())) return *found;
    return MakeUndefined(budget, Quoted(TypeForMessage(value)) +
                                     " has no attribute " + Quoted(key.text()));
  }
  return MakeUndefined(budget,
                       TypeForMessage(value) + " has no element " +
                           (key.IsNumber() ? Representation(budget, key)
                                           : "of type " + TypeName(key)));
}

std::string_view Substring(const StringObject& text, size_t begin, size_t end) {
  const std::string_view all = text.text;
  if (text.ascii()) return all.substr(begin, end - begin);
  size_t at = 0;
  size_t first = all.size();
  for (size_t i = 0; i < end; ++i) {
    if (i == begin) first = at;
    at += ReadUtf8(all.substr(at)).bytes;
  }
  return begin >= end ? std::string_view() : all.substr(first, at - first);
}

namespace {

std::optional<Int> SliceIndex(const Value& value) {
  if (value.IsNone()) return std::nullopt;
  if (!value.IsInteger()) {
    FailRun(
        "slice indices must be integers or None or have an __index__ method");
  }
  return value.integer();
}

// Where a slice begins and ends, and how many elements it has.
struct SliceRange {
  Int begin = 0, step = 1;
  size_t count = 0;
};

SliceRange Resolve(size_t size, const Value& begin, const Value& end,
                   const Value& step) {
  const Int far = Int{1} << 62;
  const auto near = [far](Int value) { return std::clamp(value, -far, far); };
  const Int length = static_cast<Int>(size);
  const Int by = near(SliceIndex(step).value_or(1));
  if (by == 0) FailRun("slice step cannot be zero");
  const Int lowest = by < 0 ? -1 : 0;
  const Int highest = by < 0 ? length - 1 : length;
  const auto resolve = [&](const std::optional<Int>& index, Int otherwise) {
    if (!index) return otherwise;
    const Int at = near(*index) + (*index < 0 ? length : 0);
    return std::clamp(at, lowest, highest);
  };
  const Int from = resolve(SliceIndex(begin), by < 0 ? highest : lowest);
  const Int to = resolve(SliceIndex(end), by < 0 ? lowest : highest);
  SliceRange result;
  result.begin = from;
  result.step = by;
  if (by > 0 && to > from) {
    result.count = static_cast<size_t>((to - from - 1) / by + 1);
  } else if (by < 0 && from > to) {
    result.count = static_cast<size_t>((from - to - 1) / -by + 1);
  }
  return result;
}

Value SliceText(Budget& budget, const StringObject& text,
                const SliceRange& range) {
  budget.Step(text.text.size() / 16);
  const auto begin = static_cast<size_t>(range.begin);
  if (range.step == 1) {
    return MakeString(
        &budget,
        std::string(range.count == 0
                        ? std::string_view()
                        : Substring(text, begin, begin + range.count)),
        text.safe);
  }
  // The places of all characters.
  budget.Check(text.length * sizeof(size_t));
  std::vector<size_t> places;
  places.reserve(text.length + 1);
  for (size_t at = 0; at < text.text.size();) {
    places.push_back(at);
    at += ReadUtf8(std::string_view(text.text).substr(at)).bytes;
  }
  places.push_back(text.text.size());
  std::string result;
  Int at = range.begin;
  for (size_t i = 0; i < range.count; ++i, at += range.step) {
    const auto place = static_cast<size_t>(at);
    result.append(text.text, places[place], places[place + 1] - places[place]);
  }
  return MakeString(&budget, std::move(result), text.safe);
}

}  // namespace

Value GetSlice(Budget& budget, const Value& value, const Value& begin,
               const Value& end, const Value& step) {
  budget.Step();
  RequireDefined(value);
  if (!value.IsString() && !value.IsSequence() && !value.Is(Kind::kRange)) {
    FailRun("'" + TypeName(value) + "' object is not subscriptable by a slice");
  }
  const SliceRange range = Resolve(Length(value), begin, end, step);
  if (value.IsString()) {
    return SliceText(budget, value.As<StringObject>(), range);
  }
  if (value.Is(Kind::kRange)) {
    const auto& all = value.As<RangeObject>();
    const Int by = all.step * range.step;
    const Int first = all.start + range.begin * all.step;
    return MakeRange(budget, first, first + static_cast<Int>(range.count) * by,
                     by);
  }
  budget.Check(range.count * sizeof(Value));
  Values items;
  items.reserve(range.count);
  Int at = range.begin;
  for (size_t i = 0; i < range.count; ++i, at += range.step) {
    items.push_back(value.items()[static_cast<size_t>(at)]);
  }
  return MakeList(budget, std::move(items), value.kind());
}

}  // namespace lutra::chat
