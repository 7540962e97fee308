#ifndef LUTRA_RUNTIME_INPUT_QUANTIZATION_H_
#define LUTRA_RUNTIME_INPUT_QUANTIZATION_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/activation_rounding.h"
#include "lutra/kernels/activation_type.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/operator.h"

// What the nodes that multiply (linear, expert_linear, conv2d, lstm_cell,
// gru_cell) say about their input: the attributes input_type, input_bits,
// input_group, input_min and input_max of docs/model_file.md.

namespace lutra {

struct InputQuantization {
  // nullopt: the node says nothing, and the program decides. kFloat32: it is
  // not quantized. kBFloat16 is not for nodes.
  std::optional<kernels::ActivationType> type = std::nullopt;
  int bits = 8;           // of int8 types
  size_t group_size = 0;  // of kInt8PerGroup, and there above 0
  // Where they differ: what int8 activations with a scale per token are
  // quantized for, instead of each row's own range. range_min <= 0 <=
  // range_max.
  float range_min = 0;
  float range_max = 0;

  bool operator==(const InputQuantization& other) const {
    return type == other.type && bits == other.bits &&
           group_size == other.group_size && range_min == other.range_min &&
           range_max == other.range_max;
  }
  bool operator!=(const InputQuantization& other) const {
    return !(*this == other);
  }
};

// Whether nodes of the operator have these attributes.
bool QuantizesInput(OpType op);
// The value that they are about: the input, or the output that recurrent cells
// read again. nullptr for other operators, and for an lstm_cell whose output is
// more than that.
const std::string* QuantizedValue(const Node& node);
InputQuantization InputQuantizationOf(const Node& node);
// Only for nodes of such operators.
void SetInputQuantization(const InputQuantization& input, Node& node);
// The range in which the nodes that quantize the value do so; 0 and 0: none.
void SetInputRange(std::string_view value, float min, float max, Graph& graph);

// How a program with these activations takes the input of a node whose weight
// is packed. Without them, and where the node says nothing, it is int8: with a
// scale for each group of columns if the weight has groups (and the node no
// range), else asymmetric, with a scale for each token. Throws Error where
// groups of the input are not those of the weight.
InputQuantization PackedInput(
    const Model& model, const Node& node,
    std::optional<kernels::ActivationType> activations);
// Whether two such nodes take the same value in the same way, but for the
// columns of a group, if the program does not say how.
bool TakeSameInput(const Model& model, const Node& node, const Node& other);
// What a program rounds the input of a node to whose weight is float; nullopt:
// it does not.
std::optional<kernels::ActivationRounding> FloatInput(
    const Node& node, const Execution& execution);

// For definitions of operators: the attributes, and whether they fit each
// other. Throws Error.
std::vector<AttributeSchema> InputAttributes();
void CheckInputQuantization(const Model& model, const Node& node);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_INPUT_QUANTIZATION_H_
