#ifndef LUTRA_EVAL_PACKED_WEIGHTS_H_
#define LUTRA_EVAL_PACKED_WEIGHTS_H_

#include <string>

#include "lutra/runtime/model.h"
#include "lutra/runtime/program.h"

// What a model's weights mean for a measurement. From any thread.

namespace lutra::eval {

// Whether some weight is packed, so that the activation type matters.
bool HasPackedWeights(const Model& model);

// How the packed weights of a model take their activations under this choice,
// or the float ones where nothing is packed: "int8", "int8, 4 bits",
// "float32"; "mixed" where they differ.
std::string ActivationsName(const Model& model, ActivationChoice activations);

// Whether there are packed weights and activations of this type are multiplied
// with them as int8: Int8Peak (limits.h) is the limit then, otherwise
// FloatPeak.
bool MultipliesInt8(const Model& model, ActivationChoice activations);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_PACKED_WEIGHTS_H_
