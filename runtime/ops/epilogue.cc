#include "runtime/ops/epilogue.h"

#include <optional>

#include "lutra/kernels/vector_ops.h"

namespace lutra {
namespace {

std::optional<kernels::Function> FunctionOf(kernels::Fusion fusion) {
  switch (fusion) {
    case kernels::Fusion::kRelu:
      return kernels::Function::kRelu;
    case kernels::Fusion::kGelu:
      return kernels::Function::kGelu;
    case kernels::Fusion::kSilu:
      return kernels::Function::kSilu;
    case kernels::Fusion::kNone:
    case kernels::Fusion::kRelu6:  // of no operator
    case kernels::Fusion::kClamp:
      break;
  }
  return std::nullopt;
}

}  // namespace

void Epilogue::Apply(float* y, size_t count) const {
  if (const auto function = FunctionOf(fusion)) {
    kernels::Apply(*function, y, count, y);
  }
  if (residual == nullptr) return;
  const float* __restrict other = residual;
  float* __restrict sum = y;
  for (size_t i = 0; i < count; ++i) sum[i] += other[i];
}

}  // namespace lutra
