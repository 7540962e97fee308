// Calls: functions, macros, loops.

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/text.h"
#include "runtime/chat/time_text.h"

namespace lutra::chat {
namespace {

Value CallRange(Budget& budget, const CallArguments& arguments) {
  const Bound bound(arguments, "range", {"", "", ""}, 1);
  if (bound.Find(1) == nullptr) {
    return MakeRange(budget, 0, bound.Integer(0, 0), 1);
  }
  return MakeRange(budget, bound.Integer(0, 0), bound.Integer(1, 0),
                   bound.Integer(2, 1));
}

Value CallDict(Budget& budget, const CallArguments& arguments) {
  if (arguments.positional.size() > 1) {
    FailRun("dict expected at most 1 argument");
  }
  DictBuilder dict(budget);
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.IsDict()) {
      for (const auto& [key, value] : from.As<DictObject>().entries) {
        dict.Set(key, value);
      }
    } else {
      for (const Value& item : Elements(budget, from)) {
        const Values pair = Elements(budget, item);
        if (pair.size() != 2) {
          FailRun("dictionary update sequence: elements are no pairs");
        }
        dict.Set(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [key, value] : arguments.keywords) {
    dict.Set(MakeString(&budget, key), value);
  }
  return dict.Take();
}

Value MakeCycler(Budget& budget, const CallArguments& arguments) {
  if (arguments.positional.empty() || !arguments.keywords.empty()) {
    FailRun("at least one item has to be provided");
  }
  auto cycler = std::make_shared<CyclerObject>();
  cycler->Charge(budget, arguments.positional.size() * sizeof(Value));
  cycler->items = arguments.positional;
  cycler->depth = DepthAbove(cycler->items);
  return Value::Of(Kind::kCycler, std::move(cycler));
}

Value MakeJoiner(Budget& budget, const CallArguments& arguments) {
  const Bound bound(arguments, "joiner", {"sep"});
  auto joiner = std::make_shared<JoinerObject>();
  joiner->Charge(budget, sizeof(JoinerObject));
  joiner->separator =
      bound.Find(0) == nullptr ? MakeString(&budget, ", ") : bound[0];
  joiner->depth = DepthAbove(joiner->separator);
  return Value::Of(Kind::kJoiner, std::move(joiner));
}

void CheckNamespaceName(std::string_view name) {
  if (!name.empty() && name[0] == '_') {
    FailRun("a namespace has no names that begin with an underscore");
  }
}

}  // namespace

Value Evaluator::NewNamespace(const CallArguments& arguments) {
  const Value entries = CallDict(budget_, arguments);
  auto result = std::make_shared<NamespaceObject>();
  result->Charge(budget_, sizeof(NamespaceObject));
  result->entries = entries.As<DictObject>().entries;
  for (const auto& [key, value] : result->entries) {
    if (key.IsString()) CheckNamespaceName(key.text());
  }
  namespaces_.push_back(result);
  return Value::Of(Kind::kNamespace, std::move(result));
}

void Evaluator::SetAttribute(const Value& space, const std::string& name,
                             const Value& value) {
  if (!space.Is(Kind::kNamespace)) {
    FailRun("cannot assign attribute on non-namespace object");
  }
  CheckNamespaceName(name);
  const auto& object = space.As<NamespaceObject>();
  for (auto& [key, old] : object.entries) {
    if (key.IsString() && key.text() == name) {
      // The old value is destroyed once nothing holds the new one's place.
      const Value kept = std::exchange(old, value);
      return;
    }
  }
  if (object.entries.size() >= 1000)
    FailLimit("a namespace has too many names");
  object.entries.emplace_back(MakeString(&budget_, name), value);
}

Value Evaluator::Call(const Value& callee, const CallArguments& arguments) {
  budget_.Step();
  switch (callee.kind()) {
    case Kind::kMacro:
      return CallMacro(callee.As<MacroObject>(), arguments);
    case Kind::kMethod: {
      const auto& method = callee.As<MethodObject>();
      return CallMethod(budget_, method.self, method.name, arguments);
    }
    case Kind::kFunction:
      return CallFunction(callee.As<FunctionObject>().function, arguments);
    case Kind::kLoop:
      return CallLoop(callee.As<LoopObject>(), arguments);
    case Kind::kJoiner: {
      const Bound none(arguments, "joiner", {});
      const auto& joiner = callee.As<JoinerObject>();
      if (std::exchange(joiner.used, true)) return joiner.separator;
      return MakeString(&budget_, "");
    }
    default:
      RequireDefined(callee);
      FailRun("'" + TypeName(callee) + "' object is not callable");
  }
}

Value Evaluator::CallFunction(Function function,
                              const CallArguments& arguments) {
  switch (function) {
    case Function::kRange:
      return CallRange(budget_, arguments);
    case Function::kDict:
      return CallDict(budget_, arguments);
    case Function::kNamespace:
      return NewNamespace(arguments);
    case Function::kCycler:
      return MakeCycler(budget_, arguments);
    case Function::kJoiner:
      return MakeJoiner(budget_, arguments);
    case Function::kLipsum:
      FailRun("the function 'lipsum' is not supported");
    case Function::kRaise: {
      const Bound bound(arguments, "raise_exception", {"message"}, 1);
      Fail(ChatTemplateFault::kRaised, Text(budget_, bound[0]));
    }
    case Function::kNow: {
      const Bound bound(arguments, "strftime_now", {"format"}, 1);
      return MakeString(&budget_, TimeText(now_, bound.String(0)));
    }
  }
  return {};
}

Value Evaluator::MakeMacro(std::string name, const Signature& signature,
                           Scope& scope) {
  auto macro = std::make_shared<MacroObject>();
  macro->Charge(budget_, sizeof(MacroObject) + name.size());
  macro->name = std::move(name);
  macro->signature = &signature;
  macro->scope = scope.reference();
  return Value::Of(Kind::kMacro, std::move(macro));
}

Value Evaluator::CallMacro(const MacroObject& macro,
                           const CallArguments& arguments) {
  const Budget::Nested nested(budget_);
  if (*macro.scope == nullptr) {
    FailRun("a macro is called after the block that it was defined in");
  }
  const Signature& signature = *macro.signature;
  const size_t count = signature.parameters.size();
  const std::string name =
      macro.name.empty() ? "caller" : Printable(macro.name);
  Keywords keywords = arguments.keywords;
  const auto take = [&keywords](std::string_view key) -> std::optional<Value> {
    for (auto each = keywords.begin(); each != keywords.end(); ++each) {
      if (each->first != key) continue;
      Value value = std::move(each->second);
      keywords.erase(each);
      return value;
    }
    return std::nullopt;
  };
  Scope scope(*macro.scope);
  bool has_caller = false;
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = signature.parameters[i];
    has_caller = has_caller || parameter.name == program_.caller;
    if (i < arguments.positional.size()) {
      scope.Set(parameter.name, arguments.positional[i]);
    } else if (auto value = take(parameter.text)) {
      scope.Set(parameter.name, std::move(*value));
    } else if (parameter.otherwise != nullptr) {
      scope.Set(parameter.name, Evaluate(*parameter.otherwise, scope));
    } else {
      scope.Set(parameter.name,
                MakeUndefined(budget_, "parameter " + Quoted(parameter.text) +
                                           " was not provided"));
    }
  }
  if (signature.takes_caller && !has_caller) {
    auto caller = take("caller");
    scope.Set(program_.caller,
              caller && !caller->IsNone()
                  ? std::move(*caller)
                  : MakeUndefined(budget_, "No caller defined"));
  }
  if (signature.takes_keywords) {
    DictBuilder rest(budget_);
    for (auto& [key, value] : keywords) {
      rest.Set(MakeString(&budget_, key), std::move(value));
    }
    scope.Set(program_.kwargs, rest.Take());
  } else if (!keywords.empty()) {
    FailRun("macro '" + name + "' takes no keyword argument '" +
            Printable(keywords[0].first) + "'");
  }
  if (signature.takes_positional) {
    Values rest;
    for (size_t i = count; i < arguments.positional.size(); ++i) {
      rest.push_back(arguments.positional[i]);
    }
    scope.Set(program_.varargs,
              MakeList(budget_, std::move(rest), Kind::kTuple));
  } else if (arguments.positional.size() > count) {
    FailRun("macro '" + name + "' takes not more than " +
            std::to_string(count) + " argument(s)");
  }
  Buffer out;
  Run(signature.body, scope, out);
  return Take(out);
}

Value Evaluator::CallLoop(const LoopObject& loop,
                          const CallArguments& arguments) {
  const Budget::Nested nested(budget_);
  if (loop.recursive == nullptr) {
    FailRun(
        "The loop must have the 'recursive' marker to be called recursively.");
  }
  if (*loop.scope == nullptr) FailRun("a loop is called after its end");
  const Bound bound(arguments, "loop", {"iterable"}, 1);
  Buffer out;
  RunFor(*loop.recursive, bound[0], loop.depth0 + 1, **loop.scope, out);
  return Take(out);
}

}  // namespace lutra::chat
