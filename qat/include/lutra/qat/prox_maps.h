#ifndef LUTRA_QAT_PROX_MAPS_H_
#define LUTRA_QAT_PROX_MAPS_H_

#include <cstdint>
#include <memory>

#include "lutra/kernels/span.h"
#include "lutra/qat/prox_map.h"

// Proximal maps: how parameters are pulled towards their grid. Steps are
// counted from the first call of QuantOptimizer::Step, warm-up included.

namespace lutra::qat {

// Quantizes at every step: takes q on refresh steps, else the nearest level of
// the grid (the lower one on a tie).
std::unique_ptr<ProxMap> MakeProxHardQuant();

// The nearest levels of an ascending grid, the lower one on a tie.
void NearestLevels(Span<const float> values, Span<const float> grid,
                   float* nearest);

struct ParqSchedule {
  int64_t start = 0;
  int64_t end = 1;          // > start
  double steepness = 10.0;  // > 0
  double center = 0.5;
};

// Inverse slope r at start <= step < end, before the floor of 2^-126. With
// f = (step - start) / (end - start) and S(z) = 1 / (1 + exp(z)):
//   r = (S(steepness * (f - center)) - S(steepness / 2)) /
//       (S(-steepness / 2) - S(steepness / 2))
// It falls from 1 at the start to 0 at the end if center is 1/2.
double InverseSlope(const ParqSchedule& schedule, int64_t step);

// PARQ (https://arxiv.org/abs/2503.15748): before the start nothing changes;
// then values move away from the midpoint m of the levels lo < p <= hi around
// them, p := clip(m + (p - m) / r, lo, hi), more and more as r falls; from the
// end on it is hard quantization. Throws lutra::Error for a bad schedule.
std::unique_ptr<ProxMap> MakeProxParq(const ParqSchedule& schedule);

// BinaryRelax (https://arxiv.org/abs/1801.06313): p * (1 - theta) + theta * q
// with theta rising from 0 at `start` to 1 at `end`; hard quantization from the
// end on. Throws lutra::Error unless start < end.
std::unique_ptr<ProxMap> MakeProxBinaryRelax(int64_t start, int64_t end);

// Stochastic rounding: between the levels lo < p <= hi around it, p becomes hi
// with the chance (p - lo) / (hi - lo), anew in every step, so that it is p in
// the mean (Gupta et al., Deep learning with limited numerical precision,
// 2015). Before the start nothing changes, from the end on it is hard
// quantization. Equal values have equal levels in a step. Throws lutra::Error
// unless start < end.
std::unique_ptr<ProxMap> MakeProxStochastic(int64_t start, int64_t end,
                                            uint64_t seed);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_PROX_MAPS_H_
