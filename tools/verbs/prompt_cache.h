#ifndef LUTRA_TOOLS_VERBS_PROMPT_CACHE_H_
#define LUTRA_TOOLS_VERBS_PROMPT_CACHE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/language_model.h"
#include "lutra/runtime/text_generator.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra::tools {

// A file with the sequence of a prompt, and its tokens (docs/language_models.md
// has the format).
class PromptCache {
 public:
  // No file: nothing is cached. Reads the file if it exists. Throws
  // lutra::Error if it is none, or another model's.
  PromptCache(std::string path, LanguageModel& model);

  bool used() const { return !path_.empty(); }

  // What the model's sequence holds at first.
  const std::vector<int32_t>& tokens() const { return tokens_; }

  // Lets the generator write the file as soon as it has fed the first prompt,
  // which is these tokens, unless the file holds it already.
  void Watch(TextGenerator& generator, const std::vector<int32_t>& prompt);

  // As TextGenerator::Generate of a first prompt: what the file has of it is
  // not fed again, and the file is written.
  GenerationEnd Generate(TextGenerator& generator, const Tokenizer& tokenizer,
                         std::string_view prompt,
                         const TextGenerator::Show& show);

  // Writes the model's sequence, which is these tokens.
  void Write(const std::vector<int32_t>& tokens) const;

 private:
  void Read();

  const std::string path_;
  LanguageModel& model_;
  std::vector<int32_t> tokens_;  // of the model's sequence
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_PROMPT_CACHE_H_
