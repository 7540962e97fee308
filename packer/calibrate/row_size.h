#ifndef LUTRA_PACKER_CALIBRATE_ROW_SIZE_H_
#define LUTRA_PACKER_CALIBRATE_ROW_SIZE_H_

#include <cmath>
#include <span>

namespace lutra::packer {

// The root of the mean square of a row; a row of zeros has one that is not 0.
inline double RowSize(std::span<const float> row) {
  constexpr double kLeastSquare = 1e-12;
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * x;
  return std::sqrt(squares / static_cast<double>(row.size()) + kLeastSquare);
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_ROW_SIZE_H_
