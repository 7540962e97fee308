#include "runtime/chat/expression_parser.h"

#include <algorithm>
#include <array>

#include "runtime/base/utf8.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/string_literal.h"
#include "runtime/chat/tests.h"

namespace lutra::chat {

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

ExpressionPtr ExpressionParser::ParseExpression(bool conditional) {
  const Deeper deeper(*this);
  return conditional ? ParseConditional() : ParseOr();
}

ExpressionPtr ExpressionParser::ParseConditional() {
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
ExpressionPtr ExpressionParser::ParseWords(Type type, std::string_view word,
                                           const Operand& operand) {
  const size_t line = Current().line;
  ExpressionPtr first = operand();
  if (!AtName(word)) return first;
  auto node = New(type, line);
  node->operands.push_back(std::move(first));
  while (SkipName(word)) node->operands.push_back(operand());
  return node;
}

ExpressionPtr ExpressionParser::ParseOr() {
  return ParseWords(Type::kOr, "or", [this] { return ParseAnd(); });
}

ExpressionPtr ExpressionParser::ParseAnd() {
  return ParseWords(Type::kAnd, "and", [this] { return ParseNot(); });
}

ExpressionPtr ExpressionParser::ParseNot() {
  if (!AtName("not")) return ParseCompare();
  const Deeper deeper(*this);
  auto node = New(Type::kNot, Next().line);
  node->operands.push_back(ParseNot());
  return node;
}

std::optional<Comparison> ExpressionParser::ParseComparison() {
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

ExpressionPtr ExpressionParser::ParseCompare() {
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

template <size_t N, class Operand>
ExpressionPtr ExpressionParser::ParseComputation(const OperatorText (&known)[N],
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

ExpressionPtr ExpressionParser::ParseSum() {
  static constexpr OperatorText kKnown[] = {{"+", Operator::kAdd},
                                            {"-", Operator::kSubtract}};
  return ParseComputation(kKnown, [this] { return ParseConcat(); });
}

ExpressionPtr ExpressionParser::ParseConcat() {
  const size_t line = Current().line;
  ExpressionPtr first = ParseProduct();
  if (!AtOperator("~")) return first;
  auto node = New(Type::kConcat, line);
  node->operands.push_back(std::move(first));
  while (SkipOperator("~")) node->operands.push_back(ParseProduct());
  return node;
}

ExpressionPtr ExpressionParser::ParseProduct() {
  static constexpr OperatorText kKnown[] = {{"*", Operator::kMultiply},
                                            {"/", Operator::kDivide},
                                            {"//", Operator::kFloorDivide},
                                            {"%", Operator::kModulo}};
  return ParseComputation(kKnown, [this] { return ParsePower(); });
}

ExpressionPtr ExpressionParser::ParsePower() {
  static constexpr OperatorText kKnown[] = {{"**", Operator::kPower}};
  return ParseComputation(kKnown, [this] { return ParseUnary(true); });
}

ExpressionPtr ExpressionParser::ParseUnary(bool filters) {
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

ExpressionPtr ExpressionParser::ParsePrimary() {
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

Value ExpressionParser::String(const std::string& text) {
  // Equal constants are one object, as in Python.
  const auto found = strings_.find(text);
  if (found != strings_.end()) return found->second;
  Value value = MakeString(nullptr, text);
  strings_.emplace(text, value);
  return value;
}

ExpressionPtr ExpressionParser::ParseName() {
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

void ExpressionParser::Mention(NameId name) {
  if (name == program_.loop) mentions_.loop = true;
  if (name == program_.caller) mentions_.caller = true;
  if (name == program_.varargs) mentions_.varargs = true;
  if (name == program_.kwargs) mentions_.kwargs = true;
}

bool ExpressionParser::AtTupleEnd(std::string_view word) const {
  return Current().kind == TokenKind::kVariableEnd ||
         Current().kind == TokenKind::kBlockEnd || AtOperator(")") ||
         (!word.empty() && AtName(word));
}

ExpressionPtr ExpressionParser::ParseTuple(bool conditional,
                                           std::string_view word,
                                           bool parentheses) {
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

ExpressionPtr ExpressionParser::ParseList() {
  auto node = New(Type::kList, Next().line);
  while (!AtOperator("]")) {
    if (!node->operands.empty()) ExpectOperator(",");
    if (AtOperator("]")) break;
    node->operands.push_back(ParseExpression());
  }
  ExpectOperator("]");
  return node;
}

ExpressionPtr ExpressionParser::ParseDict() {
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

void ExpressionParser::Chain(size_t& chained) const {
  if (++chained + depth_ > kMaxDepth) {
    FailLimit("chat template: line " + std::to_string(Current().line) +
              ": an expression is nested too deeply");
  }
}

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr node,
                                             size_t& chained) {
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

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr node,
                                             size_t& chained) {
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

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr container) {
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

ExpressionPtr ExpressionParser::Item(ExpressionPtr container, ExpressionPtr key,
                                     size_t line) {
  auto node = New(Type::kItem, line);
  node->operands.push_back(std::move(container));
  node->operands.push_back(std::move(key));
  return node;
}

std::unique_ptr<Expression> ExpressionParser::ParseSlice(ExpressionPtr begin,
                                                         size_t line) {
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

std::unique_ptr<const Arguments> ExpressionParser::ParseArguments() {
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

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr callee) {
  const Deeper deeper(*this);
  auto node = New(Type::kCall, Current().line);
  node->operands.push_back(std::move(callee));
  node->arguments = ParseArguments();
  return node;
}

std::string ExpressionParser::ParseDottedName(const char* what) {
  std::string name(Expect(TokenKind::kName, what).text);
  while (SkipOperator(".")) {
    name += '.';
    name += Expect(TokenKind::kName, what).text;
  }
  return name;
}

ExpressionPtr ExpressionParser::ParseFilter(ExpressionPtr node,
                                            bool inline_start) {
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
  filter->arguments =
      AtOperator("(") ? ParseArguments() : std::make_unique<const Arguments>();
  return filter;
}

ExpressionPtr ExpressionParser::ParseBlockFilters(bool inline_start) {
  ExpressionPtr node;
  if (inline_start) node = ParseFilter(nullptr, true);
  size_t chained = 0;
  while (AtOperator("|")) {
    Chain(chained);
    node = ParseFilter(std::move(node));
  }
  return node;
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr node) {
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

void ExpressionParser::Unknown(size_t line, const char* what,
                               const std::string& name) {
  if (place_.soft) return;
  unknown_.push_back(
      {line, "No " + std::string(what) + " named '" + Printable(name) + "'."});
}

bool ExpressionParser::AtTestArgument() const {
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

}  // namespace lutra::chat
