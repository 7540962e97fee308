#ifndef LUTRA_PACKER_PLAN_H_
#define LUTRA_PACKER_PLAN_H_

#include <cstdint>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"

namespace lutra::packer {

// What is to become of a weight; scheme and format are unset if it is kept.
struct WeightPlan {
  Weight weight;
  PackMethod method = PackMethod::kKept;
  qat::QuantScheme scheme;
  kernels::LutFormat format;
  std::vector<int8_t> table;  // 2^format.bits entries; none if per row
};

// Decides for every weight of the model and checks that its shape can be
// packed, so that all such errors come before any work. Throws Error.
std::vector<WeightPlan> MakePlan(const Model& model,
                                 const qat::SchemeMap& trained,
                                 const PackOptions& options);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_PLAN_H_
