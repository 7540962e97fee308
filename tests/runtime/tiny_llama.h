#ifndef LUTRA_TESTS_RUNTIME_TINY_LLAMA_H_
#define LUTRA_TESTS_RUNTIME_TINY_LLAMA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/runtime/model_builder.h"

// A language model of Llama's architecture with random weights, as a model file
// and, in double precision and without any cache, as plain loops.

namespace lutra {

struct TinyLlama {
  size_t vocabulary = 50;
  size_t width = 32;
  size_t layers = 2;
  size_t heads = 4;
  size_t kv_heads = 2;
  size_t head_dim = 12;
  size_t rotary_dim = 8;  // the other elements of a head are not rotated
  size_t hidden = 40;
  size_t context = 64;
  size_t window = 0;
  std::string pairing = "half";
  // 0: float weights.
  uint32_t bits = 0;

  // ids -> logits [vocabulary]; the output layer is tied to the embedding.
  ModelBuilder Build() const;

  // Logits of every token, [ids.size(), vocabulary].
  std::vector<double> Run(std::span<const int32_t> ids) const;
};

// `count` token ids below `vocabulary`.
std::vector<int32_t> RandomIds(size_t count, size_t vocabulary, uint32_t seed);

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_TINY_LLAMA_H_
