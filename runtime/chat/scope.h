#ifndef LUTRA_RUNTIME_CHAT_SCOPE_H_
#define LUTRA_RUNTIME_CHAT_SCOPE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/chat/value.h"

namespace lutra::chat {

using NameId = uint32_t;

class Scope;

// A macro's way back to the scope that it was defined in, which may end before
// the macro does.
using ScopeReference = std::shared_ptr<Scope*>;

// The variables of a template, a macro call, a pass of a loop or a block: what
// is set there is seen there and within.
class Scope {
 public:
  explicit Scope(Scope* parent) : parent_(parent) {}
  ~Scope() {
    if (reference_ != nullptr) *reference_ = nullptr;
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void Set(NameId name, Value value) {
    for (auto& [id, old] : variables_) {
      if (id == name) {
        old = std::move(value);
        return;
      }
    }
    variables_.emplace_back(name, std::move(value));
  }

  // nullptr if neither this scope nor one around it has the variable.
  const Value* Find(NameId name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_) {
      for (const auto& [id, value] : scope->variables_) {
        if (id == name) return &value;
      }
    }
    return nullptr;
  }

  ScopeReference reference() {
    if (reference_ == nullptr) reference_ = std::make_shared<Scope*>(this);
    return reference_;
  }

 private:
  Scope* parent_;
  std::vector<std::pair<NameId, Value>> variables_;
  ScopeReference reference_;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_SCOPE_H_
