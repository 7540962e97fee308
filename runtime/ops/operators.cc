#include "runtime/ops/operators.h"

#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

const Operator& GetOperator(OpType op) {
  switch (op) {
    case OpType::kLinear:
      return LinearOperator();
    case OpType::kEmbedding:
      return EmbeddingOperator();
    case OpType::kRelu:
      return ReluOperator();
    case OpType::kGelu:
      return GeluOperator();
    case OpType::kSilu:
      return SiluOperator();
    case OpType::kAdd:
      return AddOperator();
    case OpType::kMul:
      return MulOperator();
    case OpType::kSoftmax:
      return SoftmaxOperator();
    case OpType::kSigmoid:
      return SigmoidOperator();
    case OpType::kTanh:
      return TanhOperator();
    case OpType::kRmsNorm:
      return RmsNormOperator();
    case OpType::kLayerNorm:
      return LayerNormOperator();
    case OpType::kRope:
      return RopeOperator();
    case OpType::kAttention:
      return AttentionOperator();
    case OpType::kConv2d:
      return Conv2dOperator();
    case OpType::kDepthwiseConv2d:
      return DepthwiseConv2dOperator();
    case OpType::kAvgPool2d:
      return AvgPool2dOperator();
    case OpType::kMaxPool2d:
      return MaxPool2dOperator();
    case OpType::kReshape:
      return ReshapeOperator();
    case OpType::kLstmCell:
      return LstmCellOperator();
  }
  throw Error("unknown operator");
}

size_t Operator::PageBytes(const Model&, const Node&, const Execution&) const {
  return 0;
}

size_t Operator::StateBytes(const Model&, const Node&) const { return 0; }

size_t Operator::ScratchBytes(const Model&, const Node&, const Execution&,
                              size_t) const {
  return 0;
}

void CheckFloatInput(const Model& model, const Node& node,
                     const ValueInfo& input, size_t rank) {
  if (input.type != ValueType::kFloat32) {
    throw NodeError(model, node, "input '" + input.name + "' is not float32");
  }
  if (rank != kAnyRank && input.shape.size() != rank) {
    throw NodeError(model, node,
                    "input '" + input.name + "' of shape " +
                        ShapeToString(input.shape) + " must have " +
                        std::to_string(rank) + " dimensions");
  }
}

Error NodeError(const Model& model, const Node& node, std::string_view cause,
                ErrorCode code) {
  return Error::InFile(model.path(),
                       "graph: " + std::string(Name(node.op)) + " node '" +
                           node.output + "': " + std::string(cause),
                       code);
}

}  // namespace lutra
