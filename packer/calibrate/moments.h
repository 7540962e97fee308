#ifndef LUTRA_PACKER_CALIBRATE_MOMENTS_H_
#define LUTRA_PACKER_CALIBRATE_MOMENTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/kernels/executor.h"
#include "packer/weights/matrix_product.h"

namespace lutra::packer {

// The sum of x x^T over rows, float32, of which the upper half counts, and the
// largest magnitude of each column.
class Moments {
 public:
  explicit Moments(size_t columns)
      : columns_(columns), sums_(columns * columns), peaks_(columns) {}

  // rows [count, columns].
  void Add(const float* rows, size_t count, Executor* executor,
           MatrixProduct& multiply);

  size_t columns() const { return columns_; }
  uint64_t rows() const { return rows_; }
  // The upper half, row by row.
  std::vector<float> UpperHalf() const;
  const std::vector<float>& peaks() const { return peaks_; }

  static size_t Bytes(size_t columns) {
    return (columns + 1) * columns * sizeof(float);
  }

 private:
  size_t columns_;
  uint64_t rows_ = 0;
  std::vector<float> sums_;
  std::vector<float> peaks_;
};

inline size_t HalfSize(size_t columns) { return columns * (columns + 1) / 2; }

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_MOMENTS_H_
