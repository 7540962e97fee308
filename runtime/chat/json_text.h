#ifndef LUTRA_RUNTIME_CHAT_JSON_TEXT_H_
#define LUTRA_RUNTIME_CHAT_JSON_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/chat/value.h"

namespace lutra::chat {

// As the arguments of Python's json.dumps().
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool lines = false;  // each element on one, with `indent`
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// Throws for values that JSON does not have.
std::string JsonText(Budget& budget, const Value& value,
                     const JsonStyle& style);

// A value from JSON text, whose numbers keep their sort; counts what it holds.
// Throws ChatTemplateError of the fault kCaller, naming `what`.
Value ReadJson(Budget& budget, std::string_view text, std::string_view what);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_JSON_TEXT_H_
