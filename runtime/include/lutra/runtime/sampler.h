#ifndef LUTRA_RUNTIME_SAMPLER_H_
#define LUTRA_RUNTIME_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/random.h"

namespace lutra {

// The filters are applied in the order of the fields below from the repetition
// penalty on, each to what the one before it left, and the temperature last:
// the order of llama.cpp's default chain, so that its settings carry over.
struct SamplerOptions {
  // Divides the logits before the draw. 0 takes the most probable token always
  // (of equal ones that with the lowest id) and draws no random number.
  float temperature = 0.8f;
  // Keskar et al., "CTRL", 2019: logits of tokens among the last
  // `repetition_window` accepted ones are divided by the penalty if they are
  // positive and multiplied by it if they are negative. 1 changes nothing.
  float repetition_penalty = 1.0f;
  size_t repetition_window = 64;
  // Only the k largest logits; 0 keeps all.
  size_t top_k = 40;
  // Holtzman et al., "The curious case of neural text degeneration", 2020: only
  // the fewest most probable tokens whose probabilities add up to p, one at
  // least. 1 keeps all.
  float top_p = 0.95f;
  // Nguyen et al., "Min-p sampling", 2024: only tokens at least min_p times as
  // probable as the most probable one. 0 keeps all.
  float min_p = 0.05f;
  // One seed gives the same tokens for the same logits on every machine.
  uint64_t seed = 0;
};

// A mask of tokens: bit `id % 32`, from the lowest, of word `id / 32`. Bits
// past the vocabulary mean nothing.
inline size_t TokenMaskWords(size_t vocabulary) {
  return vocabulary / 32 + (vocabulary % 32 == 0 ? 0 : 1);
}
inline bool IsAllowed(Span<const uint32_t> mask, size_t id) {
  return (mask[id / 32] >> (id % 32) & 1u) != 0;
}

// Chooses tokens. One thread at a time. Allocates in the constructor only.
// Probabilities are made of the exp of lutra/kernels/vector_ops.h and summed in
// double precision in a fixed order, so nothing depends on the CPU or on the C
// library.
class Sampler {
 public:
  // More is a mistake: the window is searched for each token.
  static constexpr size_t kMaxRepetitionWindow = size_t{1} << 20;

  // For logits of `vocabulary` tokens. Throws Error for a temperature or a
  // penalty that is negative or not finite, a penalty of 0, and for top_p and
  // min_p outside 0 to 1.
  Sampler(const SamplerOptions& options, size_t vocabulary);

  const SamplerOptions& options() const { return options_; }

  // The token to come. A logit of minus infinity excludes its token, and so
  // does a mask of allowed tokens, TokenMaskWords(vocabulary) words, unless it
  // has none: for padding of the vocabulary, grammars and the like. The filters
  // see what is left. Throws Error if a logit is NaN or plus infinity, if every
  // token is excluded, or if the number of logits or words is not that of the
  // vocabulary.
  int32_t Sample(Span<const float> logits, Span<const uint32_t> allowed = {});

  // Tells the repetition penalty of a token of the text, sampled or not. Throws
  // Error for one outside the vocabulary.
  void Accept(int32_t id);

  // As constructed: the seed's first number is next, no token is accepted.
  void Reset();

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };

  float Penalised(float logit) const;
  int32_t Greedy(Span<const float> logits);
  // Of the first `count` candidates.
  double LargestLogit(size_t count) const;
  double TotalWeight(size_t count) const;
  // Sets the weights of candidates [begin, end), e^((logit - largest) / t).
  void Weigh(size_t begin, size_t end, double largest, double t);
  // Number of candidates that top-k and top-p and min-p keep; they come
  // first in candidates_.
  size_t Filter(size_t count);
  int32_t Draw(size_t count);

  SamplerOptions options_;
  size_t vocabulary_;
  Random random_;
  std::vector<Candidate> candidates_;  // by id before they are filtered
  std::vector<float> weights_;         // of candidates, once they are weighed
  // The last accepted tokens, at most repetition_window: a ring whose oldest
  // token is at oldest_ once it is full.
  std::vector<int32_t> recent_;
  size_t oldest_ = 0;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SAMPLER_H_
