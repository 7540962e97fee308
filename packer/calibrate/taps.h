#ifndef LUTRA_PACKER_CALIBRATE_TAPS_H_
#define LUTRA_PACKER_CALIBRATE_TAPS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/window2d.h"

namespace lutra::packer {

// What the weight [n, k] of a node multiplies.
struct MatrixInput {
  std::string name;    // of its statistics
  std::string tap;     // the value that it is made of
  size_t columns = 0;  // of the tap's the first ones, if it has more
  // Of conv2d: the rows are what lies under the window at each pixel.
  std::optional<Window2d> window = {};
};
// Nothing for nodes that do not multiply (linear, conv2d and recurrent cells
// do). For linear nodes that is their input, and for cells their output, which
// they take in the next step.
std::optional<MatrixInput> FindMatrixInput(const Model& model,
                                           const Node& node);
// Of all nodes, each name once, in the order of the graph.
std::vector<MatrixInput> MatrixInputs(const Model& model);
// Likewise of those alone whose input is there before the node runs: not of
// cells, which take their own output.
std::optional<MatrixInput> FindLayerInput(const Model& model, const Node& node);
std::vector<MatrixInput> LayerInputs(const Model& model);

// The sum that takes the output of the linear node with this input, if it is
// read by a norm, which divides by its size: the stream of a residual network.
// Nothing for other values, and where several nodes take the input.
std::optional<std::string> NormalizedSum(const Graph& graph,
                                         std::string_view input);

// Weights in the place of the model's, by name: the bytes of packed matrices.
using PackedBlobs = std::map<std::string, Span<const std::byte>, std::less<>>;

// The tensors of `model` that the nodes of `graph` use, some of them replaced.
std::vector<TensorView> TensorsOf(const Graph& graph, const Model& model,
                                  const PackedBlobs& replaced = {});

// A model over the weights of `model`, which must outlive it, whose outputs are
// the values of that name.
std::shared_ptr<const Model> TapModel(const Model& model,
                                      const std::vector<std::string>& values);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_TAPS_H_
