#ifndef LUTRA_RUNTIME_OPERATORS_H_
#define LUTRA_RUNTIME_OPERATORS_H_

#include "runtime/operator.h"

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
const Operator& AddOperator();
const Operator& MulOperator();
// softmax.cc
const Operator& SoftmaxOperator();

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPERATORS_H_
