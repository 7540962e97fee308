#ifndef LUTRA_RUNTIME_CHAT_TEMPLATE_H_
#define LUTRA_RUNTIME_CHAT_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/error.h"

namespace lutra {

// Why a conversation has no text.
enum class ChatTemplateFault {
  kParse,    // the template is not one, or has what lutra lacks
  kRuntime,  // an expression failed as it does in Python
  kLimit,    // more steps, memory, nesting or text than a template may use
  kRaised,   // the template refused: the message is its text
  kCaller,   // no messages, values that are not JSON, nothing to continue
};

class ChatTemplateError : public Error {
 public:
  ChatTemplateError(ChatTemplateFault fault, const std::string& cause);
  ChatTemplateFault fault() const noexcept { return fault_; }

 private:
  ChatTemplateFault fault_;
};

struct ChatMessage {
  std::string role;
  std::string content;
};

// A date and time of day as the template's strftime_now sees it.
struct ChatTime {
  int year = 1970;  // 1..9999
  int month = 1;    // 1..12
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

struct ChatOptions {
  // JSON lists, empty for none.
  std::string tools;
  std::string documents;
  // A JSON object: further variables of the template.
  std::string variables;
  // Whether the text ends with what begins an answer of the assistant.
  bool add_generation_prompt = false;
  // Whether the text ends with the last message, which is to be continued. Not
  // together with add_generation_prompt.
  bool continue_final_message = false;
  // The local time if absent.
  std::optional<ChatTime> now;
};

// A part of a text, in code points.
struct ChatSpan {
  size_t begin = 0;
  size_t end = 0;
};

struct RenderedChat {
  std::string text;
  // What the assistant wrote, for templates that say so ({% generation %}).
  std::vector<ChatSpan> generated;
};

// A chat template: the program, in a subset of Jinja, that a checkpoint brings
// along to make one text of a conversation. It renders what the transformers
// library renders. Hostile templates end with an error after a bounded number
// of steps; they reach nothing but their input.
//
// Immutable; may be used from several threads.
class ChatTemplate {
 public:
  // Variables that hold special tokens: "bos_token", "<s>".
  using Tokens = std::vector<std::pair<std::string, std::string>>;

  // Throws ChatTemplateError, of the fault kParse or kLimit.
  static std::shared_ptr<const ChatTemplate> Parse(std::string_view source,
                                                   const Tokens& tokens = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // The text of a conversation, UTF-8. `messages` is a JSON list of objects
  // with "role", "content" and what else the template knows ("tool_calls",
  // "reasoning_content", lists of parts as content). Throws ChatTemplateError,
  // std::bad_alloc.
  RenderedChat Render(std::string_view messages,
                      const ChatOptions& options = {}) const;
  std::string Render(Span<const ChatMessage> messages,
                     const ChatOptions& options = {}) const;

  const std::string& source() const;
  const Tokens& tokens() const;

 private:
  class Impl;
  explicit ChatTemplate(std::unique_ptr<const Impl> impl);

  std::unique_ptr<const Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_CHAT_TEMPLATE_H_
