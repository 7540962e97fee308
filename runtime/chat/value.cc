#include "runtime/chat/value.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/base/utf8.h"
#include "runtime/chat/loop.h"
#include "runtime/chat/namespace.h"

namespace lutra::chat {
namespace {

// What a small object costs beside its bytes.
constexpr size_t kOverhead = 64;
// Dicts with more entries get an index.
constexpr size_t kFewEntries = 8;

size_t CountCodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

void RequireHashable(const Value& key) {
  switch (key.kind()) {
    case Kind::kView:
      if (key.As<ViewObject>().part == ViewObject::kValues) return;
      [[fallthrough]];
    case Kind::kList:
    case Kind::kDict:
      FailRun("unhashable type: '" + TypeName(key) + "'");
    case Kind::kTuple:
      for (const Value& item : key.items()) RequireHashable(item);
      return;
    default:
      return;
  }
}

std::optional<size_t> IndexOf(Budget& budget, const DictObject& dict,
                              const Value& key) {
  if (key.IsString() && !dict.index.empty()) {
    const auto entry = dict.index.find(key.text());
    if (entry == dict.index.end()) return std::nullopt;
    return entry->second;
  }
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    budget.Step();
    if (Equal(budget, dict.entries[i].first, key)) return i;
  }
  return std::nullopt;
}

}  // namespace

size_t DepthAbove(const Value& item) {
  const size_t depth = item.object() == nullptr ? 0 : item.object()->depth;
  if (depth >= kMaxValueDepth) {
    FailLimit("chat template: values are nested too deeply");
  }
  return depth + 1;
}

size_t DepthAbove(const Values& items) {
  size_t depth = 1;
  for (const Value& item : items) depth = std::max(depth, DepthAbove(item));
  return depth;
}

Value MakeString(Budget* budget, std::string text, bool safe) {
  auto object = std::make_shared<StringObject>();
  if (budget != nullptr) object->Charge(*budget, kOverhead + text.size());
  object->length = CountCodePoints(text);
  object->text = std::move(text);
  object->safe = safe;
  return Value::Of(Kind::kString, std::move(object));
}

Value MakeList(Budget& budget, Values items, Kind kind) {
  auto object = std::make_shared<ListObject>();
  object->Charge(budget, kOverhead + items.size() * sizeof(Value));
  object->depth = DepthAbove(items);
  object->items = std::move(items);
  return Value::Of(kind, std::move(object));
}

Value MakeGenerator(Budget& budget, Values items) {
  auto object = std::make_shared<GeneratorObject>();
  object->Charge(budget, kOverhead + items.size() * sizeof(Value));
  object->depth = DepthAbove(items);
  object->items = std::move(items);
  return Value::Of(Kind::kGenerator, std::move(object));
}

Value MakeUndefined(Budget& budget, std::string cause) {
  auto object = std::make_shared<UndefinedObject>();
  object->Charge(budget, kOverhead + cause.size());
  object->cause = std::move(cause);
  return Value::Of(Kind::kUndefined, std::move(object));
}

Value MakeRange(Budget& budget, Int start, Int stop, Int step) {
  constexpr Int kMost = 100'000;  // as Jinja's sandbox has it
  static constexpr Int kFar = Int{1} << 100;
  if (step == 0) FailRun("range() arg 3 must not be zero");
  const auto outside = [](Int value) { return value > kFar || value < -kFar; };
  if (outside(start) || outside(stop) || outside(step)) {
    FailLimit("range(): the numbers are too large");
  }
  Int length = 0;
  if (step > 0 && stop > start) length = (stop - start - 1) / step + 1;
  if (step < 0 && stop < start) length = (start - stop - 1) / -step + 1;
  if (length > kMost) {
    FailLimit("Range too big. The sandbox blocks ranges larger than 100000.");
  }
  auto object = std::make_shared<RangeObject>();
  object->Charge(budget, kOverhead);
  object->start = start;
  object->stop = stop;
  object->step = step;
  object->length = static_cast<size_t>(length);
  return Value::Of(Kind::kRange, std::move(object));
}

DictBuilder::DictBuilder(Budget& budget)
    : budget_(budget), dict_(std::make_shared<DictObject>()) {
  dict_->Charge(budget_, kOverhead);
}

size_t DictBuilder::Set(const Value& key, Value value) {
  RequireHashable(key);
  dict_->depth = std::max({dict_->depth, DepthAbove(value), DepthAbove(key)});
  if (const auto found = IndexOf(budget_, *dict_, key)) {
    dict_->entries[*found].second = std::move(value);
    return *found;
  }
  dict_->Charge(budget_, 2 * sizeof(Value));
  dict_->entries.emplace_back(key, std::move(value));
  const size_t count = dict_->entries.size();
  if (!dict_->index.empty()) {
    if (key.IsString()) dict_->index.emplace(key.text(), count - 1);
  } else if (count > kFewEntries) {
    for (size_t i = 0; i < count; ++i) {
      const Value& each = dict_->entries[i].first;
      if (each.IsString()) dict_->index.emplace(each.text(), i);
    }
  }
  return count - 1;
}

