// Recurrent layers: a row of a call is a step of a sequence.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMostUnits = 1 << 20;

// The part of one of `count` directions, without that dimension.
Constant OfDirection(Constant constant, size_t rank, size_t direction,
                     size_t count) {
  if (constant.view.dims.size() != rank ||
      DimSize(constant.view.dims[0]) != static_cast<int64_t>(count)) {
    throw Error("has weights of another shape than the operator's");
  }
  auto part = Sliced(constant.view, 0, static_cast<int64_t>(direction), 1, 1);
  if (!part) throw Unsupported{"directions that are joined with other axes"};
  constant.view = *std::move(part);
  constant.view.dims.erase(constant.view.dims.begin());
  return constant;
}

void CheckZeros(const OnnxContext& node, size_t input, const char* what) {
  if (!node.Has(input)) return;
  const Operand operand = node.Input(input);
  if (const BySizes* const values = operand.by_sizes()) {
    for (const Constant& constant : *values) {
      for (const float value : constant.Floats()) {
        if (value != 0) throw Unsupported{std::string(what) + " other than 0"};
      }
    }
    return;
  }
  if (!node.IsConstant(input)) {
    throw Unsupported{std::string(what) +
                      " as an input: lutra keeps it from call to call"};
  }
  for (const float value : node.ConstantAt(input).Floats()) {
    if (value != 0) throw Unsupported{std::string(what) + " other than 0"};
  }
}

// Names of functions that a layer of one direction has if none are given.
using Activations = std::vector<std::string>;

// What all recurrent operators of ONNX have.
struct Cell {
  Value x;  // [time, batch, size]
  int64_t units = 0;
  bool batch_first = false;
  std::vector<RecurrentLayer> layers;  // one for each direction
};

// Whether each direction goes backward.
std::vector<bool> Directions(const OnnxContext& node) {
  const std::string direction = node.Text("direction", "forward");
  if (direction == "forward") return {false};
  if (direction == "reverse") return {true};
  if (direction == "bidirectional") return {false, true};
  throw Error("has the direction '" + direction + "'");
}

void CheckActivations(const OnnxContext& node, const Activations& usual,
                      size_t directions) {
  const Activations given = node.Texts("activations");
  for (const char* name : {"activation_alpha", "activation_beta", "clip"}) {
    if (node.HasAttribute(name)) {
      throw Unsupported{std::string("the attribute '") + name + "'"};
    }
  }
  if (!node.HasAttribute("activations")) return;
  Activations expected;
  for (size_t i = 0; i < directions; ++i) {
    expected.insert(expected.end(), usual.begin(), usual.end());
  }
  if (given != expected) throw Unsupported{"other activations than usual"};
}

Cell ReadCell(const OnnxContext& node, OpType op, int64_t gates,
              const Activations& activations) {
  Cell cell;
  cell.units = node.Integer("hidden_size", 0);
  if (cell.units < 1 || cell.units > kMostUnits) {
    throw Error("has a hidden size of " + std::to_string(cell.units));
  }
  const std::vector<bool> directions = Directions(node);
  CheckActivations(node, activations, directions.size());
  if (node.Has(4)) throw Unsupported{"sequences of several lengths"};
  CheckZeros(node, 5, "an initial state");
  cell.x = node.ValueAt(0);
  if (cell.x.view.dims.size() != 3) {
    throw Error("takes a value of 3 dimensions");
  }
  // [batch, time, size].
  cell.batch_first = node.Integer("layout", 0) != 0;
  if (cell.batch_first) {
    cell.x.view = Transposed(cell.x.view, std::vector<size_t>{1, 0, 2});
  }
  const int64_t rows = gates * cell.units;
  for (size_t i = 0; i < directions.size(); ++i) {
    const auto part = [&](size_t input, size_t rank) {
      return OfDirection(node.ConstantAt(input), rank, i, directions.size());
    };
    RecurrentLayer layer;
    layer.op = op;
    if (directions[i]) layer.attributes["direction"] = std::string("backward");
    layer.input = part(1, 3);
    layer.recurrent = part(2, 3);
    layer.outputs = cell.units;
    if (DimSize(layer.input.view.dims[0]) != rows ||
        DimSize(layer.recurrent.view.dims[0]) != rows ||
        DimSize(layer.recurrent.view.dims[1]) != cell.units) {
      throw Error("has weights of another size than its hidden size");
    }
    if (node.Has(3)) {
      const std::vector<float> both = part(3, 2).Floats();
      if (both.size() != static_cast<size_t>(2 * rows)) {
        throw Error("has a bias of another size than its hidden size");
      }
      const auto middle = both.begin() + static_cast<std::ptrdiff_t>(rows);
      layer.input_bias = {both.begin(), middle};
      layer.recurrent_bias = {middle, both.end()};
    }
    cell.layers.push_back(std::move(layer));
  }
  return cell;
}

