#ifndef LUTRA_QAT_TRAIN_PARAM_GROUPS_H_
#define LUTRA_QAT_TRAIN_PARAM_GROUPS_H_

#include <vector>

#include "lutra/qat/optimizer.h"
#include "lutra/qat/param_rules.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/tensor.h"

namespace lutra::qat {

struct ParamGroups {
  // One for each scheme, one of other weights, one of what has no decay; each
  // once more for parameters with settings of their own. Quantized ones first.
  std::vector<ParamGroup> groups;
  std::vector<QuantScheme> schemes;  // of the first groups
  std::vector<double> rates;  // of the groups, multiples of the learning rate
};

// The parameters that have gradients, which must outlive the groups. Weights
// have two dimensions or more; norms, biases and what else has one are neither
// decayed nor quantized, unless `settings` decay them. Throws lutra::Error for
// a scheme that does not fit its tensor.
ParamGroups MakeParamGroups(TensorMap& parameters, const TensorMap& gradients,
                            const SchemeMap& schemes,
                            const ParamSettingsMap& settings,
                            double weight_decay);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_PARAM_GROUPS_H_
