#ifndef LUTRA_TOOLS_VERBS_GENERATE_OUTPUT_H_
#define LUTRA_TOOLS_VERBS_GENERATE_OUTPUT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lutra/runtime/language_model.h"
#include "lutra/runtime/text_generator.h"
#include "lutra/runtime/tokenizer.h"
#include "tools/cli/json.h"
#include "tools/verbs/generate.h"

namespace lutra::tools {

// What lutra generate prints of one prompt: text as it comes, or JSON.
class GenerateOutput {
 public:
  // All must outlive the output.
  GenerateOutput(const GenerateVerb& verb, const LanguageModel& model,
                 const Tokenizer& tokenizer, double load_seconds)
      : verb_(verb),
        model_(model),
        tokenizer_(tokenizer),
        load_seconds_(load_seconds) {}

  // Lets the generator tell of its tokens, if that is asked for.
  void Watch(TextGenerator& generator);
  void Show(std::string_view text);
  // Counts what the generator's last call did.
  void Add(const TextGenerator& generator);
  // The report, or speeds and memory.
  void Finish(const std::string& prompt, const TextGenerator& generator,
              std::string_view end);

 private:
  void Token(int32_t id, Span<const float> logits);
  double PromptSpeed() const;
  double Speed() const;
  void PrintTotals() const;
  Json Totals() const;
  void Line(const Json& event) const;

  const GenerateVerb& verb_;
  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  double load_seconds_;
  size_t prompt_tokens_ = 0;
  double prompt_seconds_ = 0;
  size_t tokens_ = 0;
  double seconds_ = 0;
  // Of a drafter.
  struct Guesses {
    size_t all;
    size_t accepted;
  };
  std::optional<Guesses> guesses_;
  std::string shown_;
  Json log_probabilities_ = Json::Array();
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_GENERATE_OUTPUT_H_
