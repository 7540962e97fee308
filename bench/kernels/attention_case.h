#ifndef LUTRA_BENCH_KERNELS_ATTENTION_CASE_H_
#define LUTRA_BENCH_KERNELS_ATTENTION_CASE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "lutra/kernels/attention.h"

// One measurement of attention, on one thread.

namespace lutra::bench {

struct AttentionCase {
  kernels::AttentionShape shape;  // the last tokens of `context` are attended
  size_t queries = 1;
  bool cold = false;  // keys and values come from memory, not from a cache
};

// For example
//   attention/float16/cold/heads:32/kv_heads:8/dim:64/context:4096/queries:1
std::string Name(const AttentionCase& c);

// Counters: us (median per call), GB/s of keys and values that are seen, each
// counted once, GOPS (a multiply and an add are two), and `limit`: the share,
// in percent, of the read bandwidth for one query with a cold cache, else of
// the peak of the float multiply-add, with int8 of twice as many products (of
// pairs of 16 bits).
void RunAttentionCase(benchmark::State& state, const AttentionCase& c);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_ATTENTION_CASE_H_
