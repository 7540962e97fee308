#ifndef LUTRA_RUNTIME_CHAT_SYNTAX_H_
#define LUTRA_RUNTIME_CHAT_SYNTAX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/chat/numbers.h"
#include "runtime/chat/scope.h"
#include "runtime/chat/value.h"

// A template as a tree.

namespace lutra::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr more_positional;  // *x
  ExpressionPtr more_keywords;    // **x
};

enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expression {
  enum class Type : uint8_t {
    kConstant,
    kName,
    kTuple,
    kList,
    kDict,         // operands: key, value, key, value, ...
    kConditional,  // operands: test, value, other value or null
    kOr,
    kAnd,
    kNot,
    kCompare,  // operands and a comparison between each two
    kCompute,  // operands and an operator between each two, from the left
    kConcat,
    kNegate,
    kPlus,
    kAttribute,  // operand, text
    kItem,       // operands: container, key
    kSlice,      // operands: container, begin, end, step; the last may be null
    kCall,       // operand, arguments
    kFilter,     // operand (null in a block), text, arguments
    kTest,       // operand, text, arguments
  };

  Type type = Type::kConstant;
  uint32_t line = 0;
  NameId name = 0;
  Value constant;
  std::string text;
  std::vector<ExpressionPtr> operands;
  std::vector<Comparison> comparisons;
  std::vector<Operator> operators;
  std::unique_ptr<const Arguments> arguments;
};

// What is assigned to.
struct Target {
  enum class Type : uint8_t { kName, kAttribute, kTuple };

  Type type = Type::kName;
  NameId name = 0;
  std::string attribute;  // of a namespace
  std::vector<Target> items;
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

struct Parameter {
  NameId name = 0;
  std::string text;
  ExpressionPtr otherwise;  // may be null
};

// A macro's parameters and body.
struct Signature {
  std::vector<Parameter> parameters;
  Block body;
  bool takes_positional = false;  // mentions varargs
  bool takes_keywords = false;    // mentions kwargs
  bool takes_caller = false;      // mentions caller
};

struct Statement {
  enum class Type : uint8_t {
    kText,
    kPrint,       // expressions
    kIf,          // expressions are the tests of branches; other: else
    kFor,         // target, expression, test, body, other: else
    kSet,         // target, expression
    kSetBlock,    // target, filter (may be null), body
    kMacro,       // name, signature
    kCall,        // expression, signature
    kFilter,      // filter, body
    kWith,        // targets and expressions, body
    kGeneration,  // signature: to Jinja it is the body of a call
    kBreak,
    kContinue,
  };

  Type type = Type::kText;
  uint32_t line = 0;
  std::string text;
  NameId name = 0;
  std::vector<ExpressionPtr> expressions;
  std::vector<Target> targets;
  std::vector<Block> branches;
  Block body;
  Block other;
  ExpressionPtr test;
  ExpressionPtr filter;
  std::unique_ptr<const Signature> signature;
  bool recursive = false;
  bool uses_loop = false;
};

struct Program {
  Block body;
  std::vector<std::string> names;  // by NameId
  NameId loop = 0, caller = 0, varargs = 0, kwargs = 0;
};

// Throws ChatTemplateError. `source` is normalized.
Program ParseProgram(std::string_view source);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_SYNTAX_H_
