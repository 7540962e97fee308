#ifndef LUTRA_RUNTIME_CHAT_TEXT_H_
#define LUTRA_RUNTIME_CHAT_TEXT_H_

#include <string>
#include <string_view>

#include "runtime/chat/value.h"

// Values as text.

namespace lutra::chat {

// Python's str(value) and repr(value). Throws for values whose text has an
// address in it.
std::string Text(Budget& budget, const Value& value);
std::string Representation(Budget& budget, const Value& value);
// repr() of a text.
std::string Quoted(std::string_view text);

// For HTML, as markupsafe.escape().
std::string Escaped(std::string_view text);

// str(value), or the value itself if it is a string already.
Value AsString(Budget& budget, const Value& value);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_TEXT_H_
