#ifndef LUTRA_TOOLS_VERBS_TRAIN_PLAN_H_
#define LUTRA_TOOLS_VERBS_TRAIN_PLAN_H_

#include <string>

#include "lutra/qat/param_rules.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/spec.h"
#include "lutra/runtime/graph.h"

namespace lutra::tools {

// A table of the weights that rules are about: which rule decides, what becomes
// of the weight, and how its node takes its input. Throws lutra::Error as
// qat::QuantizeInputs does.
std::string TrainingPlan(const Graph& graph, const qat::SchemeRules& rules,
                         const qat::QuantizationSpec& activations);

// A table of the parameters that are trained otherwise than the rest.
std::string SettingsTable(const qat::ParamSettingsMap& settings);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_PLAN_H_
