#ifndef LUTRA_BENCH_KERNELS_LUT_CASE_H_
#define LUTRA_BENCH_KERNELS_LUT_CASE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "lutra/kernels/gemm.h"

// One measurement of a LUT kernel.

namespace lutra::bench {

struct LutCase {
  kernels::LutFormat format;
  size_t m = 1;
  size_t threads = 1;
  bool cold = false;  // weights come from memory, not from a cache
  kernels::ActivationType type = kernels::ActivationType::kInt8Asymmetric;
  kernels::Fusion fusion = kernels::Fusion::kNone;
  std::string variant = {};    // of the kernels; empty: the active one
  bool quantize_only = false;  // activations, without the product
  size_t subnormal = 0;        // one row in so many has subnormal scales
};

// For example
//   gemm/int8/warm/4096x4096/bits:2/group:64/m:64/threads:1
// with /table:row, /scales:float16, /offsets:float16, /subnormal:16,
// /fused:gelu, /variant:AVX2 before m where they are not the default.
std::string Name(const LutCase& c);

// Counters of gemv and gemm: us (median per call), GB/s of packed weights, GOPS
// (a multiply and an add are two), bits/w, and `limit`: the share, in percent,
// of the read bandwidth for a token with cold weights, else of the peak of the
// variant's int8 dot product (float activations: multiply-add). Counter of
// quantize: us.
void RunLutCase(benchmark::State& state, const LutCase& c);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_LUT_CASE_H_
