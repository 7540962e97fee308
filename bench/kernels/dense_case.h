#ifndef LUTRA_BENCH_KERNELS_DENSE_CASE_H_
#define LUTRA_BENCH_KERNELS_DENSE_CASE_H_

#include <functional>

#include "bench/kernels/peers.h"
#include "lutra/kernels/executor.h"

namespace lutra::bench {

// A function that computes the product of a peer once, with float32 weights, by
// the runtime's own engine.
std::function<void()> MakeDense(const PeerShape& shape, Executor* executor);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_DENSE_CASE_H_
