#include "lutra/qat/learning_rate.h"

#include <cmath>
#include <numbers>

namespace lutra::qat {
namespace {

double Left(LearningRateSchedule::Decay decay, double u) {
  switch (decay) {
    case LearningRateSchedule::Decay::kNone:
      return 1.0;
    case LearningRateSchedule::Decay::kLinear:
      return 1.0 - u;
    case LearningRateSchedule::Decay::kCosine:
      return 0.5 * (1.0 + std::cos(std::numbers::pi * u));
    case LearningRateSchedule::Decay::kInverseSqrt:
      return 1.0 - std::sqrt(u);
  }
  return 1.0;
}

}  // namespace

double LearningRateSchedule::Factor(int64_t step) const {
  if (step < warmup) {
    return warmup_start + (1.0 - warmup_start) * static_cast<double>(step) /
                              static_cast<double>(warmup);
  }
  const int64_t falling = step - warmup - level;
  if (decay == Decay::kNone || falling <= 0) return 1.0;
  if (falling >= decay_steps) return floor;
  return floor +
         (1.0 - floor) * Left(decay, static_cast<double>(falling) /
                                         static_cast<double>(decay_steps));
}

}  // namespace lutra::qat
