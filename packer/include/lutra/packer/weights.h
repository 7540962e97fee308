#ifndef LUTRA_PACKER_WEIGHTS_H_
#define LUTRA_PACKER_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/model.h"

// The weights of a model: what packing is about and sizes are compared by.

namespace lutra::packer {

struct Weight {
  std::string name;
  OpType op = OpType::kLinear;                 // of the first node using it
  DType dtype = DType::kFloat32;               // kUInt8 if packed
  int64_t n = 0;                               // rows
  int64_t k = 0;                               // columns
  size_t bytes = 0;                            // in the file
  const kernels::LutMatrix* packed = nullptr;  // owned by the model

  size_t ElementCount() const;
  double BitsPerWeight() const;
};

// Weights of the nodes that can be packed (IsPackable), in the order of the
// graph; one that several nodes share appears once.
std::vector<Weight> Weights(const Model& model);

struct WeightTotals {
  size_t elements = 0;
  size_t bytes = 0;

  double BitsPerWeight() const;
};
WeightTotals Total(const std::vector<Weight>& weights);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_H_
