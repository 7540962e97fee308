#include "lutra/qat/weight_average.h"

#include "lutra/runtime/error.h"

namespace lutra::qat {

WeightAverage::WeightAverage(double decay)
    : decay_(static_cast<float>(decay)), rest_(static_cast<float>(1 - decay)) {
  if (!(decay >= 0.0 && decay < 1.0)) {
    throw Error("the decay of the weights' average must be in [0, 1)");
  }
}

void WeightAverage::Add(const TensorMap& parameters) {
  if (values_.empty()) {
    values_ = parameters;
    return;
  }
  for (auto& [name, average] : values_) {
    const std::vector<float>& now = parameters.find(name)->second.values;
    for (size_t i = 0; i < now.size(); ++i) {
      average.values[i] = decay_ * average.values[i] + rest_ * now[i];
    }
  }
}

}  // namespace lutra::qat
