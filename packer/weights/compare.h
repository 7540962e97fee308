#ifndef LUTRA_PACKER_WEIGHTS_COMPARE_H_
#define LUTRA_PACKER_WEIGHTS_COMPARE_H_

#include <cstddef>
#include <optional>

#include "lutra/kernels/executor.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {

// How far the values of one matrix are from those of another.
struct Differences {
  struct Position {
    size_t row = 0;
    size_t column = 0;
  };

  double signal = 0;     // sum a^2
  double noise = 0;      // sum (a - b)^2
  double max_error = 0;  // largest |a - b|
  // Of the first values that differ. Zeros of either sign are equal, so are
  // NaNs; any other number differs from a NaN, by infinity.
  std::optional<Position> first;

  // 10 log10(signal / noise); infinite without noise.
  double SqnrDb() const;
};

// Both matrices have the same shape. The same for any executor.
Differences Compare(const RowSource& a, const RowSource& b, Executor* executor);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_COMPARE_H_
