#include "packer/calibrate/moments.h"

#include <algorithm>
#include <cmath>

namespace lutra::packer {
namespace {

// Columns computed at a time, against all rows above their end: a little more
// than half of the square.
constexpr size_t kPanel = 256;

}  // namespace

void Moments::Add(const float* rows, size_t count, Executor* executor,
                  MatrixProduct& multiply) {
  for (size_t begin = 0; begin < columns_; begin += kPanel) {
    const size_t end = std::min(columns_, begin + kPanel);
    kernels::FloatGemmArguments product;
    product.a = {.data = rows, .stride = columns_, .transposed = true};
    product.b = {.data = rows + begin, .stride = columns_};
    product.m = end;
    product.n = end - begin;
    product.k = count;
    product.accumulate = true;
    product.c = sums_.data() + begin;
    product.c_stride = columns_;
    multiply(product, executor);
  }
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < columns_; ++i) {
      peaks_[i] = std::max(peaks_[i], std::abs(rows[row * columns_ + i]));
    }
  }
  rows_ += count;
}

std::vector<float> Moments::UpperHalf() const {
  std::vector<float> half;
  half.reserve(HalfSize(columns_));
  for (size_t i = 0; i < columns_; ++i) {
    const auto row = sums_.begin() + static_cast<ptrdiff_t>(i * columns_);
    half.insert(half.end(), row + static_cast<ptrdiff_t>(i),
                row + static_cast<ptrdiff_t>(columns_));
  }
  return half;
}

}  // namespace lutra::packer
