// Cost of quantization-aware training.
//
//   qat_bench                                    all, about a minute
//   qat_bench --benchmark_filter=adamw           one optimizer step
//   qat_bench --benchmark_filter=quantizer       quantizers and proximal maps
//
// adamw/plain and adamw/quantized take one step on 16 million parameters (four
// matrices of 2048 x 2048). Counters: bytes_per_second moved by the plain step
// (weight, gradient and two moments read, all but the gradient written);
// limit = its share, in percent, of what reading and writing the same arrays in
// place reaches; ratio = time of the quantized step over that of the plain one.
// The steps that are compared take turns, and medians are compared, so that
// other programs disturb all of them alike.
//
// quantizer/NAME/bits/group and prox/NAME: time per element of one thread, in
// cache.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/parallel.h"
#include "lutra/kernels/thread_team.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"

namespace lutra::bench {
namespace {

constexpr size_t kMatrices = 4;
constexpr int64_t kSide = 2048;
constexpr size_t kParameters = kMatrices * kSide * kSide;
constexpr int64_t kGroupSize = 32;
constexpr int kBits = 2;
constexpr size_t kThreads = 2;
// Rounds are few because each takes some tenths of a second; a multiple of the
// longest period, so that every case refreshes as often as it should.
constexpr int64_t kRounds = 20;

Executor* Team() {
  static const std::unique_ptr<Executor> team = StartThreadTeam(kThreads);
  return team.get();
}

template <typename F>
double Seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  const std::chrono::duration<double> time =
      std::chrono::steady_clock::now() - start;
  return time.count();
}

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double Mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Weights and gradients of a training program.
struct Weights {
  std::vector<std::vector<float>> values;
  std::vector<std::vector<float>> grads;

  Weights() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 0.05f);
    constexpr auto kSize = static_cast<size_t>(kSide * kSide);
    std::vector<float> sample(kSize);
    for (float& value : sample) value = normal(random);
    values.assign(kMatrices, sample);
    grads.assign(kMatrices, sample);
    for (size_t i = 0; i < kMatrices; ++i) {
      std::rotate(values[i].begin(),
                  values[i].begin() + static_cast<std::ptrdiff_t>(i * 12345),
                  values[i].end());
    }
  }

  std::unique_ptr<qat::Optimizer> MakeAdamW() {
    qat::ParamGroup group;
    group.lr = 1e-4;
    group.weight_decay = 0.01;
    group.quant_bits = kBits;
    group.quant_block_size = kGroupSize;
    for (size_t i = 0; i < kMatrices; ++i) {
      group.parameters.push_back({std::string("w").append(std::to_string(i)),
                                  {kSide, kSide},
                                  values[i].data(),
                                  grads[i].data()});
    }
    return qat::MakeAdamW({std::move(group)}, {});
  }
};

std::unique_ptr<qat::Optimizer> MakeQuantized(Weights& weights,
                                              int64_t period) {
  qat::QuantOptimizerOptions options;
  options.quant_period = period;
  options.per_channel = true;
  return std::make_unique<qat::QuantOptimizer>(
      weights.MakeAdamW(), qat::MakeStretchedQuantizer(),
      // Never at the end: the map does its full work in every step.
      qat::MakeProxParq({0, 1 << 20}), options);
}

// Reads and writes every parameter in place.
void UpdateInPlace(Weights& weights) {
  for (std::vector<float>& values : weights.values) {
    float* w = values.data();
    ParallelFor(Team(), values.size(), size_t{1} << 16,
                [w](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) w[i] = -w[i];
                });
  }
}

