#ifndef LUTRA_RUNTIME_CHAT_LOOP_H_
#define LUTRA_RUNTIME_CHAT_LOOP_H_

#include <cstddef>
#include <functional>
#include <optional>

#include "runtime/chat/scope.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

struct Statement;

// A loop under way, and the variable `loop`. Elements are taken, and tested,
// one by one, as a pass may change what the test says.
struct LoopObject : Object {
  Value iterable;
  // What is left of an iterable that has no places, backwards.
  mutable Values rest;
  // Which elements count; all if there is none.
  std::function<bool(const Value&)> test;
  Budget* budget = nullptr;
  mutable size_t taken = 0;
  mutable std::optional<Value> after;
  mutable std::optional<size_t> length;
  mutable std::vector<Value> ahead;  // taken for the length, backwards

  size_t index0 = 0;
  size_t depth0 = 0;
  Value current;
  Value before;
  mutable std::optional<Value> changed;
  // Of a recursive loop: what loop(...) runs, and where.
  const Statement* recursive = nullptr;
  ScopeReference scope;

  // The next element, which then is the current one. False at the end.
  bool Advance(bool first);
  // nullptr if there is none.
  const Value* PeekNext() const;
  size_t Length() const;

 private:
  std::optional<Value> TakeNext() const;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_LOOP_H_
