#include "lutra/runtime/chat_template.h"

#include <utility>

#include "runtime/base/json.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/conversation.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/json_text.h"
#include "runtime/chat/lexer.h"
#include "runtime/chat/syntax.h"
#include "runtime/chat/time_text.h"

namespace lutra {
namespace {

ErrorCode CodeOf(ChatTemplateFault fault) {
  switch (fault) {
    case ChatTemplateFault::kParse:
      return ErrorCode::kDamaged;
    case ChatTemplateFault::kRuntime:
    case ChatTemplateFault::kLimit:
      return ErrorCode::kUnsupported;
    default:
      return ErrorCode::kInvalidArgument;
  }
}

}  // namespace

ChatTemplateError::ChatTemplateError(ChatTemplateFault fault,
                                     const std::string& cause)
    : Error(CodeOf(fault), cause), fault_(fault) {}

class ChatTemplate::Impl {
 public:
  Impl(std::string_view source, const Tokens& tokens)
      : source_(source),
        normalized_(chat::NormalizeSource(source)),
        tokens_(tokens),
        program_(chat::ParseProgram(normalized_)) {}

  const std::string& source() const { return source_; }
  const Tokens& tokens() const { return tokens_; }

  RenderedChat Render(std::string_view messages,
                      const ChatOptions& options) const {
    // Outlives all values.
    chat::Budget budget;
    chat::Conversation conversation(budget, messages, options, tokens_);
    const ChatTime now = options.now ? *options.now : chat::LocalTime();
    chat::CheckTime(now);
    RenderedChat result;
    {
      std::vector<std::optional<chat::Value>> variables;
      variables.reserve(program_.names.size());
      for (const std::string& name : program_.names) {
        variables.push_back(conversation.Find(name));
      }
      chat::Evaluator evaluator(program_, budget, now, std::move(variables));
      result = evaluator.Run();
    }
    conversation.CutAtTag(result.text);
    return result;
  }

 private:
  const std::string source_;
  const std::string normalized_;
  const Tokens tokens_;
  const chat::Program program_;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Impl> impl)
    : impl_(std::move(impl)) {}

ChatTemplate::~ChatTemplate() = default;

std::shared_ptr<const ChatTemplate> ChatTemplate::Parse(std::string_view source,
                                                        const Tokens& tokens) {
  if (source.size() > chat::kMaxSource) {
    chat::FailLimit("chat template: has more than " +
                    std::to_string(chat::kMaxSource) + " bytes");
  }
  if (!IsUtf8(source)) {
    chat::Fail(ChatTemplateFault::kParse, "chat template: is not UTF-8");
  }
  return std::shared_ptr<const ChatTemplate>(
      new ChatTemplate(std::make_unique<const Impl>(source, tokens)));
}

RenderedChat ChatTemplate::Render(std::string_view messages,
                                  const ChatOptions& options) const {
  return impl_->Render(messages, options);
}

std::string ChatTemplate::Render(Span<const ChatMessage> messages,
                                 const ChatOptions& options) const {
  std::string json = "[";
  for (const ChatMessage& message : messages) {
    if (json.size() > 1) json += ",";
    json += "{\"role\":" + QuoteJson(message.role, "chat") +
            ",\"content\":" + QuoteJson(message.content, "chat") + "}";
  }
  return Render(json + "]", options).text;
}

const std::string& ChatTemplate::source() const { return impl_->source(); }
const ChatTemplate::Tokens& ChatTemplate::tokens() const {
  return impl_->tokens();
}

}  // namespace lutra
