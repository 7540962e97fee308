#ifndef LUTRA_PACKER_ASSIGN_PLAN_H_
#define LUTRA_PACKER_ASSIGN_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/quantizers.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"

namespace lutra::packer {

// What is to become of a weight; scheme and format are unset if it is kept.
struct WeightPlan {
  Weight weight;
  PackMethod method = PackMethod::kKept;
  qat::QuantScheme scheme;
  kernels::LutFormat format;
  // The quantizer's: a power of two of entries, 256 where the format has 8 bits
  // and stores them instead of indices. None if tables are per row or learned.
  std::vector<int8_t> table;
  std::optional<qat::LearnedTable> learned;
  // If it is not packed but stored as 8-bit floats; format has only its sizes,
  // with the columns that share a stored scale.
  std::optional<DType> floats;

  // In the new file.
  size_t Bytes() const;
};

// Fixes format, table and learned by the shape of plan.weight and by
// plan.scheme and plan.method (which a table per row makes kRounded). Throws
// Error with the bare cause.
void PlanBlob(WeightPlan& plan);

// Of the scales of 8-bit floats.
DType ScaleDType(const WeightPlan& plan);

// Decides for every weight of the model and checks that its shape can be
// packed, so that all such errors come before any work. Throws Error.
std::vector<WeightPlan> MakePlan(const Model& model,
                                 const qat::SchemeMap& trained,
                                 const PackOptions& options);

// Whether the inputs of the nodes of `graph` can be multiplied with what is
// planned for their weights. Throws Error naming `path`.
void CheckInputs(const std::string& path, const Graph& graph,
                 const std::vector<WeightPlan>& plans);

// The format with two levels in the place of one; nullopt if that is not
// smaller than 16-bit scales: the rows are too short.
std::optional<kernels::LutFormat> WithTwoLevels(
    const kernels::LutFormat& format);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ASSIGN_PLAN_H_
