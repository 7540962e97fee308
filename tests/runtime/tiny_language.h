#ifndef LUTRA_TESTS_RUNTIME_TINY_LANGUAGE_H_
#define LUTRA_TESTS_RUNTIME_TINY_LANGUAGE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "tests/runtime/model_builder.h"

namespace lutra {

// A language model of one Llama block with random weights, and its tokenizer:
// BOS, EOS, a token for each of "abcdefghijklmnopqrstuvwxyz .\n", for "th",
// "he" and "é", and the two bytes of "é" on their own.
struct TinyLanguage {
  static constexpr int32_t kBos = 1;
  static constexpr int32_t kEos = 2;
  static constexpr int32_t kFirstLetter = 3;  // 'a'
  static constexpr size_t kVocabulary = 37;

  size_t context = 64;
  uint32_t seed = 1;
  bool packed = false;  // 4 bits, groups of 16
  bool tokenizer = true;
  // Instead of logits the mean of the tokens' states, which see each other in
  // both directions: a model for TextEncoder.
  bool encodes = false;
  std::optional<kernels::CacheType> cache = std::nullopt;  // of the graph

  ModelBuilder Build() const;
};

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_TINY_LANGUAGE_H_
