#ifndef LUTRA_EVAL_PERPLEXITY_H_
#define LUTRA_EVAL_PERPLEXITY_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lutra/runtime/language_model.h"

// How well language models predict a text.
//
// The text's tokens t_1 ... t_T are cut into chunks, each of which is scored on
// its own: with S the scored tokens and c(i) what comes before t_i in its
// chunk,
//
//   nats       = - sum over i in S of ln p(t_i | c(i))
//   perplexity = exp(nats / |S|)
//   bits/byte  = nats / |S| * T / (ln 2 * bytes of the text)
//
// where p is the softmax of the model's logits. Perplexities compare between
// models with the same tokenizer and chunks of the same length; bits per byte
// between all.

namespace lutra::eval {

// -ln of the probability that the logits, [count], give `token`, which must be
// less than `count`: in nats, in double precision, for logits of any size. NaN
// and infinities pass through.
double NegativeLogLikelihood(const float* logits, size_t count, int32_t token);

struct TextScore {
  size_t tokens = 0;   // of the text, T
  size_t scored = 0;   // those with something before them, |S|
  size_t correct = 0;  // scored tokens that were the most probable
  double nats = 0;     // of the scored tokens together
  double seconds = 0;

  double NatsPerToken() const;  // 0 if none is scored
  double Perplexity() const;
  double BitsPerByte(size_t text_bytes) const;
};

// Scores the tokens `ids`, as Tokenizer::Encode gives them without special
// tokens: what belongs after a text (EOS) is neither fed nor scored. With bos
// >= 0, chunks have `context` - 1 tokens, and `bos` is fed before each, so that
// all are scored; without (-1), `context` tokens, whose first is not scored.
// `sequences` (not 0) chunks are scored at once, each on a sequence of its own:
// faster for short ones, and takes as many times the memory; the score is the
// same. `progress`, which may be empty, is told after these what the score is
// so far.
//
// One thread at a time per model. Throws
// lutra::Error: for a context of less than 2, for ids outside the model's
// vocabulary, and for logits that are not finite; Cancelled after
// LanguageModel::Cancel.
TextScore ScoreText(LanguageModel& model, const std::vector<int32_t>& ids,
                    int32_t bos, size_t context,
                    const std::function<void(const TextScore&)>& progress = {},
                    size_t sequences = 1);

// The first `limit` bytes of a file, 0 for all, less the beginning of a UTF-8
// character at the end. Throws lutra::Error, also if there are none.
std::string ReadText(const std::filesystem::path& path, size_t limit);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_PERPLEXITY_H_
