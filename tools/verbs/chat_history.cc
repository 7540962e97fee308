#include "tools/verbs/chat_history.h"

#include <exception>
#include <utility>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"

namespace lutra::tools {
namespace {

std::string Member(const Json& message, std::string_view key) {
  const Json* member = message.Find(key);
  const std::string* text = member == nullptr ? nullptr : member->AsString();
  return text == nullptr ? "" : *text;
}

constexpr std::string_view kSystem = "system";

}  // namespace

std::string ContentOf(const Json& message) {
  return Member(message, "content");
}
std::string RoleOf(const Json& message) { return Member(message, "role"); }

void ChatHistory::Add(std::string_view role, std::string_view content) {
  messages_.PushBack({{"role", role}, {"content", content}});
}

std::string ChatHistory::System() const {
  if (Empty() || RoleOf(messages_.items()[0]) != kSystem) return "";
  return ContentOf(messages_.items()[0]);
}

void ChatHistory::SetSystem(std::string_view text) {
  auto& items = messages_.items();
  if (!items.empty() && RoleOf(items[0]) == kSystem) items.erase(items.begin());
  if (text.empty()) return;
  items.insert(items.begin(), Json{{"role", kSystem}, {"content", text}});
}

void ChatHistory::Clear() {
  const std::string system = System();
  messages_ = Json::Array();
  SetSystem(system);
}

std::string ChatHistory::LastRole() const {
  return Empty() ? "" : RoleOf(messages_.items().back());
}

bool ChatHistory::DropLast() {
  auto& items = messages_.items();
  if (items.empty() || (items.size() == 1 && LastRole() == kSystem)) {
    return false;
  }
  items.pop_back();
  return true;
}

bool ChatHistory::DropAnswer() {
  const auto& items = messages_.items();
  size_t user = items.size();
  while (user > 0 && RoleOf(items[user - 1]) != "user") --user;
  if (user == 0) return false;
  while (LastRole() != "user") DropLast();
  return true;
}

bool ChatHistory::DropExchange() { return DropAnswer() && DropLast(); }

void ChatHistory::Save(const std::string& path) const {
  OutputFile file(path);
  file.Append(Text(2) + "\n");
  file.Commit();
}

void ChatHistory::Load(const std::string& path) {
  const auto fail = [&](const char* cause) {
    throw Error::InFile(
        path,
        std::string("is no conversation (a JSON list of messages): ") + cause);
  };
  Json read;
  try {
    read = Json::Parse(eval::ReadText(path, 0));
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    fail("it is not valid JSON");
  }
  if (read.IsObject()) {
    const Json* list = read.Find("messages");
    if (list == nullptr) fail("it has no messages");
    read = Json(*list);
  }
  if (!read.IsArray()) fail("it is no list");
  for (const Json& message : read.items()) {
    if (!message.IsObject() || RoleOf(message).empty()) {
      fail("a message has no role");
    }
  }
  messages_ = std::move(read);
}

}  // namespace lutra::tools
