#ifndef LUTRA_QAT_GRADIENT_CLIP_H_
#define LUTRA_QAT_GRADIENT_CLIP_H_

#include "lutra/kernels/executor.h"
#include "lutra/qat/tensor.h"

namespace lutra::qat {

// The root of the sum of the squares of all gradients, which are multiplied by
// min(1, most / (norm + 1e-6)) if `most` is above 0 (Pascanu et al., "On the
// difficulty of training recurrent neural networks", 2013). Returns the norm
// before; not finite if a gradient is not, and then changes nothing. The bits
// do not depend on the number of threads.
double ClipGradients(TensorMap& gradients, double most, Executor* executor);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRADIENT_CLIP_H_
