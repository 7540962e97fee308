#include "qat/train/param_groups.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

void CheckScheme(const std::string& name, const QuantScheme& scheme,
                 const TensorMap& parameters, const TensorMap& gradients) {
  const auto parameter = parameters.find(name);
  if (parameter == parameters.end()) {
    throw Error("tensor '" + name + "': has a scheme but is not in the graph");
  }
  if (!gradients.contains(name)) {
    throw Error("tensor '" + name + "': has a scheme but is not trained");
  }
  if (scheme.group_size < 0) {
    throw Error("tensor '" + name + "': a group size of " +
                std::to_string(scheme.group_size) + " is impossible");
  }
}

}  // namespace

ParamGroups MakeParamGroups(TensorMap& parameters, const TensorMap& gradients,
                            const SchemeMap& schemes, double weight_decay) {
  for (const auto& [name, scheme] : schemes) {
    CheckScheme(name, scheme, parameters, gradients);
  }
  ParamGroups result;
  ParamGroup weights;
  ParamGroup others;
  weights.weight_decay = weight_decay;
  for (const auto& [name, gradient] : gradients) {
    Tensor& tensor = parameters.find(name)->second;
    Parameter parameter;
    parameter.name = name;
    parameter.shape = tensor.shape;
    parameter.value = tensor.values.data();
    parameter.grad = gradient.values.data();
    const auto scheme = schemes.find(name);
    if (scheme == schemes.end()) {
      (tensor.shape.size() > 1 ? weights : others)
          .parameters.push_back(parameter);
      continue;
    }
    const auto known =
        std::find(result.schemes.begin(), result.schemes.end(), scheme->second);
    const auto index = static_cast<size_t>(known - result.schemes.begin());
    if (known == result.schemes.end()) {
      result.schemes.push_back(scheme->second);
      ParamGroup& group = result.groups.emplace_back();
      group.weight_decay = weight_decay;
      group.quant_bits = scheme->second.bits;
      if (scheme->second.group_size > 0) {
        group.quant_block_size = scheme->second.group_size;
      }
    }
    result.groups[index].parameters.push_back(parameter);
  }
  for (ParamGroup* group : {&weights, &others}) {
    if (!group->parameters.empty()) result.groups.push_back(std::move(*group));
  }
  return result;
}

}  // namespace lutra::qat
