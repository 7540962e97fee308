#ifndef LUTRA_PACKER_ARCHITECTURES_NETWORK_H_
#define LUTRA_PACKER_ARCHITECTURES_NETWORK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lutra/runtime/graph.h"

// What an architecture makes of a configuration: a graph, and where each of its
// tensors comes from. Nothing is read from a checkpoint here.

namespace lutra::packer {

// Rows of a tensor of the checkpoint. A tensor of more than two dimensions
// counts as a matrix of its last one, a vector as one of columns of 1.
struct TensorPart {
  std::string name;
  std::vector<int64_t> stored;  // its shape there
  // Of a tensor of three dimensions one matrix alone; -1: all of it.
  int64_t index = -1;
  // Whether its columns are our rows.
  bool transposed = false;
  // Rows first, first + step, ...; 0: all.
  int64_t first = 0;
  int64_t count = 0;
  int64_t step = 1;
};

struct NetworkTensor {
  enum class Role { kMatrix, kBias, kNorm, kRope };
  std::string name;
  Role role = Role::kMatrix;
  std::vector<int64_t> shape;
  // One below the other they are the tensor. None: it is made of `values`.
  std::vector<TensorPart> parts;
  std::vector<float> values;
  // Instead of these, if the context is longer than `long_from`.
  std::vector<float> long_values;
  int64_t long_from = 0;
  // Applied to every element, which is then float32, if there is one.
  std::function<float(float)> transform;
  // Gives an element back, where that is possible.
  std::function<float(float)> undo;
  // A row of another tensor that is added to each of ours, which are then
  // float32, unless it has no name.
  TensorPart added;
};

struct Network {
  std::string architecture;  // "Qwen3ForCausalLM"
  int64_t vocab = 0;
  int64_t layers = 0;
  int64_t context = 0;
  Graph graph;
  // The states of the tokens, before the output matrix, and their width; and
  // whether they are all that the network is for.
  std::string hidden;
  int64_t width = 0;
  bool both_directions = false;
  bool encodes = false;
  // Each once, in the order of the graph.
  std::vector<NetworkTensor> tensors;
  // The matrices that checkpoints may share, and whether this one says that it
  // does.
  std::string embedding;
  std::string output;
  bool tied = false;
  // Tensors of the checkpoint that need no place: names begin or end so.
  std::vector<std::string> ignored;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_NETWORK_H_
