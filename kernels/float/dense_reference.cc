#include "kernels/vector/lane_sum.h"
#include "lutra/kernels/vector_ops.h"

namespace lutra::kernels::reference {

void DenseColumns(const DenseArguments& a, size_t first,
                  size_t count) noexcept {
  const auto* w = static_cast<const uint8_t*>(a.w);
  for (size_t row = 0; row < a.m; ++row) {
    for (size_t n = first; n < first + count; ++n) {
      const float sum = LaneSum(a.k, [&](size_t c) {
        float weight;
        reference::ToFloat32(a.type, w + (n * a.k + c) * ByteSize(a.type), 1,
                             &weight);
        return a.x[row * a.k + c] * weight;
      });
      a.y[row * a.n + n] = a.bias == nullptr ? sum : sum + a.bias[n];
    }
  }
}

}  // namespace lutra::kernels::reference