// The first `count` biases of the state become those of the input, which they
// are added to anyway.
void JoinBiases(RecurrentLayer& layer, size_t count) {
  if (layer.input_bias.empty()) return;
  for (size_t i = 0; i < count; ++i) {
    layer.input_bias[i] += std::exchange(layer.recurrent_bias[i], 0.0f);
  }
  if (count == layer.input_bias.size()) layer.recurrent_bias.clear();
}

// Part [begin, begin + units) of what the layers give for each step: [time,
// directions, batch, units].
Value Joined(const OnnxContext& node, const Cell& cell,
             const std::vector<Value>& outputs, int64_t begin) {
  std::optional<Value> all;
  for (Value h : outputs) {
    h.sole = false;
    h.view = *Sliced(h.view, 2, begin, 1, cell.units);
    h.view.dims.insert(h.view.dims.begin() + 1, std::vector<Axis>());
    all = all ? node.net().Concat(*all, h, 1) : h;
  }
  return *std::move(all);
}

// [time, directions, batch, units], or [batch, time, directions, units].
void SetSteps(const OnnxContext& node, const Cell& cell, Value y) {
  if (cell.batch_first) {
    y.view = Transposed(y.view, std::vector<size_t>{2, 0, 1, 3});
  }
  node.SetOutput(std::move(y), 0);
}

// The last state is that of each step, as far as the sequence has come; of a
// layer that goes backward it is one of the first step.
void SetLast(const OnnxContext& node, const Cell& cell, Value state,
             size_t output) {
  if (!node.WantsOutput(output)) return;
  for (const RecurrentLayer& layer : cell.layers) {
    if (!layer.attributes.contains("direction")) continue;
    throw Unsupported{"the last state of a layer that goes backward"};
  }
  // [directions, batch, units], or [batch, directions, units].
  state.view.dims.erase(state.view.dims.begin());
  if (cell.batch_first) {
    state.view = Transposed(state.view, std::vector<size_t>{1, 0, 2});
  }
  node.SetOutput(std::move(state), output);
}

std::vector<Value> RunLayers(const OnnxContext& node, const Cell& cell) {
  std::vector<Value> outputs;
  for (const RecurrentLayer& layer : cell.layers) {
    outputs.push_back(node.net().Recurrent(cell.x, layer));
  }
  return outputs;
}

void Lstm(OnnxContext& node) {
  if (node.Integer("input_forget", 0) != 0) {
    throw Unsupported{"coupled gates"};
  }
  Cell cell = ReadCell(node, OpType::kLstmCell, 4, {"Sigmoid", "Tanh", "Tanh"});
  CheckZeros(node, 6, "an initial state");
  CheckZeros(node, 7, "peepholes");
  const bool both = node.WantsOutput(2);
  for (RecurrentLayer& layer : cell.layers) {
    layer.attributes["gates"] = std::string("iofg");
    JoinBiases(layer, layer.input_bias.size());
    if (!both) continue;
    layer.attributes["output"] = std::string("both");
    layer.outputs *= 2;
  }
  const std::vector<Value> outputs = RunLayers(node, cell);
  const Value h = Joined(node, cell, outputs, 0);
  SetSteps(node, cell, h);
  SetLast(node, cell, h, 1);
  if (both) SetLast(node, cell, Joined(node, cell, outputs, cell.units), 2);
}

void Gru(OnnxContext& node) {
  Cell cell = ReadCell(node, OpType::kGruCell, 3, {"Sigmoid", "Tanh"});
  const bool after = node.Integer("linear_before_reset", 0) != 0;
  for (RecurrentLayer& layer : cell.layers) {
    layer.attributes["gates"] = std::string("zrn");
    layer.attributes["reset"] = std::string(after ? "after" : "before");
    // What the reset gate scales keeps its bias.
    JoinBiases(layer, static_cast<size_t>((after ? 2 : 3) * cell.units));
  }
  const Value h = Joined(node, cell, RunLayers(node, cell), 0);
  SetSteps(node, cell, h);
  SetLast(node, cell, h, 1);
}

constexpr OnnxOperator kRecurrent[] = {
    {"LSTM", 3, 8, Lstm},
    {"GRU", 3, 6, Gru},
};

}  // namespace

std::span<const OnnxOperator> OnnxRecurrent() { return kRecurrent; }

}  // namespace lutra::packer
