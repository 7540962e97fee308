#ifndef LUTRA_TESTS_GOLDEN_REPLAY_PARQ_UPSTREAM_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_PARQ_UPSTREAM_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "lutra/qat/optimizer.h"
#include "lutra/qat/prox_map.h"
#include "lutra/qat/quantizer.h"

namespace lutra::qat {

// Objects by the names that upstream and PyTorch give their classes, with the
// same keyword arguments, in the modes that reproduce upstream. They throw
// lutra::Error for a class or an argument that is not known.
std::unique_ptr<Quantizer> MakeUpstreamQuantizer(const std::string& name,
                                                 const nlohmann::json& kwargs);

// "ProxPARQ" or "PARQ", with positional arguments.
std::unique_ptr<ProxMap> MakeUpstreamProxMap(const std::string& name,
                                             const nlohmann::json& args);

// "SGD", "Adam", "AdamW". Learning rate and weight decay of `kwargs` are the
// defaults of groups.
std::unique_ptr<Optimizer> MakeUpstreamOptimizer(
    const std::string& name, const nlohmann::json& kwargs,
    std::vector<ParamGroup> groups);
double DefaultWeightDecay(const std::string& optimizer,
                          const nlohmann::json& kwargs);

// Throws lutra::Error if `object` has a key that is not in `known`.
void CheckKeys(const nlohmann::json& object, const std::string& what,
               std::initializer_list<const char*> known);

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_PARQ_UPSTREAM_H_
