#include "packer/weights/matrix_product.h"

#include <memory>

namespace lutra::packer {

void MatrixProduct::operator()(const kernels::FloatGemmArguments& product,
                               Executor* executor) {
  constexpr size_t kAlignment = 64;
  const size_t bytes = kernels::FloatGemmScratchBytes(product);
  if (scratch_.size() < bytes + kAlignment) scratch_.resize(bytes + kAlignment);
  void* aligned = scratch_.data();
  size_t space = scratch_.size();
  std::align(kAlignment, bytes, aligned, space);
  kernels::FloatGemm(product, aligned, executor);
}

}  // namespace lutra::packer
