#ifndef LUTRA_PACKER_IMPORT_BATCH_NORM_H_
#define LUTRA_PACKER_IMPORT_BATCH_NORM_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/graph.h"
#include "packer/import/import_plan.h"

// Batch normalization, at inference an affine function of each channel
// (https://arxiv.org/abs/1502.03167, algorithm 2), is no operator of lutra's
// graphs: importers fold it into the layer before.

namespace lutra::packer {

// y = factor * x + offset, one of each per channel.
struct ChannelAffine {
  std::vector<double> factor;
  std::vector<double> offset;

  // The weights of a layer as rows [channels, k], or as columns [k, channels].
  void ScaleRows(std::span<float> weights) const;
  void ScaleColumns(std::span<float> weights) const;
  void Apply(std::span<float> bias) const;
};

// gamma * (x - mean) / sqrt(variance + eps) + beta. Throws Error with the bare
// cause if a number makes no sense; the spans have one length.
ChannelAffine ToAffine(std::span<const float> gamma,
                       std::span<const float> beta, std::span<const float> mean,
                       std::span<const float> variance, double eps);

// A node of a graph's JSON (docs/import.md).
struct BatchNormNode {
  std::string output;
  std::string gamma, beta, mean, variance;  // tensors
  double eps = 0;
};

// Takes the nodes `batch_norm` out of the JSON of a graph: the layer before now
// makes the output of the node. Throws Error naming `file`, also where the
// input of such a node is used elsewhere.
std::vector<BatchNormNode> TakeBatchNorms(std::string& graph,
                                          std::string_view file);

// The affine functions of the nodes, by the index of the graph's node that each
// is to be folded into. Reads the tensors from `tensors`. Throws Error.
struct FoldedNode {
  size_t node = 0;
  ChannelAffine affine;
};
std::vector<FoldedNode> PlanFolding(const std::vector<BatchNormNode>& norms,
                                    const Graph& graph,
                                    const SafetensorsFile& tensors,
                                    std::string_view graph_file);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_BATCH_NORM_H_
