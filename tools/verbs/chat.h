#ifndef LUTRA_TOOLS_VERBS_CHAT_H_
#define LUTRA_TOOLS_VERBS_CHAT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "lutra/runtime/chat_session.h"
#include "lutra/runtime/generation.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/model.h"
#include "tools/cli/generation_options.h"
#include "tools/verbs/chat_history.h"

namespace lutra::tools {

// What lutra chat was asked for.
struct ChatVerb {
  std::string model;
  std::string system;
  std::string load_path;      // a conversation to go on with
  std::string tools_path;     // a JSON list
  std::string template_path;  // in place of the model's
  std::string template_name;
  std::string variables;  // a JSON object
  std::string prompt_cache;
  GenerationOptions generation;
  ConstraintOptions constraint;  // of each answer
  SpeculationOptions speculation;
  LanguageModelOptions language;
  LoadOptions load;
  bool quiet = false;
  bool json = false;
};

// A chat template for a model: of a file, or of the model. Throws lutra::Error.
std::shared_ptr<const ChatTemplate> OpenChatTemplate(const Model& model,
                                                     const std::string& path,
                                                     const std::string& name,
                                                     bool has_tools);

// One conversation with a model.
class Chat {
 public:
  // What they refer to must outlive the chat.
  Chat(const ChatVerb& verb, LanguageModel& model, const Tokenizer& tokenizer,
       const ChatTemplate& chat, Speculator& speculator, std::string tools);

  ChatHistory& history() { return history_; }
  ChatSession& session() { return session_; }

  // Adds a message and lets the model answer; without an answer the message is
  // taken back. Throws lutra::Error, and Cancelled after what was written so
  // far has become the answer.
  void Say(std::string_view role, std::string_view text);
  // The model's answer to the conversation as it is.
  void Answer();

  // Two lines about speeds and memory.
  std::string Stats() const;

 private:
  void Show(std::string_view text);
  void Keep(const std::string& answer);
  void ReportEnd(std::string_view end);

  const ChatVerb& verb_;
  LanguageModel& model_;
  ChatSession session_;
  const std::string tools_;
  ChatHistory history_;
  size_t answers_ = 0;
  size_t prompt_tokens_ = 0;
  size_t reused_tokens_ = 0;
  size_t tokens_ = 0;
  double prompt_seconds_ = 0;
  double seconds_ = 0;
};

// Does what a line that begins with '/' says. Returns whether the chat goes on.
// Throws lutra::Error for what it does not know or cannot do.
bool RunChatCommand(std::string_view line, Chat& chat);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_CHAT_H_
