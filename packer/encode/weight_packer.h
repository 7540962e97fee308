#ifndef LUTRA_PACKER_ENCODE_WEIGHT_PACKER_H_
#define LUTRA_PACKER_ENCODE_WEIGHT_PACKER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/lut_matrix.h"
#include "packer/assign/plan.h"
#include "packer/encode/moment_rounding.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {

// Bytes aligned as blobs must be.
struct alignas(kernels::kBlobAlignment) BlobLine {
  uint8_t bytes[kernels::kBlobAlignment];
};

struct PackedWeight {
  std::vector<BlobLine> blob;
  double sqnr_db = 0;  // see TensorReport
  double max_error = 0;
  double table_utilisation = 0;
  std::optional<RowLosses> losses;  // if it was rounded with data

  std::span<const std::byte> Bytes() const {
    return std::as_bytes(std::span(blob));
  }
};

// Packs w [n, k] as planned, with `rounding` (nullptr: none) if that is
// post-training, and measures the error of the finished blob
// against it. Calls done(rows) now and then with the number of rows finished
// since the last call, from any thread. Throws Error with the bare cause: a
// value that is not finite or not on the grid of its training.
PackedWeight PackWeight(const RowSource& w, const WeightPlan& plan,
                        const MomentRounding* rounding, Executor* executor,
                        const std::function<void(size_t rows)>& done);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_WEIGHT_PACKER_H_
