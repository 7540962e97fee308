#ifndef LUTRA_RUNTIME_CHAT_ACCESS_H_
#define LUTRA_RUNTIME_CHAT_ACCESS_H_

#include <optional>
#include <string_view>

#include "runtime/chat/value.h"

// Attributes, elements and slices, as Jinja's sandbox finds them.

namespace lutra::chat {

// value.name: an attribute of Python's object, or else an element. What would
// change the value, or lead out of the sandbox, is undefined.
Value GetAttribute(Budget& budget, const Value& value, std::string_view name);
// The attribute alone: nothing if there is none.
std::optional<Value> FindAttribute(Budget& budget, const Value& value,
                                   std::string_view name);
// value[key]: an element, or else an attribute.
Value GetItem(Budget& budget, const Value& value, const Value& key);
// value[begin:end:step], where None is nothing.
Value GetSlice(Budget& budget, const Value& value, const Value& begin,
               const Value& end, const Value& step);

// Characters begin..end of a text, by code points, where 0 <= begin <= end.
std::string_view Substring(const StringObject& text, size_t begin, size_t end);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_ACCESS_H_
