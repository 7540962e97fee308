#ifndef LUTRA_RUNTIME_CHAT_MACRO_H_
#define LUTRA_RUNTIME_CHAT_MACRO_H_

#include <string>

#include "runtime/chat/scope.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

struct Signature;

// A macro, or the body of a call block (no name).
struct MacroObject : Object {
  std::string name;
  const Signature* signature = nullptr;
  ScopeReference scope;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_MACRO_H_
