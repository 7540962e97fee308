#include "bench/kernels/dense_case.h"

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "lutra/eval/limits.h"
#include "runtime/ops/dense.h"

namespace lutra::bench {

std::function<void()> MakeDense(const PeerShape& shape, Executor* executor) {
  struct Data {
    std::vector<float> w, x, y;
    eval::HugePages scratch;
  };
  const auto data = std::make_shared<Data>();
  std::mt19937 rng(3);
  const auto fill = [&rng](std::vector<float>& values, size_t count) {
    std::normal_distribution<float> normal;
    values.resize(count);
    for (float& value : values) value = normal(rng);
  };
  fill(data->w, shape.n * shape.k);
  fill(data->x, shape.m * shape.k);
  data->y.resize(shape.m * shape.n);
  const Weight w = {.n = static_cast<uint32_t>(shape.n),
                    .k = static_cast<uint32_t>(shape.k),
                    .values = data->w.data()};
  data->scratch = eval::AllocateHugePages(DenseScratchBytes(w, shape.m) + 1);
  return [=] {
    MultiplyDense(w, nullptr, data->x.data(), shape.m, data->y.data(),
                  data->scratch.get(), executor);
  };
}

}  // namespace lutra::bench
