#include "runtime/ops/cells.h"

#include <string>

#include "lutra/runtime/input_quantization.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/weight.h"

namespace lutra {

AttributeSchema CellDirection() {
  return {.name = "direction",
          .kind = AttributeKind::kWord,
          .required = false,
          .words = "forward backward"};
}

size_t CellUnits(const Model& model, const Node& node) {
  return GetWeight(model, node.weight).k;
}

void CheckCell(const Model& model, const Node& node, const ValueInfo& input,
               size_t gates) {
  CheckInputQuantization(model, node);
  CheckFloatInput(model, node, input, 1);
  const Weight w = GetWeight(model, node.weight);
  if (w.n == uint64_t{w.k} * gates && input.shape[0] == int64_t{w.n}) return;
  const std::string width = TextOf(gates, "H");
  throw NodeError(
      model, node,
      TextOf("input '", input.name, "' of shape ", ShapeToString(input.shape),
             " and weight '", node.weight, "' of shape [", w.n, ", ", w.k,
             "] are not [", width, "] and [", width, ", H]"));
}

void CheckWhole(const Model& model, const Node& node, const CellRows& rows,
                const Call& call) {
  if (!rows.backward()) return;
  for (const SequenceRows& sequence : call.sequences) {
    if (sequence.position == 0) continue;
    throw NodeError(
        model, node,
        TextOf("it goes backward, so a text comes in one call, and ",
               sequence.position, " of its tokens came before"),
        ErrorCode::kInvalidArgument);
  }
}

}  // namespace lutra
