#ifndef LUTRA_QAT_WEIGHT_AVERAGE_H_
#define LUTRA_QAT_WEIGHT_AVERAGE_H_

#include "lutra/qat/tensor.h"

namespace lutra::qat {

// An exponential moving average of parameters (Polyak and Juditsky, 1992): a
// copy after the first step, and then decay * average + (1 - decay) * values.
class WeightAverage {
 public:
  // Throws lutra::Error unless 0 <= decay < 1.
  explicit WeightAverage(double decay);

  // After a step. The shapes are always the same.
  void Add(const TensorMap& parameters);

  // Empty before the first step.
  TensorMap& values() { return values_; }
  const TensorMap& values() const { return values_; }

 private:
  float decay_;
  float rest_;
  TensorMap values_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_WEIGHT_AVERAGE_H_
