#ifndef LUTRA_PACKER_ENCODE_MOMENT_ROUNDING_H_
#define LUTRA_PACKER_ENCODE_MOMENT_ROUNDING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/qat/affine.h"

// Rounding that minimises what a layer's outputs lose, not its weights. With H
// the second moments of the layer's inputs (statistics.h), a row w becomes a
// row q of levels with a small
//
//   loss = (w - q) H (w - q)^T
//
// Where layers before have been packed already, inputs v of the packed model
// differ from inputs u of the float model. With C the sum of u v^T, the row
// that serves best is w C H^-1, and its rounding takes the place of that of w:
// the errors of earlier layers are made up for as far as possible (GPTAQ, Li et
// al., https://arxiv.org/abs/2504.02692).
//
// 1. H gets `damping` times the mean of its diagonal on the diagonal.
// 2. Columns are taken in the order of falling H[i][i], and H = R R^T with R
//    upper triangular in this order. The scale of each group is searched
//    around the one it starts with, each column's squared error weighted by
//    R[i][i]^2, what is left of it when later columns have made up for it.
// 3. Column by column, the weight takes the level nearest to where the errors
//    of the columns before want it: GPTQ (Frantar et al.,
//    https://arxiv.org/abs/2210.17323; that the formulation by R is the same
//    is shown in https://arxiv.org/abs/2507.18553).
// 4. In at most `turns` turns, until nothing is gained: the scales of the row's
// groups that are
//    best for its indices (a linear system), with tables per row also their
//    best entries, and coordinate descent: each index takes the level that is
//    best while all others stay (LNQ, Kim et al.,
//    https://arxiv.org/abs/2505.07004).
//
// Groups may have offsets: q = scale * level + offset. Scales and offsets are
// then searched together, and the system has them both.
//
// DataRounding::Method::kClip: in place of all these, of the scales around the
// one it starts with each group gets the one with the smallest loss of the
// group alone, its weights at their nearest levels (Lin et al.,
// https://arxiv.org/abs/2306.00978, section 3).
//
// The loss of the result is never larger than that of the start.

namespace lutra::packer {

// Rows of a weight in the form of PackLutMatrix, to be improved.
struct LutRows {
  size_t group_size = 0;
  qat::ScaleType scale_type = qat::ScaleType::kFloat;
  std::span<uint8_t> indices;  // [rows, k]
  std::span<float> scales;     // [rows, groups], of the scale type
  // [rows, groups], of the offset's type, or empty.
  std::span<float> offsets = {};
  qat::ScaleType offset_type = qat::ScaleType::kFloat;
  // One for all rows, or [rows, entries]: ascending, the last may be repeated.
  // Tables per row are improved as well.
  std::span<int8_t> tables;
  size_t entries = 0;
  bool table_per_row = false;
};

// Of all rows together, damping included.
struct RowLosses {
  double energy = 0;  // w H w^T
  double start = 0;
  double result = 0;

  void Add(const RowLosses& other) {
    energy += other.energy;
    start += other.start;
    result += other.result;
  }
};

// For all weights with the same inputs. Immutable, and used by any number of
// threads.
class MomentRounding {
 public:
  // moments [k, k], symmetric and finite. Memory: two matrices of that size,
  // and while it is made two of double precision.
  // `cross` [k, k] is C, or empty.
  MomentRounding(std::vector<float> moments, size_t k,
                 const DataRounding& options,
                 const std::vector<float>& cross = {});
  ~MomentRounding();
  MomentRounding(const MomentRounding&) = delete;
  MomentRounding& operator=(const MomentRounding&) = delete;

  // w [rows, k], finite.
  RowLosses Improve(std::span<const float> w, const LutRows& rows) const;

 private:
  friend class RowsRounder;

  size_t k_;
  DataRounding options_;
  std::vector<float> moments_;     // damped
  std::vector<float> correction_;  // (C - H) H^-1, or empty
  std::vector<uint32_t> order_;    // column by place
  std::vector<float> factor_;      // R, by places
  std::vector<float> importance_;  // R[i][i]^2 by column
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_MOMENT_ROUNDING_H_
