#include <cmath>
#include <string>

#include "runtime/chat/value.h"

namespace lutra::chat {
namespace {

int Sign(bool below, bool above) { return below ? -1 : above ? 1 : 0; }

int CompareExactly(Int a, double b) {
  constexpr double kEnd = 170141183460469231731687303715884105728.0;  // 2^127
  if (b >= kEnd) return -1;
  if (b < -kEnd) return 1;
  const double whole = std::trunc(b);
  const Int integer = static_cast<Int>(whole);
  if (a != integer) return a < integer ? -1 : 1;
  return Sign(b > whole, b < whole);
}

bool EqualLists(Budget& budget, const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!Equal(budget, a[i], b[i])) return false;
  }
  return true;
}

bool EqualDicts(Budget& budget, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = FindKey(budget, b, key);
    if (other == nullptr || !Equal(budget, value, *other)) return false;
  }
  return true;
}

bool EqualRanges(const RangeObject& a, const RangeObject& b) {
  if (a.length != b.length) return false;
  return a.length == 0 ||
         (a.start == b.start && (a.length == 1 || a.step == b.step));
}

[[noreturn]] void FailOrder(const Value& a, const Value& b,
                            std::string_view op) {
  FailRun("'" + std::string(op) + "' not supported between instances of '" +
          TypeName(a) + "' and '" + TypeName(b) + "'");
}

bool Holds(std::string_view op, int order) {
  if (order == 2) return false;  // NaN
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  return order >= 0;
}

}  // namespace

int CompareNumbers(const Value& a, const Value& b) {
  if (a.IsInteger() && b.IsInteger()) {
    return Sign(a.integer() < b.integer(), a.integer() > b.integer());
  }
  if ((a.Is(Kind::kFloat) && std::isnan(a.real())) ||
      (b.Is(Kind::kFloat) && std::isnan(b.real()))) {
    return 2;
  }
  if (a.IsInteger()) return CompareExactly(a.integer(), b.real());
  if (b.IsInteger()) return -CompareExactly(b.integer(), a.real());
  return Sign(a.real() < b.real(), a.real() > b.real());
}

bool Equal(Budget& budget, const Value& a, const Value& b) {
  budget.Step();
  if (a.IsNumber() && b.IsNumber()) return CompareNumbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      budget.Step(a.text().size() / 64);
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.object() == b.object() ||
             EqualLists(budget, a.items(), b.items());
    case Kind::kDict:
      return a.object() == b.object() ||
             EqualDicts(budget, a.As<DictObject>(), b.As<DictObject>());
    case Kind::kRange:
      return EqualRanges(a.As<RangeObject>(), b.As<RangeObject>());
    case Kind::kView:
      if (a.object() == b.object()) return true;
      FailRun("chat template: comparing views of dicts is not supported");
    case Kind::kFunction:
      return a.As<FunctionObject>().function == b.As<FunctionObject>().function;
    case Kind::kMethod:
      return a.object() == b.object() ||
             (a.As<MethodObject>().name == b.As<MethodObject>().name &&
              Same(a.As<MethodObject>().self, b.As<MethodObject>().self));
    default:
      return a.object() == b.object();
  }
}

bool Less(Budget& budget, const Value& a, const Value& b, std::string_view op) {
  budget.Step();
  RequireDefined(a);
  RequireDefined(b);
  if (a.IsNumber() && b.IsNumber()) return Holds(op, CompareNumbers(a, b));
  if (a.kind() != b.kind()) FailOrder(a, b, op);
  if (a.IsString()) {
    budget.Step(std::min(a.text().size(), b.text().size()) / 64);
    // The order of bytes in UTF-8 is the order of code points.
    const int order = a.text().compare(b.text());
    return Holds(op, Sign(order<0, order> 0));
  }
  if (!a.IsSequence()) FailOrder(a, b, op);
  const Values& left = a.items();
  const Values& right = b.items();
  for (size_t i = 0; i < left.size() && i < right.size(); ++i) {
    if (!Equal(budget, left[i], right[i])) {
      return Less(budget, left[i], right[i], op);
    }
  }
  return Holds(op,
               Sign(left.size() < right.size(), left.size() > right.size()));
}

bool Contains(Budget& budget, const Value& container, const Value& value) {
  switch (container.kind()) {
    case Kind::kString:
      if (!value.IsString()) {
        FailRun("'in <string>' requires string as left operand, not " +
                TypeName(value));
      }
      budget.Step(container.text().size() / 8);
      return container.text().find(value.text()) != std::string::npos;
    case Kind::kDict:
      return FindKey(budget, container.As<DictObject>(), value) != nullptr;
    case Kind::kGenerator: {
      const auto& generator = container.As<GeneratorObject>();
      while (generator.next < generator.items.size()) {
        if (Equal(budget, generator.items[generator.next++], value)) {
          return true;
        }
      }
      return false;
    }
    case Kind::kView: {
      const auto& view = container.As<ViewObject>();
      if (view.part == ViewObject::kKeys) {
        return Contains(budget, view.dict, value);
      }
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      for (const Value& item : container.items()) {
        if (Equal(budget, item, value)) return true;
      }
      return false;
    default:
      if (!IsIterable(container)) {
        FailRun("argument of type '" + TypeName(container) +
                "' is not iterable");
      }
  }
  for (const Value& item : Elements(budget, container)) {
    if (Equal(budget, item, value)) return true;
  }
  return false;
}

bool Same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  // Whether equal numbers and strings are one object is Python's affair.
  constexpr const char* kUnknown =
      "chat template: 'sameas' of such values is not supported";
  switch (a.kind()) {
    case Kind::kNone:
      return true;
    case Kind::kBool:
      return a.boolean() == b.boolean();
    case Kind::kInt:
      if (a.integer() != b.integer()) return false;
      if (a.integer() >= -5 && a.integer() <= 256) return true;
      FailRun(kUnknown);
    case Kind::kFloat:
      if (a.real() != b.real()) return false;
      FailRun(kUnknown);
    case Kind::kString:
      if (a.object() == b.object()) return true;
      if (a.text() != b.text()) return false;
      if (a.text().size() <= 1) return true;
      FailRun(kUnknown);
    case Kind::kTuple:
      return a.object() == b.object() ||
             (a.items().empty() && b.items().empty());
    case Kind::kUndefined:
      FailRun(kUnknown);
    default:
      return a.object() == b.object();
  }
}

}  // namespace lutra::chat
