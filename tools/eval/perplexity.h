#ifndef LUTRA_TOOLS_EVAL_PERPLEXITY_H_
#define LUTRA_TOOLS_EVAL_PERPLEXITY_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "lutra/runtime/language_model.h"

namespace lutra::tools {

// -log of the probability that logits give a token, in nats, in double
// precision. NaN and infinities pass through.
double NegativeLogLikelihood(std::span<const float> logits, int32_t token);

// How well a model predicts a text. Sums are over the scored tokens.
struct TextScore {
  size_t tokens = 0;   // of the text
  size_t scored = 0;   // those with something before them
  size_t correct = 0;  // scored tokens that were the most probable
  double nats = 0;
  double seconds = 0;

  double NatsPerToken() const;
  double Perplexity() const;  // exp of the nats per token
  // Unlike perplexity, comparable between tokenizers: nats per token times
  // tokens, in bits, per byte of the text.
  double BitsPerByte(size_t text_bytes) const;
};

// Cuts `ids` into chunks of at most `context` - 1 tokens and scores each one on
// its own, after `bos`. Without (-1) chunks have `context` tokens, whose first
// is not scored. `progress` is told after each chunk. Throws Error, also for
// logits that are not finite.
TextScore ScoreText(LanguageModel& model, std::span<const int32_t> ids,
                    int32_t bos, size_t context,
                    const std::function<void(const TextScore&)>& progress);

// The first `limit` bytes of a file, 0 for all, less the beginning of a UTF-8
// character at the end. Throws Error, also if there are none.
std::string ReadText(const std::filesystem::path& path, size_t limit);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_EVAL_PERPLEXITY_H_
