#include "runtime/chat/conversation.h"

#include <utility>

#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/json_text.h"

namespace lutra::chat {
namespace {

constexpr std::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG ";

[[noreturn]] void FailCall(const std::string& cause) {
  Fail(ChatTemplateFault::kCaller, "chat: " + cause);
}

Value ReadList(Budget& budget, std::string_view text, std::string_view what) {
  if (text.empty()) return Value::None();
  Value value = ReadJson(budget, text, what);
  if (!value.IsNone() && !value.Is(Kind::kList)) {
    FailCall(std::string(what) + " are not a JSON list");
  }
  return value;
}

}  // namespace

Conversation::Conversation(Budget& budget, std::string_view messages,
                           const ChatOptions& options,
                           const ChatTemplate::Tokens& tokens)
    : budget_(budget), continues_(options.continue_final_message) {
  if (continues_ && options.add_generation_prompt) {
    FailCall(
        "a text cannot both continue the last message and begin an answer");
  }
  // Input is not what is limited: its size adds to the budget.
  budget.Allow(0, messages.size() + options.tools.size() +
                      options.documents.size() + options.variables.size());
  const Value list = ReadJson(budget, messages, "the messages");
  if (!list.Is(Kind::kList)) FailCall("the messages are not a JSON list");
  if (list.items().empty()) FailCall("there are no messages");
  budget.AllowMessages(list.items().size());
  Values prepared;
  for (const Value& message : list.items()) {
    if (!message.IsDict()) FailCall("a message is not a JSON object");
    prepared.push_back(Prepared(message));
  }
  if (continues_) prepared.back() = Tagged(prepared.back());
  variables_.emplace_back("messages", MakeList(budget, std::move(prepared)));
  variables_.emplace_back("tools",
                          ReadList(budget, options.tools, "the tools"));
  variables_.emplace_back("documents",
                          ReadList(budget, options.documents, "the documents"));
  variables_.emplace_back("add_generation_prompt",
                          Value::Bool(options.add_generation_prompt));
  if (!options.variables.empty()) {
    const Value more = ReadJson(budget, options.variables, "the variables");
    if (!more.IsDict()) FailCall("the variables are not a JSON object");
    for (const auto& [key, value] : more.As<DictObject>().entries) {
      if (Find(key.text())) {
        FailCall("the variable '" + Printable(key.text()) +
                 "' has a meaning already");
      }
      variables_.emplace_back(key.text(), value);
    }
  }
  // Variables of the caller win over tokens of their names.
  for (const auto& [name, text] : tokens) {
    if (!Find(name)) variables_.emplace_back(name, MakeString(&budget, text));
  }
}

std::optional<Value> Conversation::Find(std::string_view name) const {
  for (const auto& [each, value] : variables_) {
    if (each == name) return value;
  }
  return std::nullopt;
}

Value Conversation::Prepared(const Value& message) {
  const auto& dict = message.As<DictObject>();
  const Value* reasoning = nullptr;
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = FindKey(dict, key);
    if (found != nullptr && !found->IsNone()) {
      reasoning = found;
      break;
    }
  }
  // A key without a value is as if it were not there.
  DictBuilder result(budget_);
  for (const auto& [key, value] : dict.entries) {
    if (!value.IsNone()) result.Set(key, value);
  }
  if (reasoning != nullptr) {
    const Value* thinking = FindKey(dict, "thinking");
    result.Set(MakeString(&budget_, "reasoning_content"), *reasoning);
    if (thinking == nullptr || thinking->IsNone()) {
      result.Set(MakeString(&budget_, "thinking"), *reasoning);
    }
  }
  return result.Take();
}

Value Conversation::Content(const Value& content) {
  if (content.IsString()) {
    final_text_ = content.text();
    return MakeString(&budget_, final_text_ + std::string(kTag));
  }
  if (!content.Is(Kind::kList)) {
    FailCall("the last message has no text to continue");
  }
  // The last part that has a text.
  Values parts = content.items();
  for (size_t i = parts.size(); i-- > 0;) {
    if (!parts[i].IsDict()) continue;
    const Value* text = FindKey(parts[i].As<DictObject>(), "text");
    if (text == nullptr) continue;
    if (!text->IsString()) break;
    DictBuilder part(budget_);
    for (const auto& [key, value] : parts[i].As<DictObject>().entries) {
      part.Set(key, value);
    }
    part.Set(MakeString(&budget_, "text"), Content(*text));
    parts[i] = part.Take();
    return MakeList(budget_, std::move(parts));
  }
  FailCall("the last message has no text to continue");
}

Value Conversation::Tagged(const Value& message) {
  const Value* content = FindKey(message.As<DictObject>(), "content");
  if (content == nullptr) FailCall("the last message has no text to continue");
  DictBuilder result(budget_);
  for (const auto& [key, value] : message.As<DictObject>().entries) {
    result.Set(key, value);
  }
  result.Set(MakeString(&budget_, "content"), Content(*content));
  return result.Take();
}

void Conversation::CutAtTag(std::string& text) const {
  if (!continues_) return;
  const std::string_view bare = StripRight(kTag);
  const size_t tag = text.rfind(bare);
  const std::string_view final_text = StripLeft(StripRight(final_text_));
  if (tag == std::string::npos || text.find(final_text) == std::string::npos) {
    FailCall(
        "the template leaves out the text of the last message, which "
        "therefore cannot be continued");
  }
  const bool kept = std::string_view(text).substr(tag, kTag.size()) == kTag;
  std::string_view result = std::string_view(text).substr(0, tag);
  // A template that trims messages has trimmed the blank of the tag, too.
  if (!kept) result = StripRight(result);
  text = std::string(result);
}

}  // namespace lutra::chat
