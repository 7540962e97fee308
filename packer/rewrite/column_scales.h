#ifndef LUTRA_PACKER_REWRITE_COLUMN_SCALES_H_
#define LUTRA_PACKER_REWRITE_COLUMN_SCALES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/packer/rescale.h"
#include "packer/assign/plan.h"

namespace lutra::packer {

// A layer that takes the value: its weight [n, k] and how it will be packed;
// nullptr: it stays float.
struct ScaledLayer {
  std::span<const float> w;
  const WeightPlan* plan = nullptr;
};

// What is known of a value x [k] and of the layers that take it.
struct ScalingProblem {
  RescaleMethod method = RescaleMethod::kAwq;
  double clamp = 0;
  std::vector<float> moments;  // [k, k]
  std::vector<float> peaks;    // [k]
  double rows = 0;             // that were seen
  std::vector<ScaledLayer> layers;
  std::vector<uint32_t> origin;  // columns of the same have the same number
  size_t origins = 0;
  Executor* executor = nullptr;
};

struct ColumnScales {
  std::vector<float> scales;  // [origins]
  double alpha = 0;
  double start = 0;  // the measure for ones
  double result = 0;
};

// The best scales for the alphas, ones included (rescale.h).
ColumnScales FindColumnScales(const ScalingProblem& problem,
                              std::span<const double> alphas);

// The numbers for one alpha; `by_weights`: divided by those of the weights, as
// SmoothQuant always does.
std::vector<float> ScalesOf(const ScalingProblem& problem, double alpha,
                            bool by_weights);
// The measure.
double LossOf(const ScalingProblem& problem, std::span<const float> scales);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_REWRITE_COLUMN_SCALES_H_
