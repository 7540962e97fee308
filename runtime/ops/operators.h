#ifndef LUTRA_RUNTIME_OPS_OPERATORS_H_
#define LUTRA_RUNTIME_OPS_OPERATORS_H_

#include "runtime/ops/operator.h"

// The operators, each defined in the file of its family.

namespace lutra {

// linear.cc
const Operator& LinearOperator();
// embedding.cc
const Operator& EmbeddingOperator();
// elementwise.cc
const Operator& ReluOperator();
const Operator& GeluOperator();
const Operator& SiluOperator();
const Operator& SigmoidOperator();
const Operator& TanhOperator();
const Operator& AddOperator();
const Operator& MulOperator();
// softmax.cc
const Operator& SoftmaxOperator();
// norm.cc
const Operator& RmsNormOperator();
const Operator& LayerNormOperator();
// rope.cc
const Operator& RopeOperator();
// attention.cc
const Operator& AttentionOperator();
// conv2d.cc
const Operator& Conv2dOperator();
// depthwise_conv2d.cc
const Operator& DepthwiseConv2dOperator();
// pool2d.cc
const Operator& AvgPool2dOperator();
const Operator& MaxPool2dOperator();
// reshape.cc
const Operator& ReshapeOperator();
// lstm_cell.cc
const Operator& LstmCellOperator();

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_OPERATORS_H_
