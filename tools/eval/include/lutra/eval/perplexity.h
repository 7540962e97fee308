#ifndef LUTRA_EVAL_PERPLEXITY_H_
#define LUTRA_EVAL_PERPLEXITY_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"

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
// between all. Beside a reference model with probabilities r (the float model
// that a packed one was made from),
//
//   KL divergence = sum over i in S of sum over v of
//                   r(v | c(i)) ln (r(v | c(i)) / p(v | c(i))) / |S|
//
// in nats, tells what packing has changed, where perplexity may fall by luck.

namespace lutra::eval {

// -ln of the probability that the logits, [count], give `token`, which must be
// less than `count`: in nats, in double precision, for logits of any size. NaN
// and infinities pass through.
double NegativeLogLikelihood(const float* logits, size_t count, int32_t token);

// The divergence of `logits` from `reference`, both [count], in nats, in double
// precision. Not negative but for rounding; NaN and infinities pass through.
double KlDivergence(const float* reference, const float* logits, size_t count);

struct TextScore {
  size_t tokens = 0;   // of the text, T
  size_t scored = 0;   // those with something before them, |S|
  size_t correct = 0;  // scored tokens that were the most probable
  double nats = 0;     // of the scored tokens together
  // Beside a reference: the divergence of the scored tokens together, and how
  // many have the same most probable token.
  double divergence = 0;
  size_t same_top = 0;
  double seconds = 0;

  double NatsPerToken() const;  // 0 if none is scored
  double Perplexity() const;
  double BitsPerByte(size_t text_bytes) const;
  double DivergencePerToken() const;  // likewise
  double SameTop() const;             // a share, 0 to 1
};

enum class ScoreProtocol {
  // Every token of the text. With BOS, chunks have context - 1 tokens, and BOS
  // is fed before each, so that all are scored; without, `context` tokens,
  // whose first is not scored. The last chunk may be short.
  kAll,
  // What llama.cpp's llama-perplexity does, whose figures compare then: chunks
  // of `context` tokens of BOS and the text; in each the first token is
  // replaced by BOS (if there is one), and those from context / 2 + 1 on are
  // scored. What is left over at the end is dropped. Needs two chunks.
  kLlama,
};

struct ScoreOptions {
  int32_t bos = -1;    // -1: none
  size_t context = 0;  // tokens; at least 2
  ScoreProtocol protocol = ScoreProtocol::kAll;
  size_t chunks = 0;  // the most that are scored; 0: all
  // Chunks scored at once, each on a sequence of its own: faster for short
  // ones, and takes as many times the memory; the score is the same. With a
  // reference, whose logits are held, one at a time.
  size_t sequences = 1;
  // Another model with the same tokens, or nullptr.
  LanguageModel* reference = nullptr;
};

// BOS, if the tokenizer puts it in front of texts; else -1, also where it has
// one that only marks turns of a conversation.
int32_t TextStart(const Tokenizer& tokenizer);

// Tokens of a chunk where nobody says how many: 256, short enough for nearly
// every model, so that figures of different models compare, or what the model
// is made for if that is less.
size_t DefaultContext(const Model& model);

// Scores the tokens `ids`, as Tokenizer::Encode gives them without special
// tokens: what belongs after a text (EOS) is neither fed nor scored.
// `progress`, which may be empty, is told after each step what the score is so
// far.
//
// One thread at a time per model. Throws lutra::Error: for a context of less
// than 2, for ids outside the model's vocabulary, for a text that is too short
// for kLlama, for a reference with another vocabulary, and for logits that are
// not finite; Cancelled after LanguageModel::Cancel.
TextScore ScoreText(LanguageModel& model, const std::vector<int32_t>& ids,
                    const ScoreOptions& options,
                    const std::function<void(const TextScore&)>& progress = {});

// The first `limit` bytes of a file, 0 for all, less the beginning of a UTF-8
// character at the end. Throws lutra::Error, also if there are none.
std::string ReadText(const std::filesystem::path& path, size_t limit);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_PERPLEXITY_H_
