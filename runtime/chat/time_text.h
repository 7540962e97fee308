#ifndef LUTRA_RUNTIME_CHAT_TIME_TEXT_H_
#define LUTRA_RUNTIME_CHAT_TIME_TEXT_H_

#include <string>
#include <string_view>

#include "lutra/runtime/chat_template.h"

namespace lutra::chat {

// strftime() with English names and without a time zone, whatever the locale.
// Throws ChatTemplateError for a directive that it does not know.
std::string TimeText(const ChatTime& time, std::string_view format);

// The local time of this moment.
ChatTime LocalTime();

// Throws ChatTemplateError of the fault kCaller.
void CheckTime(const ChatTime& time);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_TIME_TEXT_H_
