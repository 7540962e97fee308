#ifndef LUTRA_PACKER_ARCHITECTURES_ROPE_H_
#define LUTRA_PACKER_ARCHITECTURES_ROPE_H_

#include <cstdint>
#include <vector>

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
    kYarn,  // the same with a ramp over the pairs' numbers, and longer vectors
            // (Peng et al., "YaRN", 2023)
    kLongRope,      // each pair by a factor of its own (Ding et al.,
                    // "LongRoPE", 2024), and longer vectors
    kProportional,  // the first `proportion` of the pairs by `factor`; the
                    // others do not turn
  };
  double theta = 10000;
  Scaling scaling = Scaling::kNone;
  double factor = 1;
  double low_frequency_factor = 1;   // kLlama3
  double high_frequency_factor = 4;  // kLlama3
  double original_context = 8192;    // kLlama3, kYarn, kLongRope
  double beta_fast = 32;             // kYarn: turns above which a pair stays
  double beta_slow = 1;              // kYarn: and below which it is slowed
  bool truncate = true;              // kYarn: the ramp's ends are whole numbers
  double proportion = 1;             // kProportional
  // What vectors are longer by; 0: what follows from the scheme.
  double attention_factor = 0;
  // kYarn: if both are given, the ratio of what follows from them.
  double mscale = 0;
  double mscale_all_dim = 0;
  // kLongRope: of texts up to the original context, and of longer ones.
  std::vector<double> short_factors;
  std::vector<double> long_factors;
};

// The angle of each of the dim / 2 pairs per token. kLongRope has others for
// texts longer than the original context.
std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim,
                                      bool is_long = false);

// What the vectors that turn are multiplied by.
double RopeScale(const RopeScheme& scheme);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_ROPE_H_
