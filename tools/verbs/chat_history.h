#ifndef LUTRA_TOOLS_VERBS_CHAT_HISTORY_H_
#define LUTRA_TOOLS_VERBS_CHAT_HISTORY_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "tools/cli/json.h"

namespace lutra::tools {

// The messages of a conversation, as a chat template gets them. A message of
// the role system, if there is one, comes first.
class ChatHistory {
 public:
  bool Empty() const { return messages_.items().empty(); }
  size_t size() const { return messages_.items().size(); }

  void Add(std::string_view role, std::string_view content);
  void Add(Json message) { messages_.PushBack(std::move(message)); }
  // "" if there is none.
  std::string System() const;
  // "" takes it away.
  void SetSystem(std::string_view text);
  // Takes away all but the system's message.
  void Clear();
  // Takes away the last message; false if there is none but the system's.
  bool DropLast();
  // Takes away what followed the last message of the user, and on demand it as
  // well; false if there is none.
  bool DropAnswer();
  bool DropExchange();
  // The role of the last message; "" if there is none.
  std::string LastRole() const;

  // As JSON, on one line or several.
  std::string Text(int indent = -1) const {
    return messages_.Dump(indent, Json::BadText::kReplace);
  }
  const Json& messages() const { return messages_; }

  // A JSON file: a list of messages, or an object with the list "messages".
  // Throw lutra::Error.
  void Save(const std::string& path) const;
  void Load(const std::string& path);

 private:
  Json messages_ = Json::Array();
};

// The text of a message, as far as it has one.
std::string ContentOf(const Json& message);
std::string RoleOf(const Json& message);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_CHAT_HISTORY_H_
