#ifndef LUTRA_PACKER_WEIGHTS_MATRIX_PRODUCT_H_
#define LUTRA_PACKER_WEIGHTS_MATRIX_PRODUCT_H_

#include <cstddef>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/float_gemm.h"

namespace lutra::packer {

// kernels::FloatGemm with scratch of its own, which grows as needed. One thread
// at a time.
class MatrixProduct {
 public:
  void operator()(const kernels::FloatGemmArguments& product,
                  Executor* executor);

 private:
  std::vector<std::byte> scratch_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_MATRIX_PRODUCT_H_
