#include "runtime/generate/generation.h"

#include <algorithm>

#include "lutra/runtime/sampler.h"

namespace lutra {

std::string_view Name(GenerationEnd end) {
  switch (end) {
    case GenerationEnd::kEndToken:
      return "end";
    case GenerationEnd::kStopString:
      return "stop";
    case GenerationEnd::kMaxTokens:
      return "length";
    case GenerationEnd::kContextFull:
      break;
  }
  return "context";
}

bool IsEnd(const Tokenizer& tokenizer, const GenerationOptions& options,
           int32_t id) {
  return tokenizer.IsEnd(id) ||
         std::find(options.ends.begin(), options.ends.end(), id) !=
             options.ends.end();
}

std::vector<uint32_t> AllowedTokens(size_t vocabulary,
                                    const Tokenizer& tokenizer,
                                    const GenerationOptions& options) {
  std::vector<uint32_t> allowed(TokenMaskWords(vocabulary));
  bool all = true;
  for (size_t i = 0; i < vocabulary; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (i < tokenizer.size() && !tokenizer.IsUnused(id) &&
        !(options.ignore_end && IsEnd(tokenizer, options, id))) {
      allowed[i / 32] |= uint32_t{1} << (i % 32);
    } else {
      all = false;
    }
  }
  if (all) allowed.clear();
  return allowed;
}

}  // namespace lutra
