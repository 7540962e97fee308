#ifndef LUTRA_PACKER_IMPORT_ROPE_H_
#define LUTRA_PACKER_IMPORT_ROPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "packer/import/import_plan.h"

namespace lutra::packer {

// The rotary position embedding (Su et al., "RoFormer", 2021): pair i of a head
// turns by theta^(-2i / dim) per token, which a scaling scheme makes slower.
struct RopeScheme {
  enum class Scaling {
    kNone,
    kLinear,  // all pairs by `factor` (Chen et al., "Extending Context Window
              // of Large Language Models via Position Interpolation", 2023)
    kLlama3,  // as Llama 3.1: pairs of a long wave by `factor`, of a short wave
              // not at all, those between by interpolation
  };
  double theta = 10000;
  Scaling scaling = Scaling::kNone;
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_context = 8192;
};

// The angle of each of the dim / 2 pairs per token.
std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim);

// The same for a checkpoint whose weights have the type `dtype`.
std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim,
                                      RopePrecision precision, DType dtype);

ImportTensor RopeTensor(const std::string& name,
                        std::vector<float> frequencies);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ROPE_H_
