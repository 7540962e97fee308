// Statements.

#include "runtime/chat/evaluator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"range", Function::kRange},           {"dict", Function::kDict},
    {"namespace", Function::kNamespace},   {"cycler", Function::kCycler},
    {"joiner", Function::kJoiner},         {"lipsum", Function::kLipsum},
    {"raise_exception", Function::kRaise}, {"strftime_now", Function::kNow},
};

}  // namespace

Evaluator::Evaluator(const Program& program, Budget& budget,
                     const ChatTime& now,
                     std::vector<std::optional<Value>> variables)
    : program_(program),
      budget_(budget),
      now_(now),
      variables_(std::move(variables)),
      functions_(program.names.size()) {
  for (size_t i = 0; i < program.names.size(); ++i) {
    for (const auto& [name, function] : kFunctions) {
      if (program.names[i] != name) continue;
      auto object = std::make_shared<FunctionObject>();
      object->function = function;
      functions_[i] = Value::Of(Kind::kFunction, std::move(object));
    }
  }
}

Evaluator::~Evaluator() {
  // They may hold each other, in long chains and in circles.
  for (const auto& space : namespaces_) {
    std::exchange(space->entries, {});
  }
}

RenderedChat Evaluator::Run() {
  Buffer out;
  main_ = &out;
  Scope scope(nullptr);
  try {
    Run(program_.body, scope, out);
  } catch (const ChatTemplateError& error) {
    // What the template says itself is for the user as it is.
    if (error.fault() == ChatTemplateFault::kRaised) throw;
    std::string_view cause = error.what();
    constexpr std::string_view kPrefix = "chat template: ";
    if (cause.substr(0, kPrefix.size()) == kPrefix) {
      cause.remove_prefix(kPrefix.size());
    }
    Fail(error.fault(), std::string(kPrefix) + "line " + std::to_string(line_) +
                            ": " + Printable(cause));
  }
  RenderedChat result;
  result.text = std::move(out.text);
  result.generated = std::move(generated_);
  return result;
}

void Evaluator::Emit(std::string_view text, Buffer& out) {
  budget_.Take(text.size());
  out.charged += text.size();
  out.text += text;
}

Value Evaluator::Take(Buffer& out) {
  Value value = MakeString(&budget_, std::move(out.text));
  budget_.Give(std::exchange(out.charged, 0));
  return value;
}

