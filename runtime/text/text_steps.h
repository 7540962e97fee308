#ifndef LUTRA_RUNTIME_TEXT_TEXT_STEPS_H_
#define LUTRA_RUNTIME_TEXT_TEXT_STEPS_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"
#include "runtime/text/regex.h"

namespace lutra {

// Consecutive parts of a text.
struct TextParts {
  std::string text;
  std::vector<size_t> ends;  // where each part ends; none is empty
  bool at_start = false;     // whether the first one starts the whole text

  TextParts(std::string all, bool start)
      : text(std::move(all)), at_start(start) {
    if (!text.empty()) ends.push_back(text.size());
  }
};

std::string ReplaceAll(std::string_view text, std::string_view from,
                       std::string_view to);

// Executes TextSteps. Immutable; may be used from several threads.
class TextSteps {
 public:
  // Throws Error for steps that this build cannot do.
  TextSteps(std::vector<TextStep> steps, std::string_view file);

  // `parts` is UTF-8. Throws Error if a regular expression gives up, or the
  // text becomes absurdly long.
  void Run(TextParts& parts) const;

 private:
  void RunStep(size_t index, TextParts& parts) const;

  std::vector<TextStep> steps_;
  std::string file_;
  std::map<size_t, Regex> regexes_;  // of the step with that index
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_TEXT_STEPS_H_
