#include "qat/train/param_groups.h"

#include <algorithm>
#include <optional>
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

// Parameters of a kind share a group.
struct Kind {
  std::optional<QuantScheme> scheme;
  bool is_weight = false;
  ParamSettings settings;

  friend bool operator==(const Kind&, const Kind&) = default;
};

ParamGroup EmptyGroup(const Kind& kind, double weight_decay) {
  ParamGroup group;
  const bool decays = kind.scheme.has_value() || kind.is_weight;
  group.weight_decay =
      kind.settings.weight_decay.value_or(decays ? weight_decay : 0.0);
  if (kind.scheme) {
    group.quant_bits = kind.scheme->bits;
    if (kind.scheme->group_size > 0) {
      group.quant_block_size = kind.scheme->group_size;
    }
  }
  return group;
}

}  // namespace

ParamGroups MakeParamGroups(TensorMap& parameters, const TensorMap& gradients,
                            const SchemeMap& schemes,
                            const ParamSettingsMap& settings,
                            double weight_decay) {
  for (const auto& [name, scheme] : schemes) {
    CheckScheme(name, scheme, parameters, gradients);
  }
  std::vector<Kind> kinds;
  std::vector<ParamGroup> groups;
  for (const auto& [name, gradient] : gradients) {
    Tensor& tensor = parameters.find(name)->second;
    Parameter parameter;
    parameter.name = name;
    parameter.shape = tensor.shape;
    parameter.value = tensor.values.data();
    parameter.grad = gradient.values.data();
    Kind kind;
    kind.is_weight = tensor.shape.size() > 1;
    const auto scheme = schemes.find(name);
    if (scheme != schemes.end()) kind.scheme = scheme->second;
    if (const auto own = settings.find(name); own != settings.end()) {
      kind.settings = own->second;
    }
    const auto known = std::find(kinds.begin(), kinds.end(), kind);
    const auto index = static_cast<size_t>(known - kinds.begin());
    if (known == kinds.end()) {
      kinds.push_back(kind);
      groups.push_back(EmptyGroup(kind, weight_decay));
    }
    groups[index].parameters.push_back(parameter);
  }
  ParamGroups result;
  const auto take = [&](const auto& which) {
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (!which(kinds[i])) continue;
      result.groups.push_back(std::move(groups[i]));
      result.rates.push_back(kinds[i].settings.rate);
      if (kinds[i].scheme) result.schemes.push_back(*kinds[i].scheme);
    }
  };
  take([](const Kind& kind) { return kind.scheme.has_value(); });
  take([](const Kind& kind) { return !kind.scheme && kind.is_weight; });
  take([](const Kind& kind) { return !kind.scheme && !kind.is_weight; });
  return result;
}

}  // namespace lutra::qat
