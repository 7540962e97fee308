#ifndef LUTRA_RUNTIME_CHAT_STRING_LITERAL_H_
#define LUTRA_RUNTIME_CHAT_STRING_LITERAL_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace lutra::chat {

// The text of a literal in quotes, with Python's escapes. Throws
// ChatTemplateError.
std::string DecodeStringLiteral(std::string_view literal, size_t line);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_STRING_LITERAL_H_
