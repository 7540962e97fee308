#include "runtime/chat/methods.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "runtime/chat/loop.h"
#include "runtime/chat/numbers.h"

namespace lutra::chat {
namespace {

// Sorted, for humans.
constexpr std::string_view kStringMethods[] = {
    "capitalize",   "casefold",  "center",       "count",        "endswith",
    "expandtabs",   "find",      "format",       "format_map",   "index",
    "isalnum",      "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",   "isnumeric",    "isprintable",  "isspace",
    "istitle",      "isupper",   "join",         "ljust",        "lower",
    "lstrip",       "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",    "rjust",        "rpartition",   "rsplit",
    "rstrip",       "split",     "splitlines",   "startswith",   "strip",
    "swapcase",     "title",     "upper",        "zfill"};
constexpr std::string_view kStringLacking[] = {"encode", "maketrans",
                                               "translate"};
constexpr std::string_view kMarkupLacking[] = {"striptags", "unescape",
                                               "escape"};
constexpr std::string_view kListMethods[] = {"copy", "count", "index"};
constexpr std::string_view kListUnsafe[] = {
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
constexpr std::string_view kTupleMethods[] = {"count", "index"};
constexpr std::string_view kDictMethods[] = {"copy", "get", "items", "keys",
                                             "values"};
constexpr std::string_view kDictUnsafe[] = {"clear", "pop", "popitem",
                                            "setdefault", "update"};
constexpr std::string_view kDictLacking[] = {"fromkeys"};
constexpr std::string_view kIntMethods[] = {"bit_count", "bit_length",
                                            "conjugate"};
constexpr std::string_view kIntLacking[] = {"as_integer_ratio", "from_bytes",
                                            "to_bytes"};
constexpr std::string_view kFloatMethods[] = {"conjugate", "is_integer"};
constexpr std::string_view kFloatLacking[] = {"as_integer_ratio", "fromhex",
                                              "hex"};
constexpr std::string_view kLoopMethods[] = {"cycle", "changed"};
constexpr std::string_view kCyclerMethods[] = {"next", "reset"};
constexpr std::string_view kViewLacking[] = {"isdisjoint", "mapping"};
constexpr std::string_view kGeneratorLacking[] = {
    "close", "send", "throw", "gi_running", "gi_yieldfrom", "gi_suspended"};
constexpr std::string_view kMacroLacking[] = {
    "arguments", "caller", "catch_kwargs", "catch_varargs", "explicit_caller"};

template <size_t N>
bool IsIn(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

template <size_t N>
MethodKind Find(const std::string_view (&safe)[N], std::string_view name) {
  return IsIn(safe, name) ? MethodKind::kSafe : MethodKind::kNone;
}

template <size_t N, size_t M>
MethodKind Find(const std::string_view (&safe)[N],
                const std::string_view (&other)[M], MethodKind kind,
                std::string_view name) {
  if (IsIn(safe, name)) return MethodKind::kSafe;
  return IsIn(other, name) ? kind : MethodKind::kNone;
}

Value MakeView(Budget& budget, const Value& dict, ViewObject::Part part) {
  auto view = std::make_shared<ViewObject>();
  view->Charge(budget, 64);
  view->depth = DepthAbove(dict);
  view->part = part;
  view->dict = dict;
  return Value::Of(Kind::kView, std::move(view));
}

Value CallDictMethod(Budget& budget, const Value& self, std::string_view name,
                     const CallArguments& arguments) {
  if (name == "get") {
    // Python takes these by place only.
    const Bound bound(arguments, "get", {"", ""}, 1);
    const Value* found = FindKey(budget, self.As<DictObject>(), bound[0]);
    if (found != nullptr) return *found;
    return bound.Find(1) == nullptr ? Value::None() : bound[1];
  }
  const Bound none(arguments, name, {});
  if (name == "keys") return MakeView(budget, self, ViewObject::kKeys);
  if (name == "values") return MakeView(budget, self, ViewObject::kValues);
  if (name == "items") return MakeView(budget, self, ViewObject::kItems);
  return self;  // a copy
}

Value CallListMethod(Budget& budget, const Value& self, std::string_view name,
                     const CallArguments& arguments) {
  if (name == "copy") {
    const Bound none(arguments, name, {});
    return self;
  }
  const Values& items = self.items();
  if (name == "count") {
    const Bound bound(arguments, name, {""}, 1);
    return Value::Integer(std::count_if(
        items.begin(), items.end(),
        [&](const Value& item) { return Equal(budget, item, bound[0]); }));
  }
  const Bound bound(arguments, name, {"", "", ""}, 1);
  const Int length = static_cast<Int>(items.size());
  const auto place = [&](size_t index, Int otherwise) {
    Int at = bound.Integer(index, otherwise);
    if (at < 0) at += length;
    return static_cast<size_t>(std::clamp(at, Int{0}, length));
  };
  const size_t end = place(2, length);
  for (size_t i = place(1, 0); i < end; ++i) {
    if (Equal(budget, items[i], bound[0])) {
      return Value::Integer(static_cast<Int>(i));
    }
  }
  FailRun("the value is not in the list");
}

Value CallNumberMethod(const Value& self, std::string_view name,
                       const CallArguments& arguments) {
  const Bound none(arguments, name, {});
  if (name == "conjugate") return Plus(self);
  if (name == "is_integer") {
    return Value::Bool(std::isfinite(self.real()) &&
                       self.real() == std::floor(self.real()));
  }
  int length = 0;
  int ones = 0;
  for (Int rest = self.integer(); rest != 0; rest /= 2) {  // of either sign
    ++length;
    if (rest % 2 != 0) ++ones;
  }
  return Value::Integer(name == "bit_count" ? ones : length);
}

Value CallLoopMethod(Budget& budget, const Value& self, std::string_view name,
                     const CallArguments& arguments) {
  const auto& loop = self.As<LoopObject>();
  if (!arguments.keywords.empty()) {
    FailRun(std::string(name) + "() takes no keyword arguments");
  }
  if (name == "cycle") {
    if (arguments.positional.empty()) FailRun("no items for cycling given");
    return arguments.positional[loop.index0 % arguments.positional.size()];
  }
  const Value now = MakeList(budget, arguments.positional, Kind::kTuple);
  for (const Value& item : arguments.positional) {
    if (item.Is(Kind::kLoop)) FailRun("loop.changed() of a loop");
  }
  if (loop.changed && Equal(budget, *loop.changed, now)) {
    return Value::Bool(false);
  }
  loop.changed = now;
  return Value::Bool(true);
}

Value CallRangeMethod(Budget& budget, const Value& self, std::string_view name,
                      const CallArguments& arguments) {
  return CallListMethod(budget,
                        MakeList(budget, Elements(budget, self), Kind::kTuple),
                        name, arguments);
}

}  // namespace

MethodKind FindMethod(const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::kString:
      if (value.As<StringObject>().safe && IsIn(kMarkupLacking, name)) {
        return MethodKind::kLacking;
      }
      return Find(kStringMethods, kStringLacking, MethodKind::kLacking, name);
    case Kind::kList:
      return Find(kListMethods, kListUnsafe, MethodKind::kUnsafe, name);
    case Kind::kTuple:
    case Kind::kRange:
      return Find(kTupleMethods, name);
    case Kind::kDict:
      if (IsIn(kDictLacking, name)) return MethodKind::kLacking;
      return Find(kDictMethods, kDictUnsafe, MethodKind::kUnsafe, name);
    case Kind::kBool:
    case Kind::kInt:
      return Find(kIntMethods, kIntLacking, MethodKind::kLacking, name);
    case Kind::kFloat:
      return Find(kFloatMethods, kFloatLacking, MethodKind::kLacking, name);
    case Kind::kLoop:
      return Find(kLoopMethods, name);
    case Kind::kCycler:
      return Find(kCyclerMethods, name);
    case Kind::kView:
      return IsIn(kViewLacking, name) ? MethodKind::kLacking
                                      : MethodKind::kNone;
    case Kind::kGenerator:
      return IsIn(kGeneratorLacking, name) ? MethodKind::kLacking
                                           : MethodKind::kNone;
    case Kind::kMacro:
      return IsIn(kMacroLacking, name) ? MethodKind::kLacking
                                       : MethodKind::kNone;
    default:
      return MethodKind::kNone;
  }
}

Value CallMethod(Budget& budget, const Value& self, std::string_view name,
                 const CallArguments& arguments) {
  budget.Step();
  switch (self.kind()) {
    case Kind::kString:
      return CallStringMethod(budget, self, name, arguments);
    case Kind::kList:
    case Kind::kTuple:
      return CallListMethod(budget, self, name, arguments);
    case Kind::kRange:
      return CallRangeMethod(budget, self, name, arguments);
    case Kind::kDict:
      return CallDictMethod(budget, self, name, arguments);
    case Kind::kLoop:
      return CallLoopMethod(budget, self, name, arguments);
    case Kind::kCycler: {
      const Bound none(arguments, name, {});
      const auto& cycler = self.As<CyclerObject>();
      if (name == "reset") {
        cycler.position = 0;
        return Value::None();
      }
      const Value current = cycler.items[cycler.position];
      cycler.position = (cycler.position + 1) % cycler.items.size();
      return current;
    }
    default:
      return CallNumberMethod(self, name, arguments);
  }
}

}  // namespace lutra::chat
