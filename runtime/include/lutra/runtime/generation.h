#ifndef LUTRA_RUNTIME_GENERATION_H_
#define LUTRA_RUNTIME_GENERATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/grammar.h"
#include "lutra/runtime/sampler.h"

// What the two ways to generate text have in common (text_generator.h,
// batch_generator.h).

namespace lutra {

struct GenerationOptions {
  SamplerOptions sampler;
  // Most tokens for one prompt; 0: until the text ends or the context is full.
  size_t max_tokens = 0;
  // Strings before which the text ends (see StopFilter).
  std::vector<std::string> stops;
  // Never chooses a token that ends the text.
  bool ignore_end = false;
  // Tokens that end the text beside the tokenizer's.
  std::vector<int32_t> ends;
  // What is generated for a prompt, from its first token on, is to be a text of
  // this grammar; nullptr: anything. The text ends where nothing can follow.
  std::shared_ptr<const Grammar> grammar;
};

// Why the text came to its end.
enum class GenerationEnd {
  kEndToken,
  kStopString,
  kMaxTokens,
  kContextFull,
  kGrammar
};

// "end", "stop", "length", "context", "grammar".
std::string_view Name(GenerationEnd end);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GENERATION_H_
