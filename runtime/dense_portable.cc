#include <algorithm>

#include "runtime/dense.h"
#include "runtime/parallel.h"

namespace lutra {
namespace {

// Independent partial sums per dot product: without them the compiler may not
// vectorise, as it must keep the order of additions.
constexpr size_t kLanes = 16;
// Rows of w per piece of work.
constexpr size_t kRowTile = 32;

float Dot(const float* a, const float* b, size_t k) {
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += a[i + lane] * b[i + lane];
    }
  }
  for (size_t lane = 0; i < k; ++i, ++lane) sums[lane] += a[i] * b[i];
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) {
      sums[lane] += sums[lane + width];
    }
  }
  return sums[0];
}

class PortableLinear : public Step {
 public:
  PortableLinear(const DenseLinear& linear, pthreadpool_t pool)
      : linear_(linear), pool_(pool) {}

  void Run() override {
    ParallelFor(pool_, linear_.n, kRowTile, [this](size_t begin, size_t end) {
      const DenseLinear& l = linear_;
      for (size_t m = 0; m < l.m; ++m) {
        for (size_t n = begin; n < end; ++n) {
          const float bias = l.bias == nullptr ? 0.0f : l.bias[n];
          l.y[m * l.n + n] = Dot(l.x + m * l.k, l.w + n * l.k, l.k) + bias;
        }
      }
    });
  }

 private:
  DenseLinear linear_;
  pthreadpool_t pool_;
};

}  // namespace

size_t DenseTailBytes() { return 0; }

std::unique_ptr<Step> BindDenseLinear(const DenseLinear& linear,
                                      pthreadpool_t pool) {
  return std::make_unique<PortableLinear>(linear, pool);
}

}  // namespace lutra
