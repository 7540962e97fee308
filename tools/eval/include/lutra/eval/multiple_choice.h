#ifndef LUTRA_EVAL_MULTIPLE_CHOICE_H_
#define LUTRA_EVAL_MULTIPLE_CHOICE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"

// Questions with several endings, of which a language model finds one the most
// probable, as EleutherAI's lm-evaluation-harness counts them: with c the
// tokens of the context and t those of context and choice together, a choice
// has the log-likelihood
//
//   sum over i >= |c| of ln p(t_i | t_1 ... t_i-1)
//
// "acc" takes the choice with the largest, "acc_norm" that with the largest per
// byte of its text (without its first blank). Of equal ones, the first.

namespace lutra::eval {

struct ChoiceQuestion {
  std::string context;               // may be empty
  std::vector<std::string> choices;  // as they follow the context: " Paris"
  size_t answer = 0;                 // of choices
};

struct ChoiceScore {
  size_t questions = 0;
  size_t correct = 0;          // acc
  size_t correct_by_byte = 0;  // acc_norm
  double answer_nats = 0;      // -log-likelihood of the right choices together

  double Accuracy() const;        // shares, 0 to 1
  double AccuracyByByte() const;  // likewise
};

// BOS goes in front where the tokenizer puts it. The tokens of a context are
// run once for all of its choices. `progress`, which may be empty, is told
// after each question what the score is so far. One thread at a time per model.
// Throws lutra::Error: for a question without choices or with an answer that is
// none of them, for a choice that adds no token, for an empty context where
// there is no BOS, for what exceeds the model's context or vocabulary, and for
// logits that are not finite; the message has the question's number, from 1 on.
ChoiceScore ScoreChoices(
    LanguageModel& model, const Tokenizer& tokenizer,
    Span<const ChoiceQuestion> questions,
    const std::function<void(const ChoiceScore&)>& progress = {});

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_MULTIPLE_CHOICE_H_
