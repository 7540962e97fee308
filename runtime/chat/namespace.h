#ifndef LUTRA_RUNTIME_CHAT_NAMESPACE_H_
#define LUTRA_RUNTIME_CHAT_NAMESPACE_H_

#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/value.h"

namespace lutra::chat {

// The one value that changes. A rendering keeps a list of all and empties them
// at its end, as they may hold each other.
struct NamespaceObject : Object {
  mutable std::vector<std::pair<Value, Value>> entries;

  const Value* Find(std::string_view name) const {
    for (const auto& [key, value] : entries) {
      if (key.IsString() && key.text() == name) return &value;
    }
    return nullptr;
  }
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_NAMESPACE_H_
