#include "tools/verbs/eval_models.h"

#include "lutra/eval/packed_weights.h"
#include "tools/cli/language_options.h"

namespace lutra::tools {

Json EvalModel::ToJson() const {
  return {{"label", label},
          {"file", path},
          {"activations", activations},
          {"weights", weights.elements},
          {"weight_bytes", weights.bytes},
          {"bits_per_weight", weights.BitsPerWeight()},
          {"file_bytes", file_bytes}};
}

EvalModel LoadEvalModel(const std::string& label, const ModelChoice& choice,
                        EvalInput input, const EvalOptions& options) {
  EvalModel result;
  result.label = label;
  result.path = choice.path;
  result.model = Model::Load(choice.path, options.load);
  if (input == EvalInput::kText)
    result.tokenizer = RequireTokenizer(*result.model);
  result.options = options.language;
  result.options.session.activations = choice.activations;
  result.activations = eval::ActivationsName(*result.model, choice.activations);
  result.weights = packer::Total(packer::Weights(*result.model));
  result.file_bytes = result.model->file().byte_size();
  return result;
}

std::vector<EvalModel> LoadEvalModels(EvalInput input,
                                      const EvalOptions& options) {
  std::vector<EvalModel> models;
  for (size_t i = 0; i < options.models.size(); ++i) {
    const ModelChoice choice = ParseModelChoice(
        options.models[i], options.language.session.activations);
    models.push_back(LoadEvalModel(options.labels[i], choice, input, options));
  }
  return models;
}

}  // namespace lutra::tools
