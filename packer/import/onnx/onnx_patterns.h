#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_

#include "packer/import/onnx/onnx_file.h"

namespace lutra::packer {

// Puts a Gelu node where x / 2 * (1 + Erf(x / sqrt(2))) is written out, as
// exporters did before there was one: factors in any order. What then nothing
// reads stays in the graph.
void UseGelu(OnnxGraph& graph);

// Puts nodes LayerNorm and RmsNorm, which have no other name in ONNX's first
// operator sets, where x / Sqrt(ReduceMean(x^2) + eps) is written out for the
// last dimension, with the weight and bias that follow.
void UseNorms(OnnxGraph& graph);

// Of these two: no one else's.
inline constexpr const char* kNormDomain = "lutra";

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_PATTERNS_H_