Evaluator::Flow Evaluator::Run(const Block& block, Scope& scope, Buffer& out) {
  for (const auto& statement : block) {
    const Flow flow = Run(*statement, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::Run(const Statement& node, Scope& scope,
                               Buffer& out) {
  using Type = Statement::Type;
  const Budget::Nested nested(budget_);
  budget_.Step();
  line_ = node.line;
  switch (node.type) {
    case Type::kText:
      Emit(node.text, out);
      return Flow::kNext;
    case Type::kPrint:
      for (const ExpressionPtr& expression : node.expressions) {
        Print(*expression, scope, out);
      }
      return Flow::kNext;
    case Type::kIf:
      return RunIf(node, scope, out);
    case Type::kFor:
      RunFor(node, Evaluate(*node.expressions[0], scope), 0, scope, out);
      return Flow::kNext;
    case Type::kSet:
      Assign(node.targets[0], Evaluate(*node.expressions[0], scope), scope);
      return Flow::kNext;
    case Type::kSetBlock:
      return RunSetBlock(node, scope);
    case Type::kMacro:
      scope.Set(node.name, MakeMacro(node.text, *node.signature, scope));
      return Flow::kNext;
    case Type::kCall:
      RunCallBlock(node, scope, out);
      return Flow::kNext;
    case Type::kFilter:
      return RunFilter(node, scope, out);
    case Type::kWith:
      return RunWith(node, scope, out);
    case Type::kGeneration:
      RunGeneration(node, scope, out);
      return Flow::kNext;
    case Type::kBreak:
      return Flow::kBreak;
    case Type::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Evaluator::Print(const Expression& node, Scope& scope, Buffer& out) {
  const Value value = Evaluate(node, scope);
  if (value.IsString()) {
    Emit(value.text(), out);
  } else {
    Emit(Text(budget_, value), out);
  }
}

Evaluator::Flow Evaluator::RunIf(const Statement& node, Scope& scope,
                                 Buffer& out) {
  for (size_t i = 0; i < node.branches.size(); ++i) {
    if (Truth(Evaluate(*node.expressions[i], scope))) {
      return Run(node.branches[i], scope, out);
    }
  }
  return Run(node.other, scope, out);
}

void Evaluator::RunFor(const Statement& node, const Value& iterable,
                       size_t depth, Scope& scope, Buffer& out) {
  if (!IsIterable(iterable)) {
    FailRun("'" + TypeName(iterable) + "' object is not iterable");
  }
  auto loop = std::make_shared<LoopObject>();
  loop->Charge(budget_, sizeof(LoopObject));
  loop->budget = &budget_;
  loop->iterable = iterable;
  loop->depth0 = depth;
  loop->depth = DepthAbove(iterable);
  switch (iterable.kind()) {
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
    case Kind::kGenerator:
      break;
    default:
      loop->rest = Elements(budget_, iterable);
      std::reverse(loop->rest.begin(), loop->rest.end());
  }
  if (node.test != nullptr) {
    loop->test = [&](const Value& value) {
      Scope test_scope(&scope);
      Assign(node.targets[0], value, test_scope);
      return Truth(Evaluate(*node.test, test_scope));
    };
  }
  if (node.recursive) {
    loop->recursive = &node;
    loop->scope = scope.reference();
  }
  const Value variable = Value::Of(Kind::kLoop, loop);
  // However the loop ends, what refers to this call must not outlive it.
  struct End {
    LoopObject& loop;
    ~End() {
      if (loop.test) {
        loop.test = nullptr;
        loop.rest.clear();
        loop.iterable = Value();
      }
      loop.changed.reset();
    }
  } end{*loop};
  bool first = true;
  // Jinja runs the else block, too, if no pass came to its end.
  bool any = false;
  while (loop->Advance(first)) {
    first = false;
    Scope pass(&scope);
    Assign(node.targets[0], loop->current, pass);
    if (node.uses_loop) pass.Set(program_.loop, variable);
    const Flow flow = Run(node.body, pass, out);
    if (flow == Flow::kBreak) break;
    any = any || flow == Flow::kNext;
  }
  if (!any && !node.other.empty()) {
    Scope other(&scope);
    Run(node.other, other, out);
  }
}

void Evaluator::Assign(const Target& target, const Value& value, Scope& scope) {
  switch (target.type) {
    case Target::Type::kName:
      scope.Set(target.name, value);
      return;
    case Target::Type::kAttribute: {
      const Value* space = scope.Find(target.name);
      if (space == nullptr && variables_[target.name]) {
        space = &*variables_[target.name];
      }
      SetAttribute(space == nullptr ? Value() : *space, target.attribute,
                   value);
      return;
    }
    case Target::Type::kTuple: {
      const Values items = Elements(budget_, value);
      if (items.size() != target.items.size()) {
        FailRun(std::string(items.size() > target.items.size() ? "too many"
                                                               : "not enough") +
                " values to unpack (expected " +
                std::to_string(target.items.size()) + ")");
      }
      for (size_t i = 0; i < items.size(); ++i) {
        Assign(target.items[i], items[i], scope);
      }
      return;
    }
  }
}

Evaluator::Flow Evaluator::RunSetBlock(const Statement& node, Scope& scope) {
  Scope inner(&scope);
  Buffer out;
  const Flow flow = Run(node.body, inner, out);
  if (flow != Flow::kNext) return flow;
  Value value = Take(out);
  if (node.filter != nullptr) {
    value = EvaluateFilter(*node.filter, inner, &value);
  }
  Assign(node.targets[0], value, scope);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::RunFilter(const Statement& node, Scope& scope,
                                     Buffer& out) {
  Scope inner(&scope);
  Buffer body;
  const Flow flow = Run(node.body, inner, body);
  if (flow != Flow::kNext) return flow;
  const Value value = Take(body);
  Emit(Text(budget_, EvaluateFilter(*node.filter, inner, &value)), out);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::RunWith(const Statement& node, Scope& scope,
                                   Buffer& out) {
  Scope inner(&scope);
  for (size_t i = 0; i < node.targets.size(); ++i) {
    Assign(node.targets[i], Evaluate(*node.expressions[i], scope), inner);
  }
  return Run(node.body, inner, out);
}

void Evaluator::RunCallBlock(const Statement& node, Scope& scope, Buffer& out) {
  const Value caller = MakeMacro("", *node.signature, scope);
  const Value value = EvaluateCall(*node.expressions[0], scope, &caller);
  Emit(Text(budget_, value), out);
}

void Evaluator::RunGeneration(const Statement& node, Scope& scope,
                              Buffer& out) {
  const Value macro = MakeMacro("", *node.signature, scope);
  const Value value = CallMacro(macro.As<MacroObject>(), {});
  budget_.Step(main_->text.size() / 16);
  const size_t begin = CountCharacters(main_->text);
  generated_.push_back({begin, begin + value.As<StringObject>().length});
  Emit(value.text(), out);
}

}  // namespace lutra::chat
