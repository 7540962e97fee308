#include "runtime/operators.h"

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
  }
  throw Error("unknown operator");
}

size_t Operator::ScratchBytes(const Model&, const Node&, const Execution&,
                              size_t) const {
  return 0;
}

Error NodeError(const Model& model, const Node& node, std::string_view cause) {
  return Error::InFile(model.path(), "graph: " + std::string(Name(node.op)) +
                                         " node '" + node.output +
                                         "': " + std::string(cause));
}

}  // namespace lutra
