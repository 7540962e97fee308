#ifndef LUTRA_EVAL_PACKED_WEIGHTS_H_
#define LUTRA_EVAL_PACKED_WEIGHTS_H_

#include "lutra/kernels/gemm.h"
#include "lutra/runtime/model.h"

// What a model's weights mean for a measurement. From any thread.

namespace lutra::eval {

// Whether some weight is packed, so that the activation type matters.
bool HasPackedWeights(const Model& model);

// Whether there are packed weights and activations of this type are multiplied
// with them as int8: Int8Peak (limits.h) is the limit then, otherwise
// FloatPeak.
bool MultipliesInt8(const Model& model, kernels::ActivationType activations);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_PACKED_WEIGHTS_H_
