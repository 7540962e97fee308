#include "tools/cli/language_options.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// Above these are only negative numbers, which are mistakes.
constexpr size_t kMaxVocabulary = std::numeric_limits<int32_t>::max();
constexpr size_t kMaxTokens = kMaxVocabulary;
constexpr size_t kMaxContext = size_t{1} << 24;

}  // namespace

void AddLanguageOptions(Verb& verb, LanguageModelOptions& options) {
  verb.AddParsed(
          "--cache",
          [&options](const std::string& text) {
            AsUsage("--cache",
                    [&] { options.session.cache = ParseCacheType(text); });
          },
          "How keys and values are kept: float16, float32 or int8 (default: as "
          "the model says, or float16)")
      .TypeName("TYPE");
  verb.Add("--chunk", options.chunk, "Most tokens of a prompt per call")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch)
      .ShowDefault();
}

void AddContextOption(Verb& verb, size_t& context, const char* otherwise) {
  verb.Add("-c,--context", context,
           std::string("Tokens of context; 0: ") + otherwise)
      .TypeName("N")
      .Range(size_t{0}, kMaxContext)
      .ShowDefault();
}

void AddTokensOption(Verb& verb, size_t& tokens) {
  verb.Add("-n,--tokens", tokens,
           "Most tokens to generate; 0: until the text ends or the "
           "context is full")
      .TypeName("N")
      .Range(size_t{0}, kMaxTokens)
      .ShowDefault();
}

void AddSamplerOptions(Verb& verb, SamplerOptions& options) {
  verb.Add("--temperature,--temp", options.temperature,
           "0: always the most probable token; above 1: more surprising")
      .TypeName("T")
      .Range(0.0, 100.0)
      .ShowDefault();
  verb.Add("--top-k", options.top_k,
           "Choose among the K most probable tokens; 0: all")
      .TypeName("K")
      .Range(size_t{0}, kMaxVocabulary)
      .ShowDefault();
  verb.Add("--top-p", options.top_p,
           "Choose among the most probable tokens that make up P; 1: all")
      .TypeName("P")
      .Range(0.0, 1.0)
      .ShowDefault();
  verb.Add("--min-p", options.min_p,
           "Choose among tokens at least P times as probable as the most "
           "probable one; 0: all")
      .TypeName("P")
      .Range(0.0, 1.0)
      .ShowDefault();
  verb.Add("--repetition-penalty", options.repetition_penalty,
           "Above 1: avoid recent tokens")
      .TypeName("R")
      .Range(1e-6, 1e6)
      .ShowDefault();
  verb.Add("--repetition-window", options.repetition_window,
           "Tokens that count as recent")
      .TypeName("N")
      .Range(size_t{0}, Sampler::kMaxRepetitionWindow)
      .ShowDefault();
  verb.Add("-s,--seed", options.seed, "Seed of the random choices")
      .TypeName("N")
      .ShowDefault();
}

LanguageModel OpenLanguageModel(std::shared_ptr<const Model> model,
                                const LanguageModelOptions& options) {
  try {
    return LanguageModel(std::move(model), options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    throw Error(error.code(), std::string(error.what()) +
                                  "; --context N with fewer tokens needs less");
  }
}

std::shared_ptr<const Tokenizer> RequireTokenizer(const Model& model) {
  auto tokenizer = Tokenizer::FromModel(model);
  if (tokenizer == nullptr) {
    throw Error::InFile(model.path(),
                        "has no tokenizer (tensor 'lutra.tokenizer'); import "
                        "the model together with its tokenizer");
  }
  return tokenizer;
}

}  // namespace lutra::tools
