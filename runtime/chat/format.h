#ifndef LUTRA_RUNTIME_CHAT_FORMAT_H_
#define LUTRA_RUNTIME_CHAT_FORMAT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat/value.h"

namespace lutra::chat {

// `format % arguments`: a tuple's elements, a dict's values by their keys, or
// one value.
Value FormatPercent(Budget& budget, const Value& format,
                    const Value& arguments);

// What was given to a call, filter or test by name.
using Keywords = std::vector<std::pair<std::string, Value>>;

// Python's format(value, spec).
std::string FormatSpec(Budget& budget, const Value& value,
                       std::string_view spec);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_FORMAT_H_
