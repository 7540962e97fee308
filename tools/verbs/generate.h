#ifndef LUTRA_TOOLS_VERBS_GENERATE_H_
#define LUTRA_TOOLS_VERBS_GENERATE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/generation.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "tools/cli/generation_options.h"

namespace lutra::tools {

inline double PerSecond(size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

// What lutra generate was asked for.
struct GenerateVerb {
  std::string model;
  std::vector<std::string> prompts;
  std::string prompt_file;   // one prompt
  std::string prompts_file;  // one on each line
  size_t parallel = 8;
  GenerationOptions generation;
  ConstraintOptions constraint;
  SpeculationOptions speculation;
  LanguageModelOptions language;
  LoadOptions load;
  bool chat = false;   // the prompt is a message to answer
  std::string system;  // with it
  bool interactive = false;
  bool no_echo = false;
  bool quiet = false;
  bool json = false;
  bool json_lines = false;
  size_t log_probabilities = 0;
  std::string prompt_cache;

  bool AsJson() const { return json || json_lines; }
};

// 128 + SIGINT, as shells have it.
inline constexpr int kInterrupted = 130;

// Writes text as it comes, and stops the command when nobody reads it.
void Write(std::string_view text);

// The messages for an answer to this one, as `verb` says.
std::string Messages(const GenerateVerb& verb, const std::string& message);

// Continues (or answers) all prompts at the same time. Those of a model without
// a tokenizer are ids, and so is what is printed.
void GenerateBatch(const GenerateVerb& verb, double load_seconds,
                   LanguageModel& language_model, const Tokenizer* tokenizer,
                   const std::vector<std::string>& prompts);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_GENERATE_H_
