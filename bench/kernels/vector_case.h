#ifndef LUTRA_BENCH_KERNELS_VECTOR_CASE_H_
#define LUTRA_BENCH_KERNELS_VECTOR_CASE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <vector>

// Functions, norms, softmax and rope over rows, on one thread.

namespace lutra::bench {

struct VectorCase {
  std::string operation;  // see VectorOperations
  size_t width = 0;       // elements of a row
  size_t rows = 0;        // that a call takes
};

// "exp", "relu", ..., "rms_norm", "layer_norm", "softmax", "rope".
const std::vector<std::string>& VectorOperations();

// For example vector/rms_norm/width:2048/rows:128.
std::string Name(const VectorCase& c);

// Counters: us (median per call), GB/s (what is read and what is written, each
// once), ns per element, and, for rows that fit no cache, `limit`: the share,
// in percent, of the read bandwidth that the reads take. A write makes the
// memory move as much again, or twice that, so that 50 is much.
void RunVectorCase(benchmark::State& state, const VectorCase& c);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_VECTOR_CASE_H_
