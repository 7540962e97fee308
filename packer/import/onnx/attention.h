#ifndef LUTRA_PACKER_IMPORT_ONNX_ATTENTION_H_
#define LUTRA_PACKER_IMPORT_ONNX_ATTENTION_H_

#include "packer/import/onnx/onnx_node.h"

// Attention over the tokens of a text of open length, written out in other
// operators: products of queries and keys, a scale, a mask, softmax, products
// with values. Each function takes the nodes that belong to it, and returns
// false for others, which mean what they always do.

namespace lutra::packer {

// Both products.
bool MatMulOfTokens(const OnnxContext& node);
// Times a number, or divided by one.
bool ScaleScores(const OnnxContext& node);
// Plus a mask of 0 and what is as good as minus infinity.
bool MaskScores(const OnnxContext& node);
// Where a mask says so the scores, else what is as good as minus infinity.
bool ChooseScores(const OnnxContext& node);
bool SoftmaxOfScores(const OnnxContext& node);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ATTENTION_H_
