#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/lexer.h"
#include "runtime/chat/string_literal.h"
#include "runtime/chat/syntax.h"
#include "runtime/chat/tests.h"

namespace lutra::chat {
namespace {

using Type = Expression::Type;

std::string Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return "'" + Printable(token.text) + "'";
  }
}

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(Tokenize(source)) {
    program_.loop = Name("loop");
    program_.caller = Name("caller");
    program_.varargs = Name("varargs");
    program_.kwargs = Name("kwargs");
  }

  Program Run() {
    program_.body = ParseBlock({});
    if (!unknown_.empty()) FailParse(unknown_[0].line, unknown_[0].cause);
    return std::move(program_);
  }

 private:
  // A nesting that ends with the scope.
  class Deeper {
   public:
    explicit Deeper(Parser& parser) : parser_(parser) {
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
    Parser& parser_;
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

  // ---- Expressions

  ExpressionPtr ParseExpression(bool conditional = true) {
    const Deeper deeper(*this);
    return conditional ? ParseConditional() : ParseOr();
  }

  ExpressionPtr ParseConditional() {
    const size_t line = Current().line;
    const size_t unknown = unknown_.size();
    ExpressionPtr value = ParseOr();
    if (!AtName("if")) return value;
    // What is conditional may name what there is not.
    unknown_.resize(unknown);
    const bool soft = std::exchange(place_.soft, true);
    size_t chained = 0;
    while (SkipName("if")) {
      if (++chained + depth_ > kMaxDepth) {
        FailLimit("chat template: an expression is nested too deeply");
      }
      auto node = New(Type::kConditional, line);
      node->operands.push_back(ParseOr());
      node->operands.push_back(std::move(value));
      if (SkipName("else")) {
        node->operands.push_back(ParseExpression());
      } else {
        node->operands.push_back(nullptr);
      }
      value = std::move(node);
    }
    place_.soft = soft;
    return value;
  }

  template <class Operand>
  ExpressionPtr ParseWords(Type type, std::string_view word,
                           const Operand& operand) {
    const size_t line = Current().line;
    ExpressionPtr first = operand();
    if (!AtName(word)) return first;
    auto node = New(type, line);
    node->operands.push_back(std::move(first));
    while (SkipName(word)) node->operands.push_back(operand());
    return node;
  }

  ExpressionPtr ParseOr() {
    return ParseWords(Type::kOr, "or", [this] { return ParseAnd(); });
  }
  ExpressionPtr ParseAnd() {
    return ParseWords(Type::kAnd, "and", [this] { return ParseNot(); });
  }

  ExpressionPtr ParseNot() {
    if (!AtName("not")) return ParseCompare();
    const Deeper deeper(*this);
    auto node = New(Type::kNot, Next().line);
    node->operands.push_back(ParseNot());
    return node;
  }

  std::optional<Comparison> ParseComparison() {
    static constexpr std::pair<std::string_view, Comparison> kOperators[] = {
        {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
        {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
        {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};
    for (const auto& [text, comparison] : kOperators) {
      if (SkipOperator(text)) return comparison;
    }
    if (SkipName("in")) return Comparison::kIn;
    if (AtName("not") && Look().Is(TokenKind::kName, "in")) {
      Next();
      Next();
      return Comparison::kNotIn;
    }
    return std::nullopt;
  }

  ExpressionPtr ParseCompare() {
    const size_t line = Current().line;
    ExpressionPtr first = ParseSum();
    auto comparison = ParseComparison();
    if (!comparison) return first;
    auto node = New(Type::kCompare, line);
    node->operands.push_back(std::move(first));
    for (; comparison; comparison = ParseComparison()) {
      node->comparisons.push_back(*comparison);
      node->operands.push_back(ParseSum());
    }
    return node;
  }

  struct OperatorText {
    std::string_view text;
    Operator op;
  };

  template <size_t N, class Operand>
  ExpressionPtr ParseComputation(const OperatorText (&known)[N],
                                 const Operand& operand) {
    const size_t line = Current().line;
    ExpressionPtr first = operand();
    std::unique_ptr<Expression> node;
    for (;;) {
      const auto* found = std::find_if(
          std::begin(known), std::end(known),
          [this](const OperatorText& each) { return AtOperator(each.text); });
      if (found == std::end(known)) break;
      Next();
      if (node == nullptr) {
        node = New(Type::kCompute, line);
        node->operands.push_back(std::move(first));
      }
      node->operators.push_back(found->op);
      node->operands.push_back(operand());
    }
    if (node == nullptr) return first;
    return node;
  }

  ExpressionPtr ParseSum() {
    static constexpr OperatorText kKnown[] = {{"+", Operator::kAdd},
                                              {"-", Operator::kSubtract}};
    return ParseComputation(kKnown, [this] { return ParseConcat(); });
  }

  ExpressionPtr ParseConcat() {
    const size_t line = Current().line;
    ExpressionPtr first = ParseProduct();
    if (!AtOperator("~")) return first;
    auto node = New(Type::kConcat, line);
    node->operands.push_back(std::move(first));
    while (SkipOperator("~")) node->operands.push_back(ParseProduct());
    return node;
  }

  ExpressionPtr ParseProduct() {
    static constexpr OperatorText kKnown[] = {{"*", Operator::kMultiply},
                                              {"/", Operator::kDivide},
                                              {"//", Operator::kFloorDivide},
                                              {"%", Operator::kModulo}};
    return ParseComputation(kKnown, [this] { return ParsePower(); });
  }

  ExpressionPtr ParsePower() {
    static constexpr OperatorText kKnown[] = {{"**", Operator::kPower}};
    return ParseComputation(kKnown, [this] { return ParseUnary(true); });
  }

  ExpressionPtr ParseUnary(bool filters) {
    const size_t line = Current().line;
    ExpressionPtr node;
    if (AtOperator("-") || AtOperator("+")) {
      const Deeper deeper(*this);
      auto sign = New(AtOperator("-") ? Type::kNegate : Type::kPlus, line);
      Next();
      sign->operands.push_back(ParseUnary(false));
      node = std::move(sign);
    } else {
      node = ParsePrimary();
    }
    size_t chained = 0;
    node = ParsePostfix(std::move(node), chained);
    return filters ? ParseFilters(std::move(node), chained) : std::move(node);
  }

  ExpressionPtr ParsePrimary() {
    const Token& token = Current();
    switch (token.kind) {
      case TokenKind::kName:
        return ParseName();
      case TokenKind::kString: {
        std::string text;
        while (Current().kind == TokenKind::kString) {
          text += DecodeStringLiteral(Current().text, Current().line);
          Next();
        }
        return Constant(String(text), token.line);
      }
      case TokenKind::kInteger: {
        const auto value = ParseInteger(token.text, 0);
        if (!value) FailHere("the integer is too large");
        Next();
        return Constant(Value::Integer(*value), token.line);
      }
      case TokenKind::kFloat: {
        const auto value = ParseFloat(token.text);
        if (!value) FailHere("the number cannot be read");
        Next();
        return Constant(Value::Float(*value), token.line);
      }
      default:
        break;
    }
    if (SkipOperator("(")) {
      ExpressionPtr node = ParseTuple(true, {}, true);
      ExpectOperator(")");
      return node;
    }
    if (AtOperator("[")) return ParseList();
    if (AtOperator("{")) return ParseDict();
    FailHere("unexpected " + Describe(token));
  }

  Value String(const std::string& text) {
    // Equal constants are one object, as in Python.
    const auto found = strings_.find(text);
    if (found != strings_.end()) return found->second;
    Value value = MakeString(nullptr, text);
    strings_.emplace(text, value);
    return value;
  }

  ExpressionPtr ParseName() {
    const Token& token = Next();
    const std::string_view text = token.text;
    // Jinja's reference to the template itself, of use with blocks.
    if (text == "self") FailParse(token.line, "'self' is not supported");
    if (text == "true" || text == "True") {
      return Constant(Value::Bool(true), token.line);
    }
    if (text == "false" || text == "False") {
      return Constant(Value::Bool(false), token.line);
    }
    if (text == "none" || text == "None") {
      return Constant(Value::None(), token.line);
    }
    auto node = New(Type::kName, token.line);
    node->name = Name(text);
    Mention(node->name);
    return node;
  }

  // Loops and macros know which of their special variables are used.
  void Mention(NameId name) {
    if (name == program_.loop) mentions_.loop = true;
    if (name == program_.caller) mentions_.caller = true;
    if (name == program_.varargs) mentions_.varargs = true;
    if (name == program_.kwargs) mentions_.kwargs = true;
  }

  bool AtTupleEnd(std::string_view word) const {
    return Current().kind == TokenKind::kVariableEnd ||
           Current().kind == TokenKind::kBlockEnd || AtOperator(")") ||
           (!word.empty() && AtName(word));
  }

  // Expressions with commas between them, or one alone. `word` ends them, too.
  ExpressionPtr ParseTuple(bool conditional, std::string_view word,
                           bool parentheses = false) {
    const Deeper deeper(*this);
    const size_t line = Current().line;
    std::vector<ExpressionPtr> items;
    bool tuple = false;
    for (;;) {
      if (!items.empty()) ExpectOperator(",");
      if (AtTupleEnd(word)) break;
      items.push_back(conditional ? ParseConditional() : ParseOr());
      if (!AtOperator(",")) break;
      tuple = true;
    }
    if (!tuple) {
      if (!items.empty()) return std::move(items[0]);
      if (!parentheses) {
        FailHere("Expected an expression, got " + Describe(Current()));
      }
    }
    auto node = New(Type::kTuple, line);
    node->operands = std::move(items);
    return node;
  }

  ExpressionPtr ParseList() {
    auto node = New(Type::kList, Next().line);
    while (!AtOperator("]")) {
      if (!node->operands.empty()) ExpectOperator(",");
      if (AtOperator("]")) break;
      node->operands.push_back(ParseExpression());
    }
    ExpectOperator("]");
    return node;
  }

  ExpressionPtr ParseDict() {
    auto node = New(Type::kDict, Next().line);
    while (!AtOperator("}")) {
      if (!node->operands.empty()) ExpectOperator(",");
      if (AtOperator("}")) break;
      node->operands.push_back(ParseExpression());
      ExpectOperator(":");
      node->operands.push_back(ParseExpression());
    }
    ExpectOperator("}");
    return node;
  }

  void Chain(size_t& chained) const {
    if (++chained + depth_ > kMaxDepth) {
      FailLimit("chat template: line " + std::to_string(Current().line) +
                ": an expression is nested too deeply");
    }
  }

  ExpressionPtr ParsePostfix(ExpressionPtr node, size_t& chained) {
    for (;;) {
      if (AtOperator(".") || AtOperator("[")) {
        node = ParseSubscript(std::move(node));
      } else if (AtOperator("(")) {
        node = ParseCall(std::move(node));
      } else {
        return node;
      }
      Chain(chained);
    }
  }

  ExpressionPtr ParseFilters(ExpressionPtr node, size_t& chained) {
    for (;;) {
      if (AtOperator("|")) {
        node = ParseFilter(std::move(node));
      } else if (AtName("is")) {
        node = ParseTest(std::move(node));
      } else if (AtOperator("(")) {
        node = ParseCall(std::move(node));
      } else {
        return node;
      }
      Chain(chained);
    }
  }

  ExpressionPtr ParseSubscript(ExpressionPtr container) {
    const size_t line = Current().line;
    if (SkipOperator(".")) {
      const Token& token = Next();
      if (token.kind == TokenKind::kName) {
        auto node = New(Type::kAttribute, line);
        node->text = std::string(token.text);
        node->operands.push_back(std::move(container));
        return node;
      }
      if (token.kind != TokenKind::kInteger) {
        FailParse(token.line, "expected name or number");
      }
      const auto value = ParseInteger(token.text, 0);
      return Item(std::move(container), Constant(Value::Integer(*value), line),
                  line);
    }
    ExpectOperator("[");
    std::vector<ExpressionPtr> parts;
    std::unique_ptr<Expression> slice;
    while (!AtOperator("]")) {
      if (slice != nullptr) FailHere("slices with commas are not supported");
      if (!parts.empty()) ExpectOperator(",");
      ExpressionPtr part;
      if (!AtOperator(":")) part = ParseExpression();
      if (AtOperator(":")) {
        if (!parts.empty()) FailHere("slices with commas are not supported");
        slice = ParseSlice(std::move(part), line);
      } else {
        parts.push_back(std::move(part));
      }
    }
    ExpectOperator("]");
    if (slice != nullptr) {
      slice->operands.insert(slice->operands.begin(), std::move(container));
      return slice;
    }
    if (parts.size() == 1) {
      return Item(std::move(container), std::move(parts[0]), line);
    }
    auto key = New(Type::kTuple, line);
    key->operands = std::move(parts);
    return Item(std::move(container), std::move(key), line);
  }

  static ExpressionPtr Item(ExpressionPtr container, ExpressionPtr key,
                            size_t line) {
    auto node = New(Type::kItem, line);
    node->operands.push_back(std::move(container));
    node->operands.push_back(std::move(key));
    return node;
  }

  // begin:end:step, from the first colon on.
  std::unique_ptr<Expression> ParseSlice(ExpressionPtr begin, size_t line) {
    auto node = New(Type::kSlice, line);
    node->operands.push_back(std::move(begin));
    ExpectOperator(":");
    const auto at_end = [this] { return AtOperator("]") || AtOperator(","); };
    ExpressionPtr end;
    if (!AtOperator(":") && !at_end()) end = ParseExpression();
    node->operands.push_back(std::move(end));
    ExpressionPtr step;
    if (SkipOperator(":") && !at_end()) step = ParseExpression();
    node->operands.push_back(std::move(step));
    return node;
  }

  std::unique_ptr<const Arguments> ParseArguments() {
    ExpectOperator("(");
    auto arguments = std::make_unique<Arguments>();
    bool comma = false;
    const auto ensure = [this](bool holds) {
      if (!holds) FailHere("invalid syntax for function call expression");
    };
    while (!AtOperator(")")) {
      if (comma) {
        ExpectOperator(",");
        if (AtOperator(")")) break;
      }
      comma = true;
      const bool no_more = arguments->more_positional == nullptr &&
                           arguments->more_keywords == nullptr;
      if (SkipOperator("*")) {
        ensure(no_more);
        arguments->more_positional = ParseExpression();
      } else if (SkipOperator("**")) {
        ensure(arguments->more_keywords == nullptr);
        arguments->more_keywords = ParseExpression();
      } else if (Current().kind == TokenKind::kName &&
                 Look().Is(TokenKind::kOperator, "=")) {
        ensure(arguments->more_keywords == nullptr);
        std::string name(Next().text);
        Next();
        for (const auto& [other, value] : arguments->keywords) {
          if (other == name) FailHere("keyword argument repeated: " + name);
        }
        arguments->keywords.emplace_back(std::move(name), ParseExpression());
      } else {
        ensure(no_more && arguments->keywords.empty());
        arguments->positional.push_back(ParseExpression());
      }
    }
    ExpectOperator(")");
    return arguments;
  }

  ExpressionPtr ParseCall(ExpressionPtr callee) {
    const Deeper deeper(*this);
    auto node = New(Type::kCall, Current().line);
    node->operands.push_back(std::move(callee));
    node->arguments = ParseArguments();
    return node;
  }

  std::string ParseDottedName(const char* what) {
    std::string name(Expect(TokenKind::kName, what).text);
    while (SkipOperator(".")) {
      name += '.';
      name += Expect(TokenKind::kName, what).text;
    }
    return name;
  }

  // `node` may be null: a filter of a block. `inline_start`: without '|'.
  ExpressionPtr ParseFilter(ExpressionPtr node, bool inline_start = false) {
    const Deeper deeper(*this);
    if (!inline_start) ExpectOperator("|");
    const size_t line = Current().line;
    auto filter = New(Type::kFilter, line);
    filter->text = ParseDottedName("the name of a filter");
    if (IsFilterWithoutSupport(filter->text)) {
      FailParse(line, "the filter '" + filter->text + "' is not supported");
    }
    if (!IsFilter(filter->text)) Unknown(line, "filter", filter->text);
    filter->operands.push_back(std::move(node));
    filter->arguments = AtOperator("(") ? ParseArguments()
                                        : std::make_unique<const Arguments>();
    return filter;
  }

  // Filters of a block: "upper|trim" or "|upper|trim". Null if there are none.
  ExpressionPtr ParseBlockFilters(bool inline_start) {
    ExpressionPtr node;
    if (inline_start) node = ParseFilter(nullptr, true);
    size_t chained = 0;
    while (AtOperator("|")) {
      Chain(chained);
      node = ParseFilter(std::move(node));
    }
    return node;
  }

  ExpressionPtr ParseTest(ExpressionPtr node) {
    const Deeper deeper(*this);
    const size_t line = Next().line;
    const bool negated = SkipName("not");
    auto test = New(Type::kTest, line);
    test->text = ParseDottedName("the name of a test");
    if (!IsTest(test->text)) Unknown(line, "test", test->text);
    test->operands.push_back(std::move(node));
    if (AtOperator("(")) {
      test->arguments = ParseArguments();
    } else {
      auto arguments = std::make_unique<Arguments>();
      if (AtTestArgument()) {
        if (AtName("is")) FailHere("You cannot chain multiple tests with is");
        size_t chained = 0;
        arguments->positional.push_back(ParsePostfix(ParsePrimary(), chained));
      }
      test->arguments = std::move(arguments);
    }
    if (!negated) return test;
    auto negation = New(Type::kNot, line);
    negation->operands.push_back(std::move(test));
    return negation;
  }

  void Unknown(size_t line, const char* what, const std::string& name) {
    if (place_.soft) return;
    unknown_.push_back({line, "No " + std::string(what) + " named '" +
                                  Printable(name) + "'."});
  }

  bool AtTestArgument() const {
    switch (Current().kind) {
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return true;
      case TokenKind::kName:
        return !AtName("else") && !AtName("or") && !AtName("and");
      default:
        return AtOperator("(") || AtOperator("[") || AtOperator("{");
    }
  }

  // ---- Targets

  Target NameTarget() {
    const Token& token = Expect(TokenKind::kName, "a name");
    static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                      "True", "False", "None"};
    if (std::find(std::begin(kConstants), std::end(kConstants), token.text) !=
        std::end(kConstants)) {
      FailParse(token.line, "can't assign to a constant");
    }
    Target target;
    target.name = Name(token.text);
    return target;
  }

  Target ParseTargetItem(bool attributes) {
    const Deeper deeper(*this);
    if (SkipOperator("(")) {
      Target target = ParseTarget(false, ")");
      ExpectOperator(")");
      return target;
    }
    Target target = NameTarget();
    if (attributes && SkipOperator(".")) {
      target.type = Target::Type::kAttribute;
      target.attribute = std::string(Expect(TokenKind::kName, "a name").text);
    }
    return target;
  }

  Target ParseTarget(bool attributes, std::string_view end) {
    Target target;
    target.type = Target::Type::kTuple;
    bool tuple = false;
    for (;;) {
      if (!target.items.empty()) ExpectOperator(",");
      if (AtTupleEnd(end) || AtOperator("=")) break;
      target.items.push_back(ParseTargetItem(attributes));
      if (!AtOperator(",")) break;
      tuple = true;
    }
    if (tuple) return target;
    if (target.items.empty()) FailHere("expected a name to assign to");
    Target only = std::move(target.items[0]);
    return only;
  }

  bool Stores(const Target& target, NameId name) const {
    if (target.type == Target::Type::kName) return target.name == name;
    return std::any_of(target.items.begin(), target.items.end(),
                       [&](const Target& item) { return Stores(item, name); });
  }

  void CheckLoopVariable(const Target& target) const {
    if (place_.any_loops > 0 && Stores(target, program_.loop)) {
      FailHere("Can't assign to special loop variable in for-loop target");
    }
  }

  // ---- Statements

  static std::unique_ptr<Statement> NewStatement(Statement::Type type,
                                                 size_t line) {
    auto node = std::make_unique<Statement>();
    node->type = type;
    node->line = static_cast<uint32_t>(line);
    return node;
  }

  // Up to one of the words `ends`, which is the current token then; to the end
  // of the template if there are none.
  Block ParseBlock(const std::vector<std::string_view>& ends) {
    const Deeper deeper(*this);
    Block block;
    for (;;) {
      const Token& token = Current();
      if (token.kind == TokenKind::kEnd) break;
      if (token.kind == TokenKind::kData) {
        auto text = NewStatement(Statement::Type::kText, token.line);
        text->text = std::string(token.text);
        block.push_back(std::move(text));
        Next();
      } else if (token.kind == TokenKind::kVariableBegin) {
        Next();
        auto print = NewStatement(Statement::Type::kPrint, token.line);
        print->expressions.push_back(ParseTuple(true, {}));
        Expect(TokenKind::kVariableEnd, "'}}'");
        block.push_back(std::move(print));
      } else {
        Expect(TokenKind::kBlockBegin, "'{%'");
        for (const std::string_view end : ends) {
          if (AtName(end)) return block;
        }
        block.push_back(ParseStatement());
        Expect(TokenKind::kBlockEnd, "'%}'");
      }
    }
    if (!ends.empty()) {
      std::string words;
      for (const std::string_view end : ends) {
        words += (words.empty() ? "'" : " or '") + std::string(end) + "'";
      }
      FailHere("Unexpected end of template. Expected " + words + ".");
    }
    return block;
  }

  // The block of a statement, from the end of its tag on.
  Block ParseBody(const std::vector<std::string_view>& ends) {
    SkipOperator(":");
    Expect(TokenKind::kBlockEnd, "'%}'");
    return ParseBlock(ends);
  }

  // The same, in a place of its own.
  Block ParseBodyAt(Place place, std::string_view end) {
    std::swap(place, place_);
    Block block = ParseBody({end});
    place_ = place;
    Next();
    return block;
  }

  // Where blocks that are functions in Python, or scopes, continue.
  Place Function() const { return {false, 0, place_.any_loops}; }
  Place Inner() const { return {false, place_.loops, place_.any_loops}; }

  std::unique_ptr<const Statement> ParseStatement() {
    if (Current().kind != TokenKind::kName) FailHere("tag name expected");
    const std::string_view word = Current().text;
    if (word == "if") return ParseIf();
    if (word == "for") return ParseFor();
    if (word == "set") return ParseSet();
    if (word == "macro") return ParseMacro();
    if (word == "call") return ParseCallBlock();
    if (word == "filter") return ParseFilterBlock();
    if (word == "with") return ParseWith();
    if (word == "print") return ParsePrint();
    if (word == "generation") {
      auto node = NewStatement(Statement::Type::kGeneration, Next().line);
      auto signature = std::make_unique<Signature>();
      ParseSignatureBody(*signature, "endgeneration");
      node->signature = std::move(signature);
      return node;
    }
    if (word == "break" || word == "continue") {
      auto node = NewStatement(word == "break" ? Statement::Type::kBreak
                                               : Statement::Type::kContinue,
                               Next().line);
      if (place_.loops == 0) {
        FailParse(node->line, "'" + std::string(word) + "' outside loop");
      }
      return node;
    }
    static constexpr std::string_view kLacking[] = {
        "block", "extends", "include", "import", "from", "autoescape"};
    for (const std::string_view lacking : kLacking) {
      if (word == lacking) {
        FailHere("the tag '" + std::string(word) + "' is not supported");
      }
    }
    FailHere("Encountered unknown tag '" + Printable(word) + "'.");
  }

  std::unique_ptr<const Statement> ParseIf() {
    auto node = NewStatement(Statement::Type::kIf, Current().line);
    const bool soft = place_.soft;
    place_.soft = true;
    for (;;) {
      Next();
      node->expressions.push_back(ParseTuple(false, {}));
      node->branches.push_back(ParseBody({"elif", "else", "endif"}));
      if (!AtName("elif")) break;
    }
    if (Next().text == "else") {
      node->other = ParseBody({"endif"});
      Next();
    }
    place_.soft = soft;
    return node;
  }

  std::unique_ptr<const Statement> ParseFor() {
    auto node = NewStatement(Statement::Type::kFor, Next().line);
    node->targets.push_back(ParseTarget(false, "in"));
    if (Stores(node->targets[0], program_.loop)) {
      FailHere("Can't assign to special loop variable in for-loop target");
    }
    if (!SkipName("in")) FailHere("expected 'in', got " + Describe(Current()));
    node->expressions.push_back(ParseTuple(false, "recursive"));
    Place place = Inner();
    std::swap(place, place_);
    if (SkipName("if")) node->test = ParseExpression();
    node->recursive = SkipName("recursive");
    const bool outer = std::exchange(mentions_.loop, false);
    ++place_.loops;
    ++place_.any_loops;
    node->body = ParseBody({"endfor", "else"});
    node->uses_loop = mentions_.loop || node->recursive;
    mentions_.loop = mentions_.loop || outer;
    place_ = place;
    if (Next().text == "else") {
      Place other = Inner();
      ++other.any_loops;
      std::swap(other, place_);
      node->other = ParseBody({"endfor"});
      place_ = other;
      Next();
    }
    return node;
  }

  std::unique_ptr<const Statement> ParseSet() {
    const size_t line = Next().line;
    Target target = ParseTarget(true, {});
    CheckLoopVariable(target);
    if (SkipOperator("=")) {
      auto node = NewStatement(Statement::Type::kSet, line);
      node->targets.push_back(std::move(target));
      node->expressions.push_back(ParseTuple(true, {}));
      return node;
    }
    auto node = NewStatement(Statement::Type::kSetBlock, line);
    node->targets.push_back(std::move(target));
    node->filter = ParseBlockFilters(false);
    node->body = ParseBodyAt(Inner(), "endset");
    return node;
  }

  // Parameters in parentheses.
  void ParseParameters(Signature& signature) {
    ExpectOperator("(");
    while (!AtOperator(")")) {
      if (!signature.parameters.empty()) ExpectOperator(",");
      Parameter parameter;
      parameter.text = std::string(Current().text);
      parameter.name = NameTarget().name;
      for (const Parameter& other : signature.parameters) {
        if (other.name == parameter.name) {
          FailHere("duplicate argument '" + Printable(parameter.text) + "'");
        }
      }
      if (SkipOperator("=")) {
        parameter.otherwise = ParseExpression();
      } else if (!signature.parameters.empty() &&
                 signature.parameters.back().otherwise != nullptr) {
        FailHere("non-default argument follows default argument");
      }
      signature.parameters.push_back(std::move(parameter));
    }
    ExpectOperator(")");
  }

  void ParseSignatureBody(Signature& signature, std::string_view end) {
    const Mentions outer = std::exchange(mentions_, {});
    signature.body = ParseBodyAt(Function(), end);
    signature.takes_positional = mentions_.varargs;
    signature.takes_keywords = mentions_.kwargs;
    signature.takes_caller = mentions_.caller;
    mentions_.loop = mentions_.loop || outer.loop;
    mentions_.varargs = mentions_.varargs || outer.varargs;
    mentions_.kwargs = mentions_.kwargs || outer.kwargs;
    mentions_.caller = mentions_.caller || outer.caller;
  }

  std::unique_ptr<const Statement> ParseMacro() {
    auto node = NewStatement(Statement::Type::kMacro, Next().line);
    node->text = std::string(Current().text);
    const Target target = NameTarget();
    CheckLoopVariable(target);
    node->name = target.name;
    auto signature = std::make_unique<Signature>();
    ParseParameters(*signature);
    ParseSignatureBody(*signature, "endmacro");
    node->signature = std::move(signature);
    return node;
  }

  std::unique_ptr<const Statement> ParseCallBlock() {
    auto node = NewStatement(Statement::Type::kCall, Next().line);
    auto signature = std::make_unique<Signature>();
    if (AtOperator("(")) ParseParameters(*signature);
    ExpressionPtr call = ParseExpression();
    if (call->type != Type::kCall) FailParse(node->line, "expected call");
    node->expressions.push_back(std::move(call));
    ParseSignatureBody(*signature, "endcall");
    node->signature = std::move(signature);
    return node;
  }

  std::unique_ptr<const Statement> ParseFilterBlock() {
    auto node = NewStatement(Statement::Type::kFilter, Next().line);
    Place place = Inner();
    std::swap(place, place_);
    node->filter = ParseBlockFilters(true);
    place_ = place;
    node->body = ParseBodyAt(Inner(), "endfilter");
    return node;
  }

  std::unique_ptr<const Statement> ParseWith() {
    auto node = NewStatement(Statement::Type::kWith, Next().line);
    while (Current().kind != TokenKind::kBlockEnd) {
      if (!node->targets.empty()) ExpectOperator(",");
      node->targets.push_back(ParseTarget(false, {}));
      CheckLoopVariable(node->targets.back());
      ExpectOperator("=");
      node->expressions.push_back(ParseExpression());
    }
    node->body = ParseBodyAt(Inner(), "endwith");
    return node;
  }

  std::unique_ptr<const Statement> ParsePrint() {
    auto node = NewStatement(Statement::Type::kPrint, Next().line);
    while (Current().kind != TokenKind::kBlockEnd) {
      if (!node->expressions.empty()) ExpectOperator(",");
      node->expressions.push_back(ParseExpression());
    }
    return node;
  }

  struct UnknownName {
    size_t line = 0;
    std::string cause;
  };
  struct Mentions {
    bool loop = false, caller = false, varargs = false, kwargs = false;
  };

  const std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t depth_ = 0;
  Place place_;
  Mentions mentions_;
  std::vector<UnknownName> unknown_;
  Program program_;
  std::unordered_map<std::string, NameId> ids_;
  std::unordered_map<std::string, Value> strings_;
};

}  // namespace

Program ParseProgram(std::string_view source) { return Parser(source).Run(); }

}  // namespace lutra::chat