void PlainStep(benchmark::State& state) {
  Weights weights;
  const auto plain = weights.MakeAdamW();
  plain->Step(Team());  // allocates its state
  std::vector<double> bandwidth;
  std::vector<double> step;
  for (auto _ : state) {
    bandwidth.push_back(Seconds([&] { UpdateInPlace(weights); }));
    step.push_back(Seconds([&] { plain->Step(Team()); }));
    state.SetIterationTime(step.back());
  }
  const double limit = 2 * sizeof(float) * kParameters / Median(bandwidth);
  const double reached = 7 * sizeof(float) * kParameters / Median(step);
  state.counters["bytes_per_second"] = benchmark::Counter(
      reached, benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
  state.counters["read_write_limit"] = benchmark::Counter(
      limit, benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
  state.counters["limit"] = 100.0 * reached / limit;
}

void QuantizedStep(benchmark::State& state) {
  const int64_t period = state.range(0);
  Weights weights;
  Weights quantized_weights;
  const auto plain = weights.MakeAdamW();
  const auto quantized = MakeQuantized(quantized_weights, period);
  plain->Step(Team());
  quantized->Step(Team());
  std::vector<double> plain_step;
  std::vector<double> quantized_step;
  for (auto _ : state) {
    plain_step.push_back(Seconds([&] { plain->Step(Team()); }));
    quantized_step.push_back(Seconds([&] { quantized->Step(Team()); }));
    state.SetIterationTime(quantized_step.back());
  }
  state.counters["ratio"] = Median(quantized_step) / Median(plain_step);
  // With a period the median step is one without a refresh.
  state.counters["mean_ratio"] = Mean(quantized_step) / Mean(plain_step);
}

// Values that stay in a cache, as the pieces of a step do.
std::vector<float> Values() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(size_t{1} << 16);
  for (float& value : values) value = normal(random);
  return values;
}

void ReportPerElement(benchmark::State& state, size_t elements) {
  state.counters["per_element"] = benchmark::Counter(
      static_cast<double>(elements) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void Quantize(benchmark::State& state, const std::string& name, int bits,
              size_t group) {
  const auto quantizer = qat::MakeQuantizer(name);
  const std::vector<float> p = Values();
  std::vector<float> q(p.size());
  const size_t rows = p.size() / group;
  std::vector<float> grids(rows * quantizer->GridSize(bits));
  for (auto _ : state) {
    quantizer->Quantize({p.data(), rows, group, true}, bits, q.data(),
                        grids.data());
    benchmark::ClobberMemory();
  }
  ReportPerElement(state, p.size());
}

void Project(benchmark::State& state, const qat::ProxMap& map, bool refresh) {
  const auto quantizer = qat::MakeStretchedQuantizer();
  const std::vector<float> values = Values();
  std::vector<float> q(values.size());
  const size_t rows = values.size() / kGroupSize;
  std::vector<float> grids(rows * quantizer->GridSize(kBits));
  quantizer->Quantize({values.data(), rows, kGroupSize, true}, kBits, q.data(),
                      grids.data());
  std::vector<float> p(values.size());
  for (auto _ : state) {
    std::copy(values.begin(), values.end(), p.begin());
    map.Apply({p.data(), refresh ? q.data() : nullptr, grids.data(), rows,
               kGroupSize, quantizer->GridSize(kBits), true},
              /*step=*/5);
    benchmark::ClobberMemory();
  }
  ReportPerElement(state, p.size());
}

void RegisterSteps() {
  const auto register_step = [](const std::string& name,
                                void (*step)(benchmark::State&)) {
    return benchmark::RegisterBenchmark(name.c_str(), step)
        ->UseManualTime()
        ->Iterations(kRounds)
        ->Unit(benchmark::kMillisecond);
  };
  register_step("adamw/plain", PlainStep);
  register_step("adamw/quantized", QuantizedStep)
      ->ArgName("period")
      ->Arg(1)
      ->Arg(10);
}

void RegisterQuantizers() {
  for (const std::string_view view : qat::QuantizerNames()) {
    const std::string name(view);
    const auto quantizer = qat::MakeQuantizer(name);
    for (const int bits : {0, kBits, 4}) {
      try {
        quantizer->GridSize(bits);
      } catch (const Error&) {
        continue;  // bits it does not support
      }
      for (const size_t group : {size_t{kGroupSize}, size_t{1024}}) {
        const std::string label = "quantizer/" + name +
                                  "/bits:" + std::to_string(bits) +
                                  "/group:" + std::to_string(group);
        benchmark::RegisterBenchmark(label.c_str(),
                                     [=](benchmark::State& state) {
                                       Quantize(state, name, bits, group);
                                     });
      }
    }
  }
}

void RegisterProxMaps() {
  const auto register_map = [](const std::string& name,
                               std::shared_ptr<const qat::ProxMap> map) {
    for (const bool refresh : {false, true}) {
      const std::string label =
          "prox/" + name + (refresh ? "/refresh:1" : "/refresh:0");
      benchmark::RegisterBenchmark(label.c_str(),
                                   [map, refresh](benchmark::State& state) {
                                     Project(state, *map, refresh);
                                   });
    }
  };
  register_map("hard", qat::MakeProxHardQuant());
  register_map("parq", qat::MakeProxParq({0, 10}));
  register_map("binaryrelax", qat::MakeProxBinaryRelax(0, 10));
}

}  // namespace
}  // namespace lutra::bench

int main(int argc, char** argv) {
  lutra::bench::RegisterSteps();
  lutra::bench::RegisterQuantizers();
  lutra::bench::RegisterProxMaps();
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
