#include "lutra/runtime/chat_session.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra {
namespace {

GenerationOptions WithEnds(GenerationOptions options,
                           const std::vector<int32_t>& ends) {
  options.ends.insert(options.ends.end(), ends.begin(), ends.end());
  return options;
}

}  // namespace

std::vector<int32_t> TurnEnds(const ChatTemplate& chat,
                              const Tokenizer& tokenizer) {
  std::vector<int32_t> ends;
  for (const auto& [name, text] : chat.tokens()) {
    if (name != "eos_token") continue;
    const std::vector<int32_t> ids = tokenizer.Encode(text, false);
    if (ids.size() == 1) ends.push_back(ids[0]);
  }
  // What stands behind an answer that cannot be mistaken.
  constexpr std::string_view kAnswer = "lutra7answer";
  try {
    const std::vector<ChatMessage> messages = {
        {"user", "question"}, {"assistant", std::string(kAnswer)}};
    const std::string text = chat.Render(messages);
    const size_t at = text.rfind(kAnswer);
    if (at != std::string::npos) {
      const std::vector<int32_t> ids =
          tokenizer.Encode(text.substr(at + kAnswer.size()), false);
      for (const int32_t id : ids) {
        if (!tokenizer.IsSpecial(id)) continue;
        ends.push_back(id);
        break;
      }
    }
  } catch (const ChatTemplateError&) {
    // A template may want other messages than these.
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return ends;
}

ChatSession::ChatSession(LanguageModel& model, const Tokenizer& tokenizer,
                         const ChatTemplate& chat, GenerationOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      chat_(chat),
      generator_(model, tokenizer,
                 WithEnds(std::move(options), TurnEnds(chat, tokenizer))) {}

size_t ChatSession::Reuse(const std::vector<int32_t>& tokens) {
  // Someone else may have used the model since.
  fed_.resize(std::min(fed_.size(), model_.position()));
  const auto [mine, theirs] =
      std::mismatch(fed_.begin(), fed_.end(), tokens.begin(), tokens.end());
  // The last token is fed in any case: the answer begins with its logits.
  size_t common =
      std::min(static_cast<size_t>(mine - fed_.begin()), tokens.size() - 1);
  try {
    generator_.Rewind(common);
  } catch (const Error&) {
    // Recurrent models can only go back to the start.
    generator_.Rewind(common = 0);
  }
  fed_.resize(common);
  return common;
}

std::vector<int32_t> ChatSession::Encode(std::string_view messages,
                                         ChatOptions options) const {
  options.add_generation_prompt = !options.continue_final_message;
  const RenderedChat chat = chat_.Render(messages, options);
  // A template puts all special tokens itself.
  std::vector<int32_t> tokens = tokenizer_.Encode(chat.text, false);
  if (tokens.empty()) {
    throw Error("the chat template makes an empty text of the conversation");
  }
  if (model_.context() > 0 && tokens.size() > model_.context()) {
    throw Error(ErrorCode::kContextFull,
                "the conversation has " + std::to_string(tokens.size()) +
                    " tokens, the context " + std::to_string(model_.context()));
  }
  return tokens;
}

GenerationEnd ChatSession::Answer(std::string_view messages,
                                  ChatOptions options,
                                  const TextGenerator::Show& show) {
  std::vector<int32_t> tokens = Encode(messages, std::move(options));
  prompt_tokens_ = tokens.size();
  reused_tokens_ = Reuse(tokens);
  fed_ = tokens;
  tokens.erase(tokens.begin(),
               tokens.begin() + static_cast<std::ptrdiff_t>(reused_tokens_));
  const auto remember = [this] {
    const auto& chosen = generator_.tokens();
    fed_.insert(fed_.end(), chosen.begin(), chosen.end());
    fed_.resize(std::min(fed_.size(), model_.position()));
  };
  try {
    const GenerationEnd end =
        generator_.GenerateFrom(std::move(tokens), /*continues=*/true, show);
    remember();
    return end;
  } catch (...) {
    remember();
    throw;
  }
}

}  // namespace lutra
