#ifndef LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_
#define LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "packer/architectures/network.h"
#include "packer/import/checkpoint.h"
#include "packer/import/import_plan.h"
#include "packer/import/recovery.h"

namespace lutra::packer {

// A tensor of a network, put together of those of the checkpoint, which the
// result keeps mapped. Floats become float32 if `float32` is set or they are
// transformed; quantized weights become a LUT matrix, or float32 if
// `dequantize` is set or they are transformed. Throws Error if a part is
// missing, of another shape, or cannot be held.
ImportTensor TakeTensor(const Checkpoint& checkpoint,
                        const NetworkTensor& tensor, bool float32,
                        bool dequantize);

// The tensor as a LUT matrix if it is of floats that lie on a grid; else
// nothing, and why. Throws Error if a part is missing, of another shape, or not
// exact where it has to be.
std::optional<ImportTensor> TakeOnGrid(const Checkpoint& checkpoint,
                                       const NetworkTensor& tensor,
                                       Recovery& recovery, std::string& reason);

// Frequencies of a rotary embedding for texts of up to `context` tokens, as
// precise as those of a checkpoint with weights of the type `dtype`.
ImportTensor TakeFrequencies(const NetworkTensor& tensor, int64_t context,
                             RopePrecision precision, DType dtype);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_
