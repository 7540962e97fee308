// Speed of the LUT kernels as a share of what the machine can do.
//
//   kernels_bench                            a selection, about two minutes
//   kernels_bench --benchmark_filter=gemv    all that match, any shape
//   LUTRA_KERNEL=AVX2 kernels_bench          another instruction set
//
// Names read: what / weights cold or warm / N x K / bits (r: a table per row) /
// group (h: float16 scales) / tokens / threads. Counters: GB/s of packed
// weights, GOPS (a multiply and an add are two), limit = share of the limit in
// percent: of the read bandwidth with cold weights and one token, else of the
// int8 dot product (float: multiply-add) peak. Times are medians.

#include <benchmark/benchmark.h>
#include <pthreadpool.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/peers.h"
#include "lutra/kernels/gemm.h"
#include "lutra/kernels/variants.h"

namespace lutra::bench {
namespace {

using kernels::ActivationType;
using kernels::LutFormat;
using kernels::LutMatrix;

// Cold weights rotate over copies of at least this size together.
constexpr size_t kColdBytes = size_t{128} << 20;

pthreadpool_t PoolOf(size_t threads) {
  static std::map<size_t, pthreadpool_t> pools;
  if (threads == 1) return nullptr;
  pthreadpool_t& pool = pools[threads];
  if (pool == nullptr) pool = pthreadpool_create(threads);
  return pool;
}

// Measured once for each number of threads.
double Limit(double (*measure)(pthreadpool_t), size_t threads) {
  static std::map<std::pair<double (*)(pthreadpool_t), size_t>, double> known;
  double& limit = known[{measure, threads}];
  if (limit == 0) limit = measure(PoolOf(threads));
  return limit;
}

struct FreeDeleter {
  void operator()(uint8_t* p) const { std::free(p); }
};
using Memory = std::unique_ptr<uint8_t, FreeDeleter>;

Memory Allocate(size_t bytes) {
  return Memory(static_cast<uint8_t*>(
      std::aligned_alloc(64, std::max<size_t>(64, (bytes + 63) / 64 * 64))));
}

// `copies` blobs of one random matrix.
struct Weights {
  std::vector<Memory> memory;
  std::vector<LutMatrix> matrices;
  size_t bytes = 0;
};

Weights MakeWeights(const LutFormat& format, bool cold) {
  std::mt19937 rng(1);
  std::vector<uint8_t> indices(size_t{format.n} * format.k);
  for (uint8_t& i : indices) {
    i = static_cast<uint8_t>(rng() & (format.TableEntries() - 1));
  }
  const std::vector<float> scales(size_t{format.n} * format.GroupsPerRow(),
                                  0.01f);
  const size_t entries = format.TableEntries();
  const bool per_row =
      format.table_granularity == kernels::TableGranularity::kRow;
  std::vector<int8_t> table((per_row ? format.n : 1) * entries);
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<int8_t>(2 * static_cast<int>(i % entries) + 1 -
                                   static_cast<int>(entries));
  }
  Weights w;
  w.bytes = kernels::BlobBytes(format);
  const size_t copies = cold ? kColdBytes / w.bytes + 2 : 1;
  for (size_t c = 0; c < copies; ++c) {
    w.memory.push_back(Allocate(w.bytes));
    if (c == 0) {
      kernels::PackLutMatrix(format, indices.data(), scales.data(),
                             table.data(), w.memory[0].get());
    } else {
      std::memcpy(w.memory[c].get(), w.memory[0].get(), w.bytes);
    }
    LutMatrix m;
    kernels::ParseLutMatrix(w.memory[c].get(), w.bytes, &m);
    w.matrices.push_back(m);
  }
  return w;
}

// Times `call`(i) for i = 0, 1, ...; returns the median of seconds per call.
double Measure(benchmark::State& state,
               const std::function<void(size_t)>& call) {
  using Clock = std::chrono::steady_clock;
  call(0);
  std::vector<double> seconds;
  size_t i = 1;
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    call(i++);
    const std::chrono::duration<double> d = Clock::now() - start;
    state.SetIterationTime(d.count());
    seconds.push_back(d.count());
  }
  const auto middle =
      seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

struct Case {
  LutFormat format;
  size_t m = 1;
  size_t threads = 1;
  bool cold = false;
  ActivationType type = ActivationType::kInt8Asymmetric;
};

std::string Name(const Case& c) {
  const LutFormat& f = c.format;
  const bool per_row = f.table_granularity == kernels::TableGranularity::kRow;
  const bool half = f.scale_type == kernels::ScaleType::kFloat16;
  char name[160];
  std::snprintf(name, sizeof(name),
                "%s_%s/%s/%ux%u/bits:%u%s/group:%u%s/m:%zu/threads:%zu",
                c.m == 1 ? "gemv" : "gemm",
                c.type == ActivationType::kFloat32 ? "float" : "int8",
                c.cold ? "cold" : "warm", f.n, f.k, f.bits, per_row ? "r" : "",
                f.group_size, half ? "h" : "", c.m, c.threads);
  return name;
}

std::vector<float> RandomActivations(size_t count) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(count + 16);
  for (float& v : x) v = normal(rng);
  return x;
}

