#ifndef LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_
#define LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_

#include <cstdint>
#include <vector>

#include "lutra/packer/import.h"
#include "packer/architectures/network.h"
#include "packer/import/checkpoint.h"
#include "packer/import/import_plan.h"

namespace lutra::packer {

// A tensor of a network, put together of those of the checkpoint, which the
// result keeps mapped. Becomes float32 if `float32` is set or it is
// transformed. Throws Error if a part is missing, of another shape, or not
// floating-point.
ImportTensor TakeTensor(const Checkpoint& checkpoint,
                        const NetworkTensor& tensor, bool float32);

// Frequencies of a rotary embedding for texts of up to `context` tokens, as
// precise as those of a checkpoint with weights of the type `dtype`.
ImportTensor TakeFrequencies(const NetworkTensor& tensor, int64_t context,
                             RopePrecision precision, DType dtype);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_TENSOR_H_
