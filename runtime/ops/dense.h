#ifndef LUTRA_RUNTIME_OPS_DENSE_H_
#define LUTRA_RUNTIME_OPS_DENSE_H_

#include <pthreadpool.h>

#include <cstddef>
#include <memory>

#include "runtime/ops/weight.h"

namespace lutra {

// Multiplies many rows at once, with a copy of the weights of its own.
class DenseBlocks {
 public:
  virtual ~DenseBlocks() = default;
  // y [kDenseBlockRows, n] of x [kDenseBlockRows, k]. Throws Error.
  virtual void Run(const float* x, float* y) = 0;
};

// Rows of a call of DenseBlocks.
inline constexpr size_t kDenseBlockRows = 32;

// nullptr in a build without XNNPACK. `w` is float [n, k], and with the bias
// only needed until this returns. Throws Error.
std::unique_ptr<DenseBlocks> MakeDenseBlocks(const float* w, const float* bias,
                                             size_t n, size_t k,
                                             pthreadpool_t pool);

// Bytes after the end of x and y that DenseBlocks may read.
size_t DenseTailBytes();

// A float weight and its bias, ready to multiply with: whole blocks of rows on
// XNNPACK, where the build has it, the others on the weights where they lie. It
// is made once for a session, so that all sizes of calls share the copy.
class DenseMatrix {
 public:
  // `weight` is not packed; `bias` may be nullptr. Both must outlive this.
  DenseMatrix(const Weight& weight, const float* bias, pthreadpool_t pool);

  // Makes ready for calls with up to `m` rows. Throws Error.
  void Prepare(size_t m);
  // y [m, n] = x [m, k] * w^T + bias. Allocates nothing. Throws Error.
  void Run(const float* x, size_t m, float* y);

  size_t copy_bytes() const;

 private:
  Weight weight_;
  const float* bias_;
  pthreadpool_t pool_;
  std::unique_ptr<DenseBlocks> blocks_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_DENSE_H_