void RunLut(benchmark::State& state, const Case& c) {
  const LutFormat& f = c.format;
  const Weights w = MakeWeights(f, c.cold);
  const std::vector<float> x = RandomActivations(c.m * f.k);
  std::vector<float> y(c.m * f.n);
  pthreadpool_t pool = PoolOf(c.threads);
  const Memory scratch = Allocate(
      kernels::GemmScratchBytes(w.matrices[0], c.type, c.m, c.threads));
  kernels::GemmArguments arguments;
  arguments.x = x.data();
  arguments.x_stride = f.k;
  arguments.m = c.m;
  arguments.y = y.data();
  arguments.y_stride = f.n;
  const double seconds = Measure(state, [&](size_t i) {
    kernels::Gemm(w.matrices[i % w.matrices.size()], c.type, arguments,
                  scratch.get(), pool);
  });
  const double ops = 2.0 * static_cast<double>(c.m) * f.n * f.k;
  const double bandwidth = static_cast<double>(w.bytes) / seconds;
  const bool is_float = c.type == ActivationType::kFloat32;
  const double peak = Limit(is_float ? FloatPeak : Int8Peak, c.threads);
  state.counters["us"] = seconds * 1e6;
  state.counters["GB/s"] = bandwidth * 1e-9;
  state.counters["GOPS"] = ops / seconds * 1e-9;
  state.counters["limit"] =
      100 * (c.cold && c.m == 1 ? bandwidth / Limit(ReadBandwidth, c.threads)
                                : ops / seconds / peak);
  state.counters["bits/w"] =
      static_cast<double>(w.bytes) * 8 / (static_cast<double>(f.n) * f.k);
}

void RunPeer(benchmark::State& state, const Case& c, bool xnnpack) {
  const size_t n = c.format.n;
  const size_t k = c.format.k;
  const std::vector<float> w = RandomActivations(n * k);
  const std::vector<float> x = RandomActivations(c.m * k);
  std::vector<float> y(c.m * n + 16);
  const std::function<void()> call =
      xnnpack ? MakeXnnpackGemm(w, x, y, c.m, n, k, PoolOf(c.threads))
              : MakeEigenGemm(w, x, y, c.m, n, k);
  if (!call) {
    state.SkipWithError("not available");
    return;
  }
  const double seconds = Measure(state, [&call](size_t) { call(); });
  const double ops = 2.0 * static_cast<double>(c.m * n * k);
  state.counters["us"] = seconds * 1e6;
  state.counters["GOPS"] = ops / seconds * 1e-9;
  state.counters["limit"] = 100 * ops / seconds / Limit(FloatPeak, c.threads);
}

void RunLimit(benchmark::State& state, double (*measure)(pthreadpool_t),
              size_t threads) {
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const double limit = Limit(measure, threads);
    const std::chrono::duration<double> d =
        std::chrono::steady_clock::now() - start;
    state.SetIterationTime(d.count());
    state.counters["G/s"] = limit * 1e-9;
  }
}

