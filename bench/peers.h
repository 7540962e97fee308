#ifndef LUTRA_BENCH_PEERS_H_
#define LUTRA_BENCH_PEERS_H_

#include <pthreadpool.h>

#include <cstddef>
#include <functional>
#include <vector>

// Float matrix products of other libraries, y [m, n] = x [m, k] * w [n, k]^T.

namespace lutra::bench {

// Each returns a function that computes y once, or an empty one where the
// library is missing. Arguments must outlive it. x and y need 64 bytes more
// than their shape.
std::function<void()> MakeEigenGemm(const std::vector<float>& w,
                                    const std::vector<float>& x,
                                    std::vector<float>& y, size_t m, size_t n,
                                    size_t k);
std::function<void()> MakeXnnpackGemm(const std::vector<float>& w,
                                      const std::vector<float>& x,
                                      std::vector<float>& y, size_t m, size_t n,
                                      size_t k, pthreadpool_t pool);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_PEERS_H_
