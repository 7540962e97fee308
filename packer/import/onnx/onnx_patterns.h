#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_

#include "packer/import/onnx/onnx_file.h"

namespace lutra::packer {

// Puts a Gelu node where x / 2 * (1 + Erf(x / sqrt(2))) is written out, as
// exporters did before there was one: factors in any order. What then nothing
// reads stays in the graph.
void UseGelu(OnnxGraph& graph);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_
