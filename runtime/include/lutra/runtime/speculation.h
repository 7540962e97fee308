#ifndef LUTRA_RUNTIME_SPECULATION_H_
#define LUTRA_RUNTIME_SPECULATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"

// Speculative decoding (Leviathan et al., "Fast inference from transformers via
// speculative decoding", 2023): something cheap guesses the next tokens, the
// model runs all of them in one call, which reads its weights once, and those
// that it would have chosen itself are kept. A choice is made by the model's
// logits in any case, so the text is the one that the model alone generates,
// whatever the sampler: of a packed model, whose logits do not depend on how a
// sequence is split, to the bit.

namespace lutra {

// Guesses how a sequence of tokens goes on. One thread at a time.
class Drafter {
 public:
  virtual ~Drafter() = default;
  // Appends at most `most` tokens to `guess`, or none.
  virtual void Guess(Span<const int32_t> tokens, size_t most,
                     std::vector<int32_t>& guess) = 0;
};

// Guesses what followed the last tokens when they stood in the text before
// (Saxena, "Prompt lookup decoding", 2023). For texts that repeat themselves or
// the prompt: answers about a text, changes to it, code.
class PromptLookup : public Drafter {
 public:
  // Looks for the last `longest` tokens, then for fewer, down to `shortest`, at
  // least 1; the latest place counts. Throws Error.
  explicit PromptLookup(size_t longest = 4, size_t shortest = 2);

  void Guess(Span<const int32_t> tokens, size_t most,
             std::vector<int32_t>& guess) override;

 private:
  size_t longest_;
  size_t shortest_;
};

// Throws Error unless the ids that both know stand for the same: only then a
// draft says something about the model's text.
void CheckDraftTokenizer(const Tokenizer& model, const Tokenizer& draft);

// Guesses what a smaller model finds most probable, as long as that is at least
// as probable as `least`.
class DraftModel : public Drafter {
 public:
  static constexpr float kLeastProbability = 0.3f;

  // `draft` must outlive the drafter, which moves its sequence as it needs.
  // Throws Error unless it can go back (no recurrent nodes).
  explicit DraftModel(LanguageModel& draft, float least = kLeastProbability);

  // Nothing where `tokens` are more than the draft's context or vocabulary.
  void Guess(Span<const int32_t> tokens, size_t most,
             std::vector<int32_t>& guess) override;

 private:
  LanguageModel& draft_;
  float least_;               // a logarithm
  std::vector<int32_t> fed_;  // the tokens of its sequence
};

// A language model that is fed one token after the other and looks ahead.
// Nothing else may feed its sequence between Feed and Settle.
class Speculation {
 public:
  // Far more than can be gained by.
  static constexpr size_t kMaxGuess = 64;

  // Both must outlive it. At most `most` tokens are guessed at a time, at least
  // 1; fewer after guesses that were wrong. Throws Error, also for a model that
  // cannot go back (recurrent nodes).
  Speculation(LanguageModel& model, Drafter& drafter, size_t most);

  // As LanguageModel::Feed: the logits that follow, which may be there already.
  // After an exception nothing is left of guesses.
  Span<const float> Feed(Span<const int32_t> ids);

  // Whether Feed of this token would run nothing: it was guessed.
  bool Knows(int32_t id) const {
    return used_ < guess_.size() && guess_[used_] == id;
  }

  // Tokens of the sequence without guesses.
  size_t position() const { return model_.position() - guess_.size() + used_; }
  // Takes guesses back that the model was fed. Before the model is used
  // otherwise.
  void Settle();
  // What the sequence holds, for the drafter, where others have changed it.
  void SetTokens(Span<const int32_t> tokens);

  // How many tokens were guessed and fed, and how many of these were right.
  size_t guessed() const { return guessed_; }
  size_t accepted() const { return accepted_; }

 private:
  Span<const float> Row(size_t i) const;
  Span<const float> Verify(Span<const int32_t> ids);

  LanguageModel& model_;
  Drafter& drafter_;
  size_t most_;
  size_t length_;                // of the next guess
  std::vector<int32_t> tokens_;  // of the sequence, without guesses
  std::vector<int32_t> guess_;   // fed behind them when they were made
  size_t used_ = 0;              // of the guess
  std::vector<int32_t> call_;
  std::vector<float> logits_;  // after the token before the guess, and each
  size_t guessed_ = 0;
  size_t accepted_ = 0;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SPECULATION_H_
