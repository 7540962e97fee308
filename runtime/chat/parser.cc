#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat/expression_parser.h"

// Statements and the targets of assignments.

namespace lutra::chat {
namespace {

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Program Run() {
    program_.body = ParseBlock({});
    if (!unknown_.empty()) FailParse(unknown_[0].line, unknown_[0].cause);
    return std::move(program_);
  }

 private:
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
};

}  // namespace

Program ParseProgram(std::string_view source) { return Parser(source).Run(); }

}  // namespace lutra::chat
