#include "runtime/chat/loop.h"

#include <algorithm>
#include <utility>

namespace lutra::chat {

std::optional<Value> LoopObject::TakeNext() const {
  if (!ahead.empty()) {
    Value next = std::move(ahead.back());
    ahead.pop_back();
    return next;
  }
  for (;;) {
    budget->Step();
    std::optional<Value> next;
    if (iterable.IsSequence()) {
      if (taken < iterable.items().size()) next = iterable.items()[taken];
    } else if (iterable.Is(Kind::kRange)) {
      const auto& range = iterable.As<RangeObject>();
      if (taken < range.length) {
        next =
            Value::Integer(range.start + static_cast<Int>(taken) * range.step);
      }
    } else if (iterable.Is(Kind::kGenerator)) {
      const auto& generator = iterable.As<GeneratorObject>();
      if (generator.next < generator.items.size()) {
        next = generator.items[generator.next++];
      }
    } else if (!rest.empty()) {
      next = std::move(rest.back());
      rest.pop_back();
    }
    if (!next) return std::nullopt;
    ++taken;
    if (!test || test(*next)) return next;
  }
}

bool LoopObject::Advance(bool first) {
  std::optional<Value> next = std::exchange(after, std::nullopt);
  if (!next) next = TakeNext();
  if (!next) return false;
  if (!first) ++index0;
  before = std::exchange(current, std::move(*next));
  return true;
}

const Value* LoopObject::PeekNext() const {
  if (!after) after = TakeNext();
  return after ? &*after : nullptr;
}

size_t LoopObject::Length() const {
  if (length) return *length;
  if (!test && !iterable.Is(Kind::kGenerator)) {
    length = lutra::chat::Length(iterable);
    return *length;
  }
  Values all;
  while (auto next = TakeNext()) {
    budget->Take(sizeof(Value));
    all.push_back(std::move(*next));
  }
  budget->Give(all.size() * sizeof(Value));
  length = all.size() + index0 + 1 + (after ? 1 : 0);
  std::reverse(all.begin(), all.end());
  ahead = std::move(all);
  return *length;
}

}  // namespace lutra::chat
