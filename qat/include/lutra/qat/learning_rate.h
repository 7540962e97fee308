#ifndef LUTRA_QAT_LEARNING_RATE_H_
#define LUTRA_QAT_LEARNING_RATE_H_

#include <cstdint>
#include <string_view>

namespace lutra::qat {

// How a learning rate goes from step to step, as a factor of its highest value:
// up in a line, level, and down.
struct LearningRateSchedule {
  enum class Decay { kNone, kLinear, kCosine, kInverseSqrt };

  // The factor rises from `warmup_start`, at step 0, to 1 at step `warmup`.
  int64_t warmup = 0;
  double warmup_start = 0.0;
  // Then it is 1 for that many steps (for ever with kNone).
  int64_t level = 0;
  // And then it falls to `floor` in `decay_steps`, u being the part of them
  // that is over, as 1 - u, (1 + cos(pi u)) / 2 (Loshchilov and Hutter, "SGDR",
  // 2017) or 1 - sqrt(u) (Haegele et al., "Scaling Laws Beyond Fixed Training
  // Durations", 2024).
  Decay decay = Decay::kNone;
  int64_t decay_steps = 0;
  double floor = 0.0;

  // Of a step, from 0.
  double Factor(int64_t step) const;
};

// "constant", "linear", "cosine" or "sqrt".
std::string_view Name(LearningRateSchedule::Decay decay);
// Throws lutra::Error that suggests the nearest name.
LearningRateSchedule::Decay ParseDecay(std::string_view name);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_LEARNING_RATE_H_
