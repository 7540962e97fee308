#ifndef LUTRA_PACKER_ENCODE_LEARNED_TABLES_H_
#define LUTRA_PACKER_ENCODE_LEARNED_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/affine.h"
#include "lutra/qat/quantizers.h"
#include "packer/weights/row_source.h"

// Tables learned from the weights: the s[g] and T with a small
//   sum over groups g of c[g] * sum over i in g of (w[i] - s[g] T[k[i]])^2
// where c[g] = 1 / sum of w[i]^2, so that every group counts by its relative
// error. (Absolute errors, which the largest groups decide, give worse models
// with a table per tensor: docs/packing.md.) For fixed scales and indices the
// best T[e] is the mean of w / s over the weights with index e, each weighted
// by c s^2: weighted k-means in one dimension (Lloyd,
// https://doi.org/10.1109/TIT.1982.1056489). For a fixed table the best scale
// of a group is sum w T / sum T^2. The three steps - nearest entries, scales,
// table - alternate until the loss falls by less than 0.01 %, at most 30 times;
// none of them makes it larger. They start at the stretched table with the best
// scale of every group. With a table for the tensor scales may be negative: the
// sign of a group chooses between the table and its mirror image, which costs
// no bits and lets a table have finer levels on the side where most weights
// are, and a far one on the other. Both signs are tried in the first steps and
// for the final table. At the end the table is rounded to int8, in that of the
// units 1/64 to 1/127 of its largest entry in which rounding costs least, and
// scales and indices are found once more. Where that is not better than the
// start, the start is the result.

namespace lutra::packer {

struct LearnedTableOptions {
  int bits = 2;           // 0: three entries; at most 4
  size_t group_size = 0;  // columns that share a scale; at least 1
  qat::LearnedTable granularity = qat::LearnedTable::kTensor;
  qat::ScaleType scale_type = qat::ScaleType::kFloat;
};

struct LearnedTables {
  std::vector<int8_t> tables;  // [entries], or [n, entries]; each ascending
  // [n, groups], of the scale type; with a table for the tensor of any sign.
  std::vector<float> scales;
  std::vector<uint8_t> indices;  // [n, k]
  // Of a table for the tensor: the loss over the sampled rows before the table
  // is first changed, and after every change until it is rounded.
  std::vector<double> losses;
};

// Values must be finite. A table for the tensor is learned from at most some
// four million weights, whole rows evenly spread. The same for any executor.
// Calls `tick` often, from any thread; what it throws ends the work.
LearnedTables LearnTables(
    const RowSource& w, const LearnedTableOptions& options, Executor* executor,
    const std::function<void()>& tick = [] {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_LEARNED_TABLES_H_
