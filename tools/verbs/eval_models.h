#ifndef LUTRA_TOOLS_VERBS_EVAL_MODELS_H_
#define LUTRA_TOOLS_VERBS_EVAL_MODELS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/weights.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "tools/cli/json.h"
#include "tools/cli/model_choice.h"
#include "tools/verbs/eval.h"

// Models that the verb eval measures.

namespace lutra::tools {

struct EvalModel {
  std::string label;
  std::string path;
  std::string activations;  // "float32" if nothing is packed
  packer::WeightTotals weights;
  size_t file_bytes = 0;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;  // of models for texts
  LanguageModelOptions options;

  // The members that every report has.
  Json ToJson() const;
};

enum class EvalInput { kSamples, kText };

// Throw lutra::Error, for texts also where a model has no tokenizer.
EvalModel LoadEvalModel(const std::string& label, const ModelChoice& choice,
                        EvalInput input, const EvalOptions& options);
// All of the command, so that a bad file is reported before long work.
std::vector<EvalModel> LoadEvalModels(EvalInput input,
                                      const EvalOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_EVAL_MODELS_H_
