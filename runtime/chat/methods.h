#ifndef LUTRA_RUNTIME_CHAT_METHODS_H_
#define LUTRA_RUNTIME_CHAT_METHODS_H_

#include <string_view>

#include "runtime/chat/call.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

enum class MethodKind {
  kNone,     // Python has none of that name
  kSafe,     // can be called
  kUnsafe,   // would change the value: the sandbox refuses it
  kLacking,  // Python has it, lutra does not
};

MethodKind FindMethod(const Value& value, std::string_view name);

// Calls a method that is kSafe.
Value CallMethod(Budget& budget, const Value& self, std::string_view name,
                 const CallArguments& arguments);

// Those of texts alone.
Value CallStringMethod(Budget& budget, const Value& self, std::string_view name,
                       const CallArguments& arguments);
// str.format() and format_map().
Value FormatString(Budget& budget, const Value& self, bool map,
                   const CallArguments& arguments);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_METHODS_H_
