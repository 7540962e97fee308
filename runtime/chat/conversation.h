#ifndef LUTRA_RUNTIME_CHAT_CONVERSATION_H_
#define LUTRA_RUNTIME_CHAT_CONVERSATION_H_

#include <optional>
#include <string>
#include <string_view>

#include "lutra/runtime/chat_template.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

// What a template is given, prepared as transformers does it. All values that
// it has been given it must outlive.
class Conversation {
 public:
  // Throws ChatTemplateError of the fault kCaller.
  Conversation(Budget& budget, std::string_view messages,
               const ChatOptions& options, const ChatTemplate::Tokens& tokens);

  // The variable of that name, if there is one.
  std::optional<Value> Find(std::string_view name) const;

  // With continue_final_message: cuts what the template put behind the text of
  // the last message. Throws if the text is not there.
  void CutAtTag(std::string& text) const;

 private:
  Value Prepared(const Value& message);
  // The last message with the tag behind its text.
  Value Tagged(const Value& message);
  Value Content(const Value& content);

  Budget& budget_;
  bool continues_ = false;
  std::string final_text_;
  std::vector<std::pair<std::string, Value>> variables_;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_CONVERSATION_H_
