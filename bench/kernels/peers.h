#ifndef LUTRA_BENCH_KERNELS_PEERS_H_
#define LUTRA_BENCH_KERNELS_PEERS_H_

#include <cstddef>
#include <functional>

// Matrix products of other libraries on random data, y [m, n] = x [m, k] *
// w [n, k]^T.

namespace lutra::bench {

struct PeerShape {
  size_t m;
  size_t n;
  size_t k;
};

// Each returns a function that computes y once and owns its data, or an empty
// one where the library is missing.

// float32, on the calling thread; operands as they are stored, x possibly as
// [k, m] and w as [k, n].
std::function<void()> MakeEigenGemm(const PeerShape& shape,
                                    bool x_transposed = false,
                                    bool w_transposed = true);
// float32.
std::function<void()> MakeXnnpackFloat(const PeerShape& shape, size_t threads);
// int8 weights with one scale; int8 activations and outputs with fixed scales,
// so without the cost of quantizing them.
std::function<void()> MakeXnnpackInt8(const PeerShape& shape, size_t threads);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_PEERS_H_
