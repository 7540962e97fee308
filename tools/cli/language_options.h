#ifndef LUTRA_TOOLS_CLI_LANGUAGE_OPTIONS_H_
#define LUTRA_TOOLS_CLI_LANGUAGE_OPTIONS_H_

#include <memory>
#include <string_view>

#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/tokenizer.h"
#include "tools/cli/command_line.h"

// Options of the verbs that run language models.

namespace lutra::tools {

// --cache TYPE, --chunk N.
void AddLanguageOptions(Verb& verb, LanguageModelOptions& options);

// -c, --context N, 0 (the default) as `otherwise` says.
void AddContextOption(Verb& verb, size_t& context, const char* otherwise);

// -n, --tokens N.
void AddTokensOption(Verb& verb, size_t& tokens);

// --temperature, --top-k, --top-p, --min-p, --repetition-penalty, --seed.
void AddSamplerOptions(Verb& verb, SamplerOptions& options);

// Throws lutra::Error; where memory is short, it names --context.
LanguageModel OpenLanguageModel(std::shared_ptr<const Model> model,
                                const LanguageModelOptions& options);

// Throws lutra::Error if the file has none.
std::shared_ptr<const Tokenizer> RequireTokenizer(const Model& model);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LANGUAGE_OPTIONS_H_
