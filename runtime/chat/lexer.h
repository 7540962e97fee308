#ifndef LUTRA_RUNTIME_CHAT_LEXER_H_
#define LUTRA_RUNTIME_CHAT_LEXER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lutra::chat {

enum class TokenKind : uint8_t {
  kData,  // text of the template itself
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // with its quotes
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  uint32_t line = 0;
  std::string_view text;

  bool Is(TokenKind other, std::string_view word) const {
    return kind == other && text == word;
  }
};

// The template with line ends as \n, and without one at its very end.
std::string NormalizeSource(std::string_view source);

// As Jinja's lexer with trim_blocks and lstrip_blocks. The tokens point into
// `source`, which is normalized. The last one is kEnd. Throws
// ChatTemplateError.
std::vector<Token> Tokenize(std::string_view source);

[[noreturn]] void FailParse(size_t line, const std::string& cause);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_LEXER_H_
