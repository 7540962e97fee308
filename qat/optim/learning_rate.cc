#include "lutra/qat/learning_rate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

// In the order of the values.
constexpr std::array<std::string_view, 4> kDecays = {"constant", "linear",
                                                     "cosine", "sqrt"};

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

std::string_view Name(LearningRateSchedule::Decay decay) {
  return kDecays[static_cast<size_t>(decay)];
}

LearningRateSchedule::Decay ParseDecay(std::string_view name) {
  const auto found = std::find(kDecays.begin(), kDecays.end(), name);
  if (found == kDecays.end()) {
    throw Error(UnknownWord("decay of the learning rate", name, kDecays));
  }
  return static_cast<LearningRateSchedule::Decay>(found - kDecays.begin());
}

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
