#ifndef LUTRA_QAT_GROUP_RULES_H_
#define LUTRA_QAT_GROUP_RULES_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "lutra/qat/quant_optimizer.h"

// Parameter groups from rules, and a QuantOptimizer of them with the settings
// for training against a hard grid.

namespace lutra::qat {

struct GroupRule {
  int bits = 2;                       // at least 2
  std::optional<int64_t> group_size;  // nullopt: one grid per row
  // nullptr: stretched for 2 and 3 bits, else symmetric integers ("intx").
  std::shared_ptr<const Quantizer> quantizer;
  std::function<bool(const Parameter&)> filter;  // which parameters
};

struct RuledGroups {
  std::vector<ParamGroup> groups;
  // By position among the quantized groups: QuantOptimizerOptions takes them.
  std::map<int, std::shared_ptr<const Quantizer>> group_quantizers;
};

// One group per rule, in order, then one with all other parameters and no
// weight decay; groups without parameters are left out. Parameters that share
// their values (tied weights) are taken once, the first time. Throws
// lutra::Error for a parameter that two rules match and for less than 2 bits.
RuledGroups BuildGroups(const std::vector<Parameter>& parameters,
                        const std::vector<GroupRule>& rules, double lr,
                        double weight_decay);

// Around an optimizer that `make_base` makes of the groups: hard quantization
// from the first step, grids derived in every step, one per row or block.
std::unique_ptr<QuantOptimizer> MakeQuantOptimizer(
    RuledGroups groups,
    const std::function<std::unique_ptr<Optimizer>(std::vector<ParamGroup>)>&
        make_base);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GROUP_RULES_H_
