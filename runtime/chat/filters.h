#ifndef LUTRA_RUNTIME_CHAT_FILTERS_H_
#define LUTRA_RUNTIME_CHAT_FILTERS_H_

#include <string_view>

#include "runtime/chat/call.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

class Evaluator;

bool IsFilter(std::string_view name);
// Jinja's filters that lutra lacks.
bool IsFilterWithoutSupport(std::string_view name);

// Throws for an unknown filter as for a bad value.
Value ApplyFilter(Evaluator& evaluator, std::string_view name,
                  const Value& value, const CallArguments& arguments);

// A filter's function.
using Filter = Value (*)(Evaluator& evaluator, const Value& value,
                         const CallArguments& arguments);
// nullptr if the name is none of these groups'.
Filter FindTextFilter(std::string_view name);
Filter FindSequenceFilter(std::string_view name);
Filter FindOrderFilter(std::string_view name);

// A path of attributes and elements, "a.b.0" or 2, as filters take it.
Value FollowPath(Budget& budget, const Value& item, const Value& path,
                 const Value* otherwise = nullptr);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_FILTERS_H_
