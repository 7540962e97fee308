#ifndef LUTRA_RUNTIME_CHAT_TESTS_H_
#define LUTRA_RUNTIME_CHAT_TESTS_H_

#include <string_view>

#include "runtime/chat/call.h"
#include "runtime/chat/value.h"

// Jinja's tests: `value is name(arguments)`.

namespace lutra::chat {

class Evaluator;

bool IsTest(std::string_view name);

// Throws for an unknown test as for a bad value.
bool ApplyTest(Evaluator& evaluator, std::string_view name, const Value& value,
               const CallArguments& arguments);

// Whether Python could call the value.
bool IsCallable(const Value& value);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_TESTS_H_
