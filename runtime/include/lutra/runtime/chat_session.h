#ifndef LUTRA_RUNTIME_CHAT_SESSION_H_
#define LUTRA_RUNTIME_CHAT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/chat_template.h"
#include "lutra/runtime/generation.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/text_generator.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra {

// The tokens that end an answer: those whose text the template puts behind one,
// and its eos_token. The tokenizer's own ends come on top.
std::vector<int32_t> TurnEnds(const ChatTemplate& chat,
                              const Tokenizer& tokenizer);

// Answers to a conversation. The sequence stays warm: of a conversation that
// goes on only the new tokens are fed, whatever became of the earlier ones
// (shortened, edited, rendered another way). One thread at a time, except for
// LanguageModel::Cancel.
class ChatSession {
 public:
  // All must outlive the session. `options.ends` is added to.
  ChatSession(LanguageModel& model, const Tokenizer& tokenizer,
              const ChatTemplate& chat, GenerationOptions options);

  // The model's answer to `messages` (see ChatTemplate::Render); `show` gets
  // its text as it becomes certain, without the special tokens in it. With
  // options.continue_final_message the last message is gone on with, else an
  // answer begins.
  //
  // Throws what ChatTemplate::Render and TextGenerator::Generate throw. After
  // each of them the session can be used on.
  GenerationEnd Answer(std::string_view messages, ChatOptions options,
                       const TextGenerator::Show& show);

  // The tokens of a conversation, as Answer feeds them. Throws likewise.
  std::vector<int32_t> Encode(std::string_view messages,
                              ChatOptions options) const;

  // The tokens that the sequence holds; and how to tell them where it was
  // filled elsewhere (restored, say).
  const std::vector<int32_t>& sequence_tokens() const { return fed_; }
  void SetSequenceTokens(std::vector<int32_t> tokens) {
    fed_ = std::move(tokens);
  }

  // Of the last Answer: tokens of the conversation, and how many of them were
  // in the sequence already.
  size_t prompt_tokens() const { return prompt_tokens_; }
  size_t reused_tokens() const { return reused_tokens_; }
  TextGenerator& generator() { return generator_; }
  const TextGenerator& generator() const { return generator_; }

 private:
  // Goes back to what the sequence and the tokens have in common; returns how
  // many these are.
  size_t Reuse(const std::vector<int32_t>& tokens);

  LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  TextGenerator generator_;
  std::vector<int32_t> fed_;  // the tokens of the sequence
  size_t prompt_tokens_ = 0;
  size_t reused_tokens_ = 0;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_CHAT_SESSION_H_
