#ifndef LUTRA_RUNTIME_CHAT_EXPRESSION_PARSER_H_
#define LUTRA_RUNTIME_CHAT_EXPRESSION_PARSER_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/printable.h"
#include "runtime/chat/lexer.h"
#include "runtime/chat/syntax.h"

// From tokens to expressions. parser.cc, which is built on it, makes the
// statements around them.

namespace lutra::chat {

// For messages.
std::string Describe(const Token& token);

class ExpressionParser {
 protected:
  using Type = Expression::Type;

  explicit ExpressionParser(std::string_view source)
      : tokens_(Tokenize(source)) {
    program_.loop = Name("loop");
    program_.caller = Name("caller");
    program_.varargs = Name("varargs");
    program_.kwargs = Name("kwargs");
  }

  struct UnknownName {
    size_t line = 0;
    std::string cause;
  };
  struct Mentions {
    bool loop = false, caller = false, varargs = false, kwargs = false;
  };

  // A nesting that ends with the scope.
  class Deeper {
   public:
    explicit Deeper(ExpressionParser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMaxDepth) {
        FailLimit("chat template: line " +
                  std::to_string(parser_.Current().line) +
                  ": is nested too deeply");
      }
    }
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    ExpressionParser& parser_;
  };

  // What holds for the code that is being parsed.
  struct Place {
    bool soft = false;     // an unknown filter fails only if it is used
    size_t loops = 0;      // that break and continue may end
    size_t any_loops = 0;  // where `loop` may not be set
  };

  const Token& Current() const { return tokens_[at_]; }
  const Token& Look() const {
    return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
  }
  const Token& Next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool AtOperator(std::string_view text) const {
    return Current().Is(TokenKind::kOperator, text);
  }
  bool AtName(std::string_view text) const {
    return Current().Is(TokenKind::kName, text);
  }
  bool SkipOperator(std::string_view text) {
    if (!AtOperator(text)) return false;
    Next();
    return true;
  }
  bool SkipName(std::string_view text) {
    if (!AtName(text)) return false;
    Next();
    return true;
  }
  [[noreturn]] void FailHere(const std::string& cause) const {
    FailParse(Current().line, cause);
  }
  void ExpectOperator(std::string_view text) {
    if (!SkipOperator(text)) {
      FailHere("expected '" + std::string(text) + "', got " +
               Describe(Current()));
    }
  }
  const Token& Expect(TokenKind kind, const char* what) {
    if (Current().kind != kind) {
      FailHere("expected " + std::string(what) + ", got " +
               Describe(Current()));
    }
    return Next();
  }

  NameId Name(std::string_view text) {
    const auto [entry, added] = ids_.emplace(
        std::string(text), static_cast<NameId>(program_.names.size()));
    if (added) program_.names.emplace_back(text);
    return entry->second;
  }

  static std::unique_ptr<Expression> New(Type type, size_t line) {
    auto node = std::make_unique<Expression>();
    node->type = type;
    node->line = static_cast<uint32_t>(line);
    return node;
  }

  std::unique_ptr<Expression> Constant(Value value, size_t line) {
    auto node = New(Type::kConstant, line);
    node->constant = std::move(value);
    return node;
  }

  ExpressionPtr ParseExpression(bool conditional = true);
  bool AtTupleEnd(std::string_view word) const;
  // Expressions with commas between them, or one alone. `word` ends them, too.
  ExpressionPtr ParseTuple(bool conditional, std::string_view word,
                           bool parentheses = false);
  // Filters of a block: "upper|trim" or "|upper|trim". Null if there are none.
  ExpressionPtr ParseBlockFilters(bool inline_start);

  const std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t depth_ = 0;
  Place place_;
  Mentions mentions_;
  std::vector<UnknownName> unknown_;
  Program program_;
  std::unordered_map<std::string, NameId> ids_;
  std::unordered_map<std::string, Value> strings_;

 private:
  ExpressionPtr ParseConditional();
  template <class Operand>
  ExpressionPtr ParseWords(Type type, std::string_view word,
                           const Operand& operand);
  ExpressionPtr ParseOr();
  ExpressionPtr ParseAnd();
  ExpressionPtr ParseNot();
  std::optional<Comparison> ParseComparison();
  ExpressionPtr ParseCompare();
  struct OperatorText {
    std::string_view text;
    Operator op;
  };
  template <size_t N, class Operand>
  ExpressionPtr ParseComputation(const OperatorText (&known)[N],
                                 const Operand& operand);
  ExpressionPtr ParseSum();
  ExpressionPtr ParseConcat();
  ExpressionPtr ParseProduct();
  ExpressionPtr ParsePower();
  ExpressionPtr ParseUnary(bool filters);
  ExpressionPtr ParsePrimary();
  Value String(const std::string& text);
  ExpressionPtr ParseName();
  // Loops and macros know which of their special variables are used.
  void Mention(NameId name);
  ExpressionPtr ParseList();
  ExpressionPtr ParseDict();
  void Chain(size_t& chained) const;
  ExpressionPtr ParsePostfix(ExpressionPtr node, size_t& chained);
  ExpressionPtr ParseFilters(ExpressionPtr node, size_t& chained);
  ExpressionPtr ParseSubscript(ExpressionPtr container);
  static ExpressionPtr Item(ExpressionPtr container, ExpressionPtr key,
                            size_t line);
  // begin:end:step, from the first colon on.
  std::unique_ptr<Expression> ParseSlice(ExpressionPtr begin, size_t line);
  std::unique_ptr<const Arguments> ParseArguments();
  ExpressionPtr ParseCall(ExpressionPtr callee);
  std::string ParseDottedName(const char* what);
  // `node` may be null: a filter of a block. `inline_start`: without '|'.
  ExpressionPtr ParseFilter(ExpressionPtr node, bool inline_start = false);
  ExpressionPtr ParseTest(ExpressionPtr node);
  void Unknown(size_t line, const char* what, const std::string& name);
  bool AtTestArgument() const;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_EXPRESSION_PARSER_H_
