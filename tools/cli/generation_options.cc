#include "tools/cli/generation_options.h"

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"
#include "tools/cli/language_options.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {

void AddConstraintOptions(Verb& verb, ConstraintOptions& options) {
  Option grammar = verb.Add("--grammar", options.grammar,
                            "File with a grammar (GBNF) that what the model "
                            "writes must follow")
                       .TypeName("FILE");
  verb.Add("--json-schema", options.schema,
           "What the model writes must be JSON of this schema: a file, or the "
           "schema itself, such as '{\"type\": \"object\"}'")
      .TypeName("SCHEMA")
      .Excludes(grammar);
}

std::shared_ptr<const Grammar> OpenGrammar(const ConstraintOptions& options) {
  if (options.grammar.empty() && options.schema.empty()) return nullptr;
  const bool is_schema = !options.schema.empty();
  const std::string& path = is_schema ? options.schema : options.grammar;
  if (is_schema && path.find_first_of("{") != std::string::npos) {
    return Grammar::FromJsonSchema(path);
  }
  const std::string text = eval::ReadText(path, 0);
  try {
    return is_schema ? Grammar::FromJsonSchema(text) : Grammar::Parse(text);
  } catch (const Error& error) {
    throw Error::InFile(path, error.what(), error.code());
  }
}

void AddSpeculationOptions(Verb& verb, SpeculationOptions& options) {
  Option draft =
      verb.Add("--draft", options.draft,
               "A smaller model of the same tokenizer guesses tokens that this "
               "one confirms several at a time: the same text, sooner")
          .TypeName("MODEL");
  verb.AddFlag("--prompt-lookup", options.lookup,
               "Likewise, guessing what followed the last tokens when they "
               "stood in the text before")
      .Excludes(draft);
  verb.Add("--draft-tokens", options.tokens,
           "The most tokens of a guess; " + std::to_string(kDraftTokens) +
               " unless it is given")
      .TypeName("N")
      .Range(size_t{1}, Speculation::kMaxGuess);
}

Speculator::Speculator(const SpeculationOptions& options,
                       const Tokenizer& tokenizer,
                       const LanguageModelOptions& language,
                       const LoadOptions& load)
    : tokens_(options.tokens == 0 ? kDraftTokens : options.tokens) {
  if (options.tokens > 0 && options.draft.empty() && !options.lookup) {
    throw UsageError("--draft-tokens", "needs --draft or --prompt-lookup");
  }
  if (options.lookup) drafter_ = std::make_unique<PromptLookup>();
  if (options.draft.empty()) return;
  LoadOptions draft_load = load;
  draft_load.adapter.clear();
  const std::shared_ptr<const Model> model =
      Model::Load(options.draft, draft_load);
  try {
    CheckDraftTokenizer(tokenizer, *RequireTokenizer(*model));
  } catch (const Error& error) {
    throw Error::InFile(options.draft, error.what(), error.code());
  }
  LanguageModelOptions own = language;
  own.session.context = 0;  // its own
  draft_.emplace(OpenLanguageModel(model, own));
  drafter_ = std::make_unique<DraftModel>(*draft_);
}

void Speculator::Attach(TextGenerator& generator) {
  if (drafter_ != nullptr) generator.SetDrafter(drafter_.get(), tokens_);
}

}  // namespace lutra::tools
