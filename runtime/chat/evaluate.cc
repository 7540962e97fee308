// Expressions.

#include <string>
#include <utility>

#include "runtime/chat/access.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/tests.h"
#include "runtime/chat/text.h"

namespace lutra::chat {

using Type = Expression::Type;

// The cases stand in functions of their own: this one's frame is what nesting
// costs.
Value Evaluator::Evaluate(const Expression& node, Scope& scope) {
  const Budget::Nested nested(budget_);
  budget_.Step();
  line_ = node.line;
  switch (node.type) {
    case Type::kConstant:
      return node.constant;
    case Type::kName:
      return EvaluateName(node, scope);
    case Type::kTuple:
    case Type::kList:
    case Type::kDict:
      return EvaluateContainer(node, scope);
    case Type::kConditional:
      return EvaluateConditional(node, scope);
    case Type::kOr:
    case Type::kAnd:
      return EvaluateLogic(node, scope);
    case Type::kNot:
      return Value::Bool(!Truth(Evaluate(*node.operands[0], scope)));
    case Type::kCompare:
      return EvaluateCompare(node, scope);
    case Type::kCompute:
      return EvaluateCompute(node, scope);
    case Type::kConcat:
      return EvaluateConcat(node, scope);
    case Type::kNegate:
      return Negate(Evaluate(*node.operands[0], scope));
    case Type::kPlus:
      return Plus(Evaluate(*node.operands[0], scope));
    case Type::kAttribute:
      return GetAttribute(budget_, Evaluate(*node.operands[0], scope),
                          node.text);
    case Type::kItem:
      return EvaluateItem(node, scope);
    case Type::kSlice:
      return EvaluateSlice(node, scope);
    case Type::kCall:
      return EvaluateCall(node, scope);
    case Type::kFilter:
      return EvaluateFilter(node, scope, nullptr);
    case Type::kTest:
      return EvaluateTest(node, scope);
  }
  return {};
}

Value Evaluator::EvaluateName(const Expression& node, const Scope& scope) {
  if (const Value* value = scope.Find(node.name)) return *value;
  if (const auto& variable = variables_[node.name]) return *variable;
  if (!functions_[node.name].IsUndefined()) return functions_[node.name];
  return MakeUndefined(budget_,
                       Quoted(program_.names[node.name]) + " is undefined");
}

Value Evaluator::EvaluateItem(const Expression& node, Scope& scope) {
  const Value container = Evaluate(*node.operands[0], scope);
  const Value key = Evaluate(*node.operands[1], scope);
  return GetItem(budget_, container, key);
}

Value Evaluator::EvaluateContainer(const Expression& node, Scope& scope) {
  if (node.type == Type::kDict) {
    DictBuilder dict(budget_);
    for (size_t i = 0; i + 1 < node.operands.size(); i += 2) {
      const Value key = Evaluate(*node.operands[i], scope);
      dict.Set(key, Evaluate(*node.operands[i + 1], scope));
    }
    return dict.Take();
  }
  Values items;
  items.reserve(node.operands.size());
  for (const ExpressionPtr& operand : node.operands) {
    items.push_back(Evaluate(*operand, scope));
  }
  return MakeList(budget_, std::move(items),
                  node.type == Type::kList ? Kind::kList : Kind::kTuple);
}

Value Evaluator::EvaluateConditional(const Expression& node, Scope& scope) {
  if (Truth(Evaluate(*node.operands[0], scope))) {
    return Evaluate(*node.operands[1], scope);
  }
  if (node.operands[2] != nullptr) return Evaluate(*node.operands[2], scope);
  return MakeUndefined(
      budget_, "the inline if-expression on line " + std::to_string(node.line) +
                   " evaluated to false and no else section was "
                   "defined.");
}

Value Evaluator::EvaluateLogic(const Expression& node, Scope& scope) {
  Value value;
  for (const ExpressionPtr& operand : node.operands) {
    value = Evaluate(*operand, scope);
    if (Truth(value) == (node.type == Type::kOr)) break;
  }
  return value;
}

bool Evaluator::Compare(Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::kEqual:
      return Equal(budget_, a, b);
    case Comparison::kNotEqual:
      return !Equal(budget_, a, b);
    case Comparison::kLess:
      return Less(budget_, a, b, "<");
    case Comparison::kLessEqual:
      return Less(budget_, a, b, "<=");
    case Comparison::kGreater:
      return Less(budget_, a, b, ">");
    case Comparison::kGreaterEqual:
      return Less(budget_, a, b, ">=");
    case Comparison::kIn:
      return Contains(budget_, b, a);
    case Comparison::kNotIn:
      return !Contains(budget_, b, a);
  }
  return false;
}

