#include "runtime/generate/generation.h"

#include <algorithm>

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
      return "context";
    case GenerationEnd::kGrammar:
      break;
  }
  return "grammar";
}

bool IsEnd(const Tokenizer& tokenizer, const GenerationOptions& options,
           int32_t id) {
  return tokenizer.IsEnd(id) ||
         std::find(options.ends.begin(), options.ends.end(), id) !=
             options.ends.end();
}

}  // namespace lutra
