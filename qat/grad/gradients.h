#ifndef LUTRA_QAT_GRAD_GRADIENTS_H_
#define LUTRA_QAT_GRAD_GRADIENTS_H_

#include <cstddef>

#include "kernels/base/parallel.h"
#include "lutra/qat/operator_gradient.h"
#include "qat/grad/column_sums.h"

// The gradients of lutra's operators, each defined in the file of its family,
// and what their definitions share.

namespace lutra::qat {

#define LUTRA_DECLARE_GRADIENT(name) const OperatorGradient& name##Gradient();
LUTRA_OPERATORS(LUTRA_DECLARE_GRADIENT)
#undef LUTRA_DECLARE_GRADIENT

// Elements per piece of work: some microseconds, so that small calls stay on
// one thread.
inline constexpr size_t kElementTile = 16384;

// Rows per piece of work, for rows of `width` elements.
inline size_t RowTile(size_t width) {
  return (kElementTile + width - 1) / width;
}

inline const float* Floats(const void* values) {
  return static_cast<const float*>(values);
}

// The float32 tensor of that name.
// H of a recurrent cell, whose weight is [gates * H, H].
inline size_t CellUnits(const Model& model, const Node& node) {
  return static_cast<size_t>(model.file().Get(node.weight).shape[1]);
}

inline const float* Tensor32(const Model& model, const std::string& name) {
  return model.file().Get(name).Floats(model.path()).data();
}

// Puts function(i) into the target.
template <typename Function>
void ForEachElement(Executor* executor, size_t count,
                    const GradientTarget& target, const Function& function) {
  float* const values = target.values;
  ParallelFor(executor, count, kElementTile, [&](size_t begin, size_t end) {
    if (target.accumulate) {
      for (size_t i = begin; i < end; ++i) values[i] += function(i);
    } else {
      for (size_t i = begin; i < end; ++i) values[i] = function(i);
    }
  });
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_GRADIENTS_H_
