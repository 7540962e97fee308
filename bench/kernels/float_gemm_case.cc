#include "bench/kernels/float_gemm_case.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "bench/kernels/measure.h"
#include "kernels/base/half.h"
#include "lutra/eval/limits.h"
#include "lutra/kernels/float_gemm.h"

namespace lutra::bench {
namespace {

using kernels::FloatMatrix;
using kernels::FloatType;

// Matrices lie in memory of their own, aligned as the runtime's are.
struct Operand {
  Operand(size_t rows, size_t columns, bool transposed, FloatType type)
      : memory(eval::AllocateHugePages(rows * columns * ByteSize(type))) {
    std::mt19937 rng(3);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < rows * columns; ++i) {
      const float value = normal(rng);
      uint8_t* const to = memory.get() + i * ByteSize(type);
      if (type == FloatType::kFloat32) {
        std::memcpy(to, &value, sizeof(value));
      } else {
        // Bits of a bfloat16 are the upper ones of a float.
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        const uint16_t half = type == FloatType::kFloat16
                                  ? Float16FromFloat(value)
                                  : static_cast<uint16_t>(bits >> 16);
        std::memcpy(to, &half, sizeof(half));
      }
    }
    matrix = {memory.get(), type, transposed ? rows : columns, transposed};
  }

  eval::HugePages memory;
  FloatMatrix matrix;
};

// Times of a peer's calls.
class Peer {
 public:
  explicit Peer(std::function<void()> call) : call_(std::move(call)) {
    if (call_) call_();
  }

  void Measure() {
    if (!call_) return;
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    call_();
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    seconds_.push_back(elapsed.count());
  }

  // 0 without any.
  double Median() {
    if (seconds_.empty()) return 0;
    const auto middle =
        seconds_.begin() + static_cast<ptrdiff_t>(seconds_.size() / 2);
    std::nth_element(seconds_.begin(), middle, seconds_.end());
    return *middle;
  }

 private:
  std::function<void()> call_;
  std::vector<double> seconds_;
};

}  // namespace

std::string Name(const FloatGemmCase& c) {
  static constexpr const char* kTypes[] = {"float32", "float16", "bfloat16"};
  std::string types = kTypes[static_cast<size_t>(c.a_type)];
  if (c.b_type != c.a_type) {
    types.append("-").append(kTypes[static_cast<size_t>(c.b_type)]);
  }
  char name[96];
  std::snprintf(name, sizeof(name),
                "float_gemm/%c%c/%s/%zux%zux%zu/threads:%zu",
                c.a_transposed ? 't' : 'n', c.b_transposed ? 't' : 'n',
                types.c_str(), c.shape.m, c.shape.n, c.shape.k, c.threads);
  return name;
}

void RunFloatGemmCase(benchmark::State& state, const FloatGemmCase& c) {
  const auto& [m, n, k] = c.shape;
  const Operand a(m, k, c.a_transposed, c.a_type);
  const Operand b(k, n, c.b_transposed, c.b_type);
  const eval::HugePages y = eval::AllocateHugePages(m * n * sizeof(float));
  kernels::FloatGemmArguments arguments;
  arguments.a = a.matrix;
  arguments.b = b.matrix;
  arguments.m = m;
  arguments.n = n;
  arguments.k = k;
  arguments.c = reinterpret_cast<float*>(y.get());
  arguments.c_stride = n;
  const eval::HugePages scratch =
      eval::AllocateHugePages(FloatGemmScratchBytes(arguments) + 1);
  Executor* const executor = TeamOf(c.threads);
  Peer eigen(c.threads == 1
                 ? MakeEigenGemm(c.shape, c.a_transposed, c.b_transposed)
                 : nullptr);
  const bool is_layer = !c.a_transposed && c.b_transposed;
  Peer xnnpack(is_layer ? MakeXnnpackFloat(c.shape, c.threads) : nullptr);
  const Measured measured = Measure(
      state, [&](size_t) { FloatGemm(arguments, scratch.get(), executor); },
      [&] {
        // Each peer's first call brings its operands into the caches again.
        for (Peer* peer : {&eigen, &xnnpack}) {
          peer->Measure();
          peer->Measure();
        }
        return eval::FloatRate(executor);
      });
  const double operations = 2.0 * static_cast<double>(m * n * k);
  state.counters["us"] = measured.seconds * 1e6;
  state.counters["GFLOPS"] = operations / measured.seconds * 1e-9;
  if (measured.limit > 0) {
    SetShare(state, operations / measured.seconds, measured,
             [executor] { return eval::FloatRate(executor); });
  }
  if (const double seconds = eigen.Median(); seconds > 0) {
    state.counters["eigen"] = seconds / measured.seconds;
  }
  if (const double seconds = xnnpack.Median(); seconds > 0) {
    state.counters["xnnpack"] = seconds / measured.seconds;
  }
}

}  // namespace lutra::bench
