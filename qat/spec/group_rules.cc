#include "lutra/qat/group_rules.h"

#include <set>
#include <string>
#include <utility>

#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

// Rule of a parameter; nullopt if none matches.
std::optional<size_t> RuleOf(const Parameter& parameter,
                             const std::vector<GroupRule>& rules) {
  std::optional<size_t> match;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!rules[i].filter || !rules[i].filter(parameter)) continue;
    if (match) {
      throw Error("parameter '" + parameter.name + "' matches rules " +
                  std::to_string(*match) + " and " + std::to_string(i));
    }
    match = i;
  }
  return match;
}

std::shared_ptr<const Quantizer> QuantizerOf(const GroupRule& rule) {
  if (rule.quantizer != nullptr) return rule.quantizer;
  return rule.bits <= 3 ? MakeStretchedQuantizer() : MakeAffineQuantizer({});
}

}  // namespace

RuledGroups BuildGroups(const std::vector<Parameter>& parameters,
                        const std::vector<GroupRule>& rules, double lr,
                        double weight_decay) {
  std::vector<ParamGroup> all(rules.size() + 1);
  for (ParamGroup& group : all) group.lr = lr;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].bits < 2) {
      throw Error("rule " + std::to_string(i) + ": needs at least 2 bits");
    }
    all[i].weight_decay = weight_decay;
    all[i].quant_bits = rules[i].bits;
    all[i].quant_block_size = rules[i].group_size;
  }
  std::set<const float*> taken;
  for (const Parameter& parameter : parameters) {
    if (parameter.value != nullptr && !taken.insert(parameter.value).second) {
      continue;
    }
    const size_t index = RuleOf(parameter, rules).value_or(rules.size());
    all[index].parameters.push_back(parameter);
  }
  RuledGroups result;
  int position = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].parameters.empty()) continue;
    if (i < rules.size() && IsQuantized(all[i])) {
      result.group_quantizers[position++] = QuantizerOf(rules[i]);
    }
    result.groups.push_back(std::move(all[i]));
  }
  return result;
}

std::unique_ptr<QuantOptimizer> MakeQuantOptimizer(
    RuledGroups groups,
    const std::function<std::unique_ptr<Optimizer>(std::vector<ParamGroup>)>&
        make_base) {
  QuantOptimizerOptions options;
  options.quant_period = 1;
  options.per_channel = true;
  options.group_quantizers = std::move(groups.group_quantizers);
  return std::make_unique<QuantOptimizer>(
      make_base(std::move(groups.groups)), MakeStretchedQuantizer(),
      MakeProxHardQuant(), std::move(options));
}

}  // namespace lutra::qat
