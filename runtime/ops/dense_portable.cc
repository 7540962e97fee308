#include "runtime/ops/dense.h"

namespace lutra {

std::unique_ptr<DenseBlocks> MakeDenseBlocks(const float*, const float*, size_t,
                                             size_t, pthreadpool_t) {
  return nullptr;
}

size_t DenseTailBytes() { return 0; }

}  // namespace lutra