Value DictBuilder::Take() { return Value::Of(Kind::kDict, std::move(dict_)); }

const Value* FindKey(Budget& budget, const DictObject& dict, const Value& key) {
  RequireHashable(key);
  const auto found = IndexOf(budget, dict, key);
  return found ? &dict.entries[*found].second : nullptr;
}

const Value* FindKey(const DictObject& dict, std::string_view key) {
  if (!dict.index.empty()) {
    const auto entry = dict.index.find(key);
    return entry == dict.index.end() ? nullptr
                                     : &dict.entries[entry->second].second;
  }
  for (const auto& [each, value] : dict.entries) {
    if (each.IsString() && each.text() == key) return &value;
  }
  return nullptr;
}

std::string TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.As<StringObject>().safe ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      switch (value.As<ViewObject>().part) {
        case ViewObject::kKeys:
          return "dict_keys";
        case ViewObject::kValues:
          return "dict_values";
        case ViewObject::kItems:
          return "dict_items";
      }
      break;
    case Kind::kGenerator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "builtin_function_or_method";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

void RequireDefined(const Value& value) {
  if (!value.IsUndefined()) return;
  FailRun(value.object() == nullptr ? "an undefined value is used"
                                    : value.As<UndefinedObject>().cause);
}

size_t Length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.As<StringObject>().length;
    case Kind::kList:
    case Kind::kTuple:
      return value.items().size();
    case Kind::kDict:
      return value.As<DictObject>().entries.size();
    case Kind::kRange:
      return value.As<RangeObject>().length;
    case Kind::kView:
      return Length(value.As<ViewObject>().dict);
    case Kind::kLoop:
      return value.As<LoopObject>().Length();
    default:
      FailRun("object of type '" + TypeName(value) + "' has no len()");
  }
}

bool IsIterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kGenerator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

namespace {

Values Characters(Budget& budget, const StringObject& string) {
  budget.Check(string.length * (sizeof(Value) + kOverhead));
  Values items;
  items.reserve(string.length);
  std::string_view rest = string.text;
  while (!rest.empty()) {
    const size_t bytes = ReadUtf8(rest).bytes;
    items.push_back(MakeString(&budget, std::string(rest.substr(0, bytes))));
    rest.remove_prefix(bytes);
  }
  return items;
}

Values ElementsOf(Budget& budget, const ViewObject& view) {
  Values items;
  for (const auto& [key, value] : view.dict.As<DictObject>().entries) {
    switch (view.part) {
      case ViewObject::kKeys:
        items.push_back(key);
        break;
      case ViewObject::kValues:
        items.push_back(value);
        break;
      case ViewObject::kItems:
        items.push_back(MakeList(budget, {key, value}, Kind::kTuple));
        break;
    }
  }
  return items;
}

Values ElementsOf(Budget& budget, const RangeObject& range) {
  budget.Check(range.length * sizeof(Value));
  Values items;
  items.reserve(range.length);
  for (size_t i = 0; i < range.length; ++i) {
    items.push_back(
        Value::Integer(range.start + static_cast<Int>(i) * range.step));
  }
  return items;
}

}  // namespace

Values Elements(Budget& budget, const Value& value) {
  Values items;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString:
      items = Characters(budget, value.As<StringObject>());
      break;
    case Kind::kList:
    case Kind::kTuple:
      items = value.items();
      break;
    case Kind::kDict:
      for (const auto& entry : value.As<DictObject>().entries) {
        items.push_back(entry.first);
      }
      break;
    case Kind::kRange:
      items = ElementsOf(budget, value.As<RangeObject>());
      break;
    case Kind::kView:
      items = ElementsOf(budget, value.As<ViewObject>());
      break;
    case Kind::kGenerator: {
      const auto& generator = value.As<GeneratorObject>();
      items.assign(
          generator.items.begin() + static_cast<std::ptrdiff_t>(generator.next),
          generator.items.end());
      generator.next = generator.items.size();
      break;
    }
    case Kind::kLoop:
      FailRun("a loop over 'loop' is not supported");
    default:
      FailRun("'" + TypeName(value) + "' object is not iterable");
  }
  budget.Step(items.size());
  return items;
}

bool Truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.real() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kLoop:
      return Length(value) > 0;
    default:
      return true;
  }
}

}  // namespace lutra::chat