Value Evaluator::EvaluateCompare(const Expression& node, Scope& scope) {
  Value left = Evaluate(*node.operands[0], scope);
  for (size_t i = 0; i < node.comparisons.size(); ++i) {
    Value right = Evaluate(*node.operands[i + 1], scope);
    if (!Compare(node.comparisons[i], left, right)) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Evaluator::EvaluateCompute(const Expression& node, Scope& scope) {
  Value left = Evaluate(*node.operands[0], scope);
  for (size_t i = 0; i < node.operators.size(); ++i) {
    const Value right = Evaluate(*node.operands[i + 1], scope);
    left = Compute(budget_, node.operators[i], left, right);
  }
  return left;
}

Value Evaluator::EvaluateConcat(const Expression& node, Scope& scope) {
  std::string text;
  for (const ExpressionPtr& operand : node.operands) {
    text += Text(budget_, Evaluate(*operand, scope));
    budget_.Check(text.size());
  }
  return MakeString(&budget_, std::move(text));
}

Value Evaluator::EvaluateSlice(const Expression& node, Scope& scope) {
  const Value container = Evaluate(*node.operands[0], scope);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    const ExpressionPtr& bound = node.operands[i + 1];
    bounds[i] = bound == nullptr ? Value::None() : Evaluate(*bound, scope);
  }
  return GetSlice(budget_, container, bounds[0], bounds[1], bounds[2]);
}

CallArguments Evaluator::EvaluateArguments(const Arguments& arguments,
                                           Scope& scope) {
  CallArguments result;
  result.positional.reserve(arguments.positional.size());
  for (const ExpressionPtr& node : arguments.positional) {
    result.positional.push_back(Evaluate(*node, scope));
  }
  for (const auto& [name, node] : arguments.keywords) {
    result.keywords.emplace_back(name, Evaluate(*node, scope));
  }
  if (arguments.more_positional != nullptr) {
    for (Value& value :
         Elements(budget_, Evaluate(*arguments.more_positional, scope))) {
      result.positional.push_back(std::move(value));
    }
  }
  if (arguments.more_keywords != nullptr) {
    const Value more = Evaluate(*arguments.more_keywords, scope);
    if (!more.IsDict()) FailRun("argument after ** must be a mapping");
    for (const auto& [key, value] : more.As<DictObject>().entries) {
      if (!key.IsString()) FailRun("keywords must be strings");
      if (result.Find(key.text()) != nullptr) {
        FailRun("got multiple values for keyword argument " +
                Quoted(key.text()));
      }
      budget_.Step();
      result.keywords.emplace_back(key.text(), value);
    }
  }
  return result;
}

Value Evaluator::EvaluateCall(const Expression& node, Scope& scope,
                              const Value* caller) {
  const Expression& callee = *node.operands[0];
  const auto arguments = [&] {
    CallArguments result = EvaluateArguments(*node.arguments, scope);
    if (caller != nullptr) {
      if (result.Find("caller") != nullptr) {
        FailRun("keyword argument repeated: caller");
      }
      result.keywords.emplace_back("caller", *caller);
    }
    return result;
  };
  if (callee.type == Type::kAttribute) {
    // A method is called without making a value of it.
    const Value self = Evaluate(*callee.operands[0], scope);
    RequireDefined(self);
    if (FindMethod(self, callee.text) == MethodKind::kSafe) {
      return CallMethod(budget_, self, callee.text, arguments());
    }
    const Value function = GetAttribute(budget_, self, callee.text);
    return Call(function, arguments());
  }
  const Value function = Evaluate(callee, scope);
  return Call(function, arguments());
}

Value Evaluator::EvaluateFilter(const Expression& node, Scope& scope,
                                const Value* block) {
  const ExpressionPtr& operand = node.operands[0];
  Value value;
  if (operand == nullptr) {
    value = *block;
  } else if (block != nullptr && operand->type == Type::kFilter) {
    value = EvaluateFilter(*operand, scope, block);
  } else {
    value = Evaluate(*operand, scope);
  }
  const CallArguments arguments = EvaluateArguments(*node.arguments, scope);
  return ApplyFilter(*this, node.text, value, arguments);
}

Value Evaluator::EvaluateTest(const Expression& node, Scope& scope) {
  const Value value = Evaluate(*node.operands[0], scope);
  const CallArguments arguments = EvaluateArguments(*node.arguments, scope);
  return Value::Bool(ApplyTest(*this, node.text, value, arguments));
}

}  // namespace lutra::chat
