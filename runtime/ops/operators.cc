#include "runtime/ops/operators.h"

#include <limits>
#include <string>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "runtime/base/out_of_memory.h"
#include "runtime/base/text_of.h"

namespace lutra {

size_t Operator::PageBytes(const Model&, const Node&, const Execution&) const {
  return 0;
}

size_t Operator::StateBytes(const Model&, const Node&) const { return 0; }

std::string Operator::PageContent(const Node&) const { return ""; }

size_t Operator::ScratchBytes(const Model&, const Node&, const Execution&,
                              size_t) const {
  return 0;
}

bool Operator::Fuses(const Model&, const Node&) const { return false; }

bool Operator::FusesWith(const Model&, const Node&, const Node&) const {
  return true;
}

size_t Operator::FusedScratchBytes(const Model&, Span<const FusedNode>,
                                   const Execution&, size_t) const {
  return 0;
}

std::unique_ptr<Step> Operator::BindFused(const Model& model,
                                          Span<const FusedNode> nodes,
                                          const Execution&,
                                          const Binding&) const {
  throw NodeError(model, *nodes[0].node, "its operator does not fuse",
                  ErrorCode::kInternal);
}

size_t MemorySize(std::initializer_list<size_t> factors, const char* what) {
  constexpr size_t kLimit = std::numeric_limits<size_t>::max() / 2;
  size_t size = 1;
  for (const size_t factor : factors) {
    const auto product = CheckedMultiply(size, factor);
    if (!product || *product > kLimit) {
      throw OutOfMemory(TextOf(what, " overflows memory"));
    }
    size = *product;
  }
  return size;
}

void CheckFloatInput(const Model& model, const Node& node,
                     const ValueInfo& input, size_t rank) {
  if (input.type != ValueType::kFloat32) {
    throw NodeError(model, node,
                    TextOf("input '", input.name, "' is not float32"));
  }
  if (rank != kAnyRank && input.shape.size() != rank) {
    throw NodeError(
        model, node,
        TextOf("input '", input.name, "' of shape ", ShapeToString(input.shape),
               " must have ", rank, " dimensions"));
  }
}

Error NodeError(const Model& model, const Node& node, std::string_view cause,
                ErrorCode code) {
  return Error::InFile(
      model.path(),
      TextOf("graph: ", Name(node.op), " node '", node.output, "': ", cause),
      code);
}

}  // namespace lutra
