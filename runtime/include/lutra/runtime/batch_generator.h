#ifndef LUTRA_RUNTIME_BATCH_GENERATOR_H_
#define LUTRA_RUNTIME_BATCH_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/generation.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/tokenizer.h"

// Several prompts continued at once, for throughput: one call of the model
// makes a token of each. Each has a sequence and a sampler of its own, so that
// of a packed model each gets the tokens that it would get alone, whatever runs
// beside it. The model's own sequence is not touched.

namespace lutra {

struct BatchOptions {
  GenerationOptions generation;  // of each prompt
  // The most prompts at a time, at least 1: the memory of as many sequences.
  // When one ends, the next takes its place.
  size_t parallel = 8;
};

struct BatchResult {
  std::vector<int32_t> prompt;
  std::vector<int32_t> tokens;  // those chosen, the one that ended it included
  std::optional<GenerationEnd> end;  // nothing if it was cut off
};

// Continues prompts that are token ids. `each` gets every chosen token with the
// index of its prompt, those of a prompt in order, and says whether and why
// that prompt ends with it. `allowed` is a mask of tokens as of
// Sampler::Sample, or empty. Of the options neither `stops` nor `ignore_end` is
// looked at, which are a tokenizer's business. `results` gets an entry for each
// prompt; after an exception it holds what was made so far.
//
// Throws Error that names the prompt, before anything is run, for one that is
// empty, that has ids outside the vocabulary, or that is longer than the
// context; Cancelled after LanguageModel::Cancel; and what `each` throws.
using ChooseEnd =
    std::function<std::optional<GenerationEnd>(size_t prompt, int32_t id)>;
void GenerateIds(LanguageModel& model, Span<const std::vector<int32_t>> prompts,
                 const BatchOptions& options, Span<const uint32_t> allowed,
                 const ChooseEnd& each, std::vector<BatchResult>& results);

// The same for texts, each as by a TextGenerator that begins with it. `show`
// gets the text of each as it becomes certain. `stops` and `ignore_end` count.
using ShowText = std::function<void(size_t prompt, std::string_view text)>;
void GenerateTexts(LanguageModel& model, const Tokenizer& tokenizer,
                   Span<const std::string> prompts, const BatchOptions& options,
                   const ShowText& show, std::vector<BatchResult>& results);
// The same for prompts that are tokens, such as conversations (ChatSession's
// Encode and its ends): their texts are continued, a leading space is kept.
void GenerateTexts(LanguageModel& model, const Tokenizer& tokenizer,
                   Span<const std::vector<int32_t>> prompts,
                   const BatchOptions& options, const ShowText& show,
                   std::vector<BatchResult>& results);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BATCH_GENERATOR_H_
