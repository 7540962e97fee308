#ifndef LUTRA_BENCH_KERNELS_FLOAT_GEMM_CASE_H_
#define LUTRA_BENCH_KERNELS_FLOAT_GEMM_CASE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "bench/kernels/peers.h"
#include "lutra/kernels/vector_ops.h"

// One measurement of a product of float matrices.

namespace lutra::bench {

struct FloatGemmCase {
  PeerShape shape;
  bool a_transposed = false;
  bool b_transposed = true;
  kernels::FloatType a_type = kernels::FloatType::kFloat32;
  kernels::FloatType b_type = kernels::FloatType::kFloat32;
  size_t threads = 1;
};

// For example float_gemm/nt/float32/256x256x256/threads:1: m x n x k, and which
// operands are transposed (nt is x * w^T, nn dy * w, tn dy^T * x); with
// float32-bfloat16 for operands of two types.
std::string Name(const FloatGemmCase& c);

// Counters: us (median per call), GFLOPS, `limit`: the share, in percent, of
// the peak of the variant's float multiply-add, and how many times as fast it
// is as Eigen and XNNPACK with float32 (`eigen`, of one thread; `xnnpack`, of
// nt), whose calls alternate with these.
void RunFloatGemmCase(benchmark::State& state, const FloatGemmCase& c);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_FLOAT_GEMM_CASE_H_
