#include "qat/grad/rounded_rows.h"

#include "kernels/base/parallel.h"
#include "qat/grad/gradients.h"
#include "runtime/base/aligned_memory.h"

namespace lutra::qat {

size_t RoundedRows::ValueBytes(
    const std::optional<kernels::ActivationRounding>& rounding, size_t rows,
    size_t columns) {
  return rounding ? RoundUpToAlignment(rows * columns * sizeof(float)) : 0;
}

size_t RoundedRows::Bytes(
    const std::optional<kernels::ActivationRounding>& rounding, size_t rows,
    size_t columns) {
  if (!rounding) return 0;
  return ValueBytes(rounding, rows, columns) + rows * columns;
}

RoundedRows::RoundedRows(
    const std::optional<kernels::ActivationRounding>& rounding, size_t rows,
    size_t columns, void* memory, Executor* executor)
    : rounding_(rounding), columns_(columns), executor_(executor) {
  if (!rounding) return;
  auto* const bytes = static_cast<uint8_t*>(memory);
  values_ = reinterpret_cast<float*>(bytes);
  inside_ = bytes + ValueBytes(rounding, rows, columns);
}

const float* RoundedRows::Round(const float* x, size_t m) const {
  if (!rounding_) return x;
  kernels::RoundActivations(*rounding_, x, m, columns_, values_, inside_,
                            executor_);
  return values_;
}

void RoundedRows::Mask(float* gradient, size_t m) const {
  if (!rounding_) return;
  ParallelFor(executor_, m * columns_, kElementTile,
              [=, this](size_t begin, size_t end) {
                for (size_t i = begin; i < end; ++i) {
                  gradient[i] = inside_[i] != 0 ? gradient[i] : 0.0f;
                }
              });
}

}  // namespace lutra::qat
