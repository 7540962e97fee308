#include "runtime/ops/dense.h"

#include <vector>

#include "kernels/base/parallel.h"

namespace lutra {
namespace {

// Multiplications per piece of work: some microseconds, so that small matrices
// stay on the calling thread.
constexpr size_t kTileProducts = 1 << 17;

}  // namespace

DenseMatrix::DenseMatrix(const Weight& weight, const float* bias,
                         pthreadpool_t pool)
    : weight_(weight), bias_(bias), pool_(pool) {}

void DenseMatrix::Prepare(size_t m) {
  if (m < kDenseBlockRows || blocks_ != nullptr) return;
  const size_t count = size_t{weight_.n} * weight_.k;
  if (weight_.type == kernels::FloatType::kFloat32) {
    blocks_ = MakeDenseBlocks(static_cast<const float*>(weight_.values), bias_,
                              weight_.n, weight_.k, pool_);
    return;
  }
  std::vector<float> floats(count);
  kernels::ToFloat32(weight_.type, weight_.values, count, floats.data());
  blocks_ = MakeDenseBlocks(floats.data(), bias_, weight_.n, weight_.k, pool_);
}

void DenseMatrix::Run(const float* x, size_t m, float* y) {
  if (blocks_ != nullptr) {
    for (; m >= kDenseBlockRows; m -= kDenseBlockRows) {
      blocks_->Run(x, y);
      x += kDenseBlockRows * weight_.k;
      y += kDenseBlockRows * weight_.n;
    }
  }
  if (m == 0) return;
  const kernels::DenseArguments arguments = {.w = weight_.values,
                                             .type = weight_.type,
                                             .n = weight_.n,
                                             .k = weight_.k,
                                             .x = x,
                                             .m = m,
                                             .bias = bias_,
                                             .y = y};
  // Whole tiles of four columns.
  const size_t tile = kTileProducts / (m * weight_.k) / 4 * 4 + 4;
  ParallelFor(pool_, weight_.n, tile, [&](size_t begin, size_t end) {
    kernels::DenseColumns(arguments, begin, end - begin);
  });
}

size_t DenseMatrix::copy_bytes() const {
  return blocks_ == nullptr
             ? 0
             : (size_t{weight_.n} * weight_.k + weight_.n) * sizeof(float);
}

}  // namespace lutra
