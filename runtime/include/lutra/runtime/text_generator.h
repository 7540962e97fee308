#ifndef LUTRA_RUNTIME_TEXT_GENERATOR_H_
#define LUTRA_RUNTIME_TEXT_GENERATOR_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/generation.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/speculation.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra {

class AllowedTokens;
class ShownText;

// Text in, text out: tokenizer, model and sampler together. One thread at a
// time, except for LanguageModel::Cancel.
class TextGenerator {
 public:
  // Both must outlive the generator. Throws Error.
  TextGenerator(LanguageModel& model, const Tokenizer& tokenizer,
                const GenerationOptions& options);
  ~TextGenerator();

  // Gets the text as it becomes certain, in whole UTF-8 characters.
  using Show = std::function<void(std::string_view text)>;

  // Appends `prompt` to what was said so far and continues it. The first prompt
  // begins the sequence (with BOS where the tokenizer has it; a token that it
  // puts after a text is left out, as this one goes on). Tokens without a
  // meaning are never chosen. The text of stop strings is not shown but stays
  // part of the sequence.
  //
  // Throws Error, also if there is nothing to begin with or the context has no
  // room for the prompt; Cancelled after LanguageModel::Cancel; std::bad_alloc;
  // and what `show` throws. The generator can be used on after each of them:
  // - after Cancelled what was held back has been shown, and another call goes
  //   on from there, with the rest of the prompt first;
  // - otherwise, a prompt of which nothing was fed is as if it had not been
  //   given; of one that was fed in part, that part stays in the sequence
  //   (LanguageModel::position()) and the rest is dropped; and after one that
  //   was fed, the tokens that were chosen stay, as if the text had ended
  //   there.
  GenerationEnd Generate(std::string_view prompt, const Show& show);

  // Is called with each token that is chosen, before its text is shown, and the
  // logits that it was chosen by, valid during the call. What it throws ends
  // the generation. Empty: nothing is called.
  using Choice = std::function<void(int32_t id, Span<const float> logits)>;
  void OnChoice(Choice choice) { choice_ = std::move(choice); }

  // Is called once a prompt is fed but for its last token. What the sequence
  // holds then serves each prompt that begins so, this one included, as a text
  // begins with the logits of the last token. What it throws ends the
  // generation. Empty: nothing is called.
  using LastToken = std::function<void()>;
  void OnLastToken(LastToken last_token) {
    last_token_ = std::move(last_token);
  }

  // As Generate for tokens, as they are. Without `continues` they begin a text:
  // a leading space of what follows is dropped where the tokenizer puts one.
  GenerationEnd GenerateFrom(std::vector<int32_t> prompt, bool continues,
                             const Show& show);

  // GenerateFrom in steps, for those who ask for a text instead of being called
  // with it: Begin, then Next until it returns an end. A step feeds what is
  // not fed yet (the first one the prompt), chooses one token and shows what
  // has become certain by it. Throws as Generate, after which it has ended; who
  // stops asking has stopped there, as after `max_tokens`, but without what was
  // held back.
  void Begin(std::vector<int32_t> prompt, bool continues, Show show);
  std::optional<GenerationEnd> Next();
  // The same for all tokens that were guessed (see SetDrafter) and need no more
  // work, of which nothing is left in the sequence then: others may use it
  // until the next step.
  std::optional<GenerationEnd> NextGuessed();

  // Lets a drafter guess at most `most` tokens at a time (see Speculation): the
  // same text, sooner. It must outlive the generator; nullptr ends it. Throws
  // Error as Speculation.
  void SetDrafter(Drafter* drafter, size_t most);
  // What became of the guesses; nullptr without a drafter.
  const Speculation* speculation() const {
    return speculation_ ? &*speculation_ : nullptr;
  }

  // Tells the repetition penalty and the drafter of the tokens that the
  // sequence has from elsewhere.
  void Accept(Span<const int32_t> tokens);

  // Forgets the tokens of the sequence from `position` on, and those that were
  // chosen but not fed. Throws Error as LanguageModel::Rewind.
  void Rewind(size_t position);
  // Tokens that were chosen or given but are not part of the sequence yet.
  const std::vector<int32_t>& pending() const { return pending_; }

  // Begins a new sequence; seed and repetition penalty too begin anew.
  void Reset();

  // Of the last Generate: the prompt's tokens, the tokens that were chosen (the
  // one that ended the text included), and the time for both.
  const std::vector<int32_t>& prompt_tokens() const { return prompt_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  double prompt_seconds() const { return prompt_seconds_; }
  double seconds() const { return seconds_; }

 private:
  std::optional<GenerationEnd> Step();
  void MakeRoom();
  Span<const float> FeedPrompt();
  void FeedButLast();
  // Feeds what is chosen or given but not fed yet.
  Span<const float> FeedPending();
  // Tokens of the sequence, without guesses.
  size_t Position() const;

  LanguageModel& model_;
  const Tokenizer& tokenizer_;
  GenerationOptions options_;
  Sampler sampler_;
  std::unique_ptr<AllowedTokens> allowed_;
  std::optional<Speculation> speculation_;
  // Of the text that is being generated.
  std::unique_ptr<ShownText> text_;
  bool prompt_fed_ = false;
  std::chrono::steady_clock::time_point start_;
  Choice choice_;
  LastToken last_token_;
  std::vector<int32_t> pending_;
  std::vector<int32_t> prompt_;
  std::vector<int32_t> tokens_;
  double prompt_seconds_ = 0;
  double seconds_ = 0;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_GENERATOR_H_
