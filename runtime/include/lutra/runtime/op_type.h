#ifndef LUTRA_RUNTIME_OP_TYPE_H_
#define LUTRA_RUNTIME_OP_TYPE_H_

#include <cstdint>

namespace lutra {

// The operators of lutra, once and for all: NAME gives OpType::kNAME and stands
// for the definition NAMEOperator() in runtime/ops/. docs/model_file.md says
// what each of them computes.
#define LUTRA_OPERATORS(NAME) \
  NAME(Linear)                \
  NAME(Embedding)             \
  NAME(Relu)                  \
  NAME(Gelu)                  \
  NAME(Silu)                  \
  NAME(Add)                   \
  NAME(Mul)                   \
  NAME(Softmax)               \
  NAME(Sigmoid)               \
  NAME(Tanh)                  \
  NAME(RmsNorm)               \
  NAME(LayerNorm)             \
  NAME(Rope)                  \
  NAME(Attention)             \
  NAME(Conv2d)                \
  NAME(DepthwiseConv2d)       \
  NAME(AvgPool2d)             \
  NAME(MaxPool2d)             \
  NAME(Reshape)               \
  NAME(LstmCell)              \
  NAME(GeluTanh)              \
  NAME(Relu2)                 \
  NAME(Scale)                 \
  NAME(Clamp)                 \
  NAME(Slice)                 \
  NAME(PositionEmbedding)     \
  NAME(PositionScale)         \
  NAME(Gather)                \
  NAME(CausalConv1d)          \
  NAME(GatedDeltaRule)        \
  NAME(Route)                 \
  NAME(ExpertLinear)          \
  NAME(ExpertSum)             \
  NAME(TokenPool)             \
  NAME(Concat)                \
  NAME(FakeQuantize)          \
  NAME(Matmul)                \
  NAME(Transpose)             \
  NAME(Power)                 \
  NAME(Exp)                   \
  NAME(Constant)              \
  NAME(DynamicQuantize)       \
  NAME(GruCell)

// What a node computes: one of lutra's operators, or a number that
// RegisterOperator (operator.h) has given to one of the app's.
enum class OpType : uint32_t {
#define LUTRA_OPERATOR_TYPE(name) k##name,
  LUTRA_OPERATORS(LUTRA_OPERATOR_TYPE)
#undef LUTRA_OPERATOR_TYPE
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OP_TYPE_H_
