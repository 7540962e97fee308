#ifndef LUTRA_TOOLS_CLI_GENERATION_OPTIONS_H_
#define LUTRA_TOOLS_CLI_GENERATION_OPTIONS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "lutra/runtime/grammar.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/speculation.h"
#include "lutra/runtime/text_generator.h"
#include "tools/cli/command_line.h"

// Options of the verbs that generate text: what it must be, and what guesses
// it.

namespace lutra::tools {

struct ConstraintOptions {
  std::string grammar;  // a file
  std::string schema;   // a file, or the schema itself
};

// --grammar FILE, --json-schema FILE.
void AddConstraintOptions(Verb& verb, ConstraintOptions& options);

// nullptr if nothing is asked for. Throws lutra::Error.
std::shared_ptr<const Grammar> OpenGrammar(const ConstraintOptions& options);

// Of a guess.
inline constexpr size_t kDraftTokens = 8;

struct SpeculationOptions {
  std::string draft;  // a model file
  bool lookup = false;
  size_t tokens = 0;  // 0: kDraftTokens
};

// --draft MODEL, --prompt-lookup, --draft-tokens N.
void AddSpeculationOptions(Verb& verb, SpeculationOptions& options);

// What guesses for a generator, as long as it lives.
class Speculator {
 public:
  // `language` and `load` are the model's own options. Throws lutra::Error,
  // UsageError.
  Speculator(const SpeculationOptions& options, const Tokenizer& tokenizer,
             const LanguageModelOptions& language, const LoadOptions& load);

  void Attach(TextGenerator& generator);

 private:
  size_t tokens_;
  std::optional<LanguageModel> draft_;
  std::unique_ptr<Drafter> drafter_;  // none is asked for: nullptr
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_GENERATION_OPTIONS_H_
