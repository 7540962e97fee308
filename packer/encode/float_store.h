#ifndef LUTRA_PACKER_ENCODE_FLOAT_STORE_H_
#define LUTRA_PACKER_ENCODE_FLOAT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lutra/kernels/executor.h"
#include "packer/assign/plan.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {

// A weight as 8-bit floats (WeightPlan::floats).
struct StoredFloats {
  std::vector<uint8_t> codes;     // [n, k]
  std::vector<std::byte> scales;  // [n, groups] of ScaleDType
  double sqnr_db = 0;             // see TensorReport
  double max_error = 0;
  double utilisation = 0;  // of the floats of the quantizer
};

// As PackWeight.
StoredFloats StoreFloats(const RowSource& w, const WeightPlan& plan,
                         Executor* executor,
                         const std::function<void(size_t rows)>& done);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_FLOAT_STORE_H_
