#ifndef LUTRA_RUNTIME_CHAT_EVALUATOR_H_
#define LUTRA_RUNTIME_CHAT_EVALUATOR_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/chat_template.h"
#include "runtime/chat/call.h"
#include "runtime/chat/loop.h"
#include "runtime/chat/macro.h"
#include "runtime/chat/namespace.h"
#include "runtime/chat/scope.h"
#include "runtime/chat/syntax.h"

namespace lutra::chat {

// Runs a program once.
class Evaluator {
 public:
  // All must outlive the evaluator. `variables` by NameId: what the program
  // finds where it sets nothing.
  Evaluator(const Program& program, Budget& budget, const ChatTime& now,
            std::vector<std::optional<Value>> variables);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  RenderedChat Run();

  Budget& budget() { return budget_; }
  const ChatTime& now() const { return now_; }

  // Python's call of a value.
  Value Call(const Value& callee, const CallArguments& arguments);

 private:
  // How a block ended.
  enum class Flow { kNext, kBreak, kContinue };

  // Text that is put together, and what it was charged.
  struct Buffer {
    std::string text;
    size_t charged = 0;
  };

  Value Evaluate(const Expression& node, Scope& scope);
  Value EvaluateName(const Expression& node, const Scope& scope);
  Value EvaluateContainer(const Expression& node, Scope& scope);
  Value EvaluateConditional(const Expression& node, Scope& scope);
  Value EvaluateLogic(const Expression& node, Scope& scope);
  Value EvaluateCompare(const Expression& node, Scope& scope);
  bool Compare(Comparison comparison, const Value& a, const Value& b);
  Value EvaluateCompute(const Expression& node, Scope& scope);
  Value EvaluateConcat(const Expression& node, Scope& scope);
  Value EvaluateItem(const Expression& node, Scope& scope);
  Value EvaluateSlice(const Expression& node, Scope& scope);
  Value EvaluateCall(const Expression& node, Scope& scope,
                     const Value* caller = nullptr);
  Value EvaluateFilter(const Expression& node, Scope& scope,
                       const Value* block);
  Value EvaluateTest(const Expression& node, Scope& scope);
  CallArguments EvaluateArguments(const Arguments& arguments, Scope& scope);

  Flow Run(const Block& block, Scope& scope, Buffer& out);
  Flow Run(const Statement& node, Scope& scope, Buffer& out);
  void Print(const Expression& node, Scope& scope, Buffer& out);
  Flow RunIf(const Statement& node, Scope& scope, Buffer& out);
  void RunFor(const Statement& node, const Value& iterable, size_t depth,
              Scope& scope, Buffer& out);
  Flow RunSetBlock(const Statement& node, Scope& scope);
  Flow RunFilter(const Statement& node, Scope& scope, Buffer& out);
  Flow RunWith(const Statement& node, Scope& scope, Buffer& out);
  void RunCallBlock(const Statement& node, Scope& scope, Buffer& out);
  void RunGeneration(const Statement& node, Scope& scope, Buffer& out);

  Value MakeMacro(std::string name, const Signature& signature, Scope& scope);
  Value CallMacro(const MacroObject& macro, const CallArguments& arguments);
  Value CallLoop(const LoopObject& loop, const CallArguments& arguments);

  Value CallFunction(Function function, const CallArguments& arguments);
  Value NewNamespace(const CallArguments& arguments);
  void SetAttribute(const Value& space, const std::string& name,
                    const Value& value);

  void Assign(const Target& target, const Value& value, Scope& scope);
  void Emit(std::string_view text, Buffer& out);
  // The buffer's text as a value; the buffer's charge is given back.
  Value Take(Buffer& out);

  const Program& program_;
  Budget& budget_;
  const ChatTime now_;
  const std::vector<std::optional<Value>> variables_;
  std::vector<Value> functions_;  // by NameId, of names that are globals
  // All that were made; a rendering's end empties them.
  std::vector<std::shared_ptr<const NamespaceObject>> namespaces_;
  std::vector<ChatSpan> generated_;
  Buffer* main_ = nullptr;
  size_t line_ = 0;  // of the template, for messages
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_EVALUATOR_H_