void Register(const std::string& name,
              const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

void RegisterCase(const Case& c) {
  Register(Name(c), [c](benchmark::State& state) { RunLut(state, c); });
}

void RegisterLimits() {
  for (const size_t threads : {size_t{1}, size_t{2}}) {
    std::string end = "/threads:";
    end += std::to_string(threads);
    const auto add = [&](const char* name, double (*measure)(pthreadpool_t)) {
      benchmark::RegisterBenchmark(
          (name + end).c_str(),
          [=](benchmark::State& s) { RunLimit(s, measure, threads); })
          ->UseManualTime()
          ->Iterations(1);
    };
    add("limit/read_bandwidth", ReadBandwidth);
    add("limit/int8_dot", Int8Peak);
    add("limit/float_multiply_add", FloatPeak);
  }
}

void RegisterPeers(const Case& c) {
  char end[80];
  std::snprintf(end, sizeof(end), "/%ux%u/m:%zu/threads:%zu", c.format.n,
                c.format.k, c.m, c.threads);
  Register(std::string("peer_xnnpack_float").append(end),
           [c](benchmark::State& s) { RunPeer(s, c, true); });
  if (c.threads == 1) {
    Register(std::string("peer_eigen_float").append(end),
             [c](benchmark::State& s) { RunPeer(s, c, false); });
  }
}

LutFormat Format(uint32_t n, uint32_t k, uint32_t bits, uint32_t group) {
  return {.n = n, .k = k, .bits = bits, .group_size = std::min(group, k)};
}

// What a run without a filter measures.
void RegisterSelection() {
  for (const size_t threads : {size_t{1}, size_t{2}}) {
    for (uint32_t bits = 1; bits <= 4; ++bits) {
      RegisterCase({Format(4096, 4096, bits, 64), 1, threads, true});
      RegisterCase({Format(1024, 1024, bits, 64), 1, threads, false});
    }
    for (const uint32_t bits : {2u, 4u}) {
      for (const size_t m : {4u, 8u, 16u, 64u, 128u}) {
        RegisterCase({Format(4096, 4096, bits, 64), m, threads, false});
      }
    }
    Case c{Format(2048, 2048, 2, 64), 64, threads, false,
           ActivationType::kFloat32};
    RegisterCase(c);
    RegisterPeers(c);
  }
  RegisterCase({Format(64, 64, 2, 64), 1, 1, false});
}

void RegisterEverything() {
  static constexpr uint32_t kShapes[][2] = {
      {4096, 4096}, {11008, 4096}, {4096, 11008}, {2048, 2048}, {1024, 1024},
      {768, 768},   {288, 768},    {256, 64},     {64, 64}};
  for (const auto& [n, k] : kShapes) {
    for (const size_t threads : {size_t{1}, size_t{2}}) {
      for (const size_t m : {1u, 2u, 4u, 8u, 16u, 64u, 128u, 512u}) {
        for (uint32_t bits = 1; bits <= 4; ++bits) {
          for (const uint32_t group : {32u, 64u, 128u, k}) {
            Case c{Format(n, k, bits, group), m, threads, false};
            if (c.format.group_size != group) continue;
            RegisterCase(c);
            if (m == 1) {
              c.cold = true;
              RegisterCase(c);
              c.format.scale_type = kernels::ScaleType::kFloat16;
              RegisterCase(c);
              c.cold = false;
              c.format.scale_type = kernels::ScaleType::kFloat32;
            }
            if (group == 64) {
              c.type = ActivationType::kFloat32;
              RegisterCase(c);
              c.type = ActivationType::kInt8Asymmetric;
              c.format.table_granularity = kernels::TableGranularity::kRow;
              RegisterCase(c);
            }
          }
        }
        RegisterPeers({Format(n, k, 2, 64), m, threads, false});
      }
    }
  }
}

int Main(int argc, char** argv) {
  if (const char* name = std::getenv("LUTRA_KERNEL")) {
    if (!kernels::ForceVariant(name)) {
      std::fprintf(stderr, "LUTRA_KERNEL: no variant %s on this CPU\n", name);
      return 2;
    }
  }
  benchmark::AddCustomContext("kernel variant", kernels::ActiveVariant());
  benchmark::AddCustomContext("compiler", __VERSION__);
  bool selection = true;
  bool has_time = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    selection &= argument.rfind("--benchmark_filter", 0) != 0;
    has_time |= argument.rfind("--benchmark_min_time", 0) == 0;
  }
  RegisterLimits();
  if (selection) {
    RegisterSelection();
  } else {
    RegisterEverything();
  }
  std::vector<char*> arguments(argv, argv + argc);
  std::string time = "--benchmark_min_time=0.2";
  if (!has_time) arguments.push_back(time.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace lutra::bench

int main(int argc, char** argv) { return lutra::bench::Main(argc, argv); }
