// Speed of the LUT kernels and of attention as a share of what the machine can
// do.
//
//   kernels_bench                       every row of the report, some minutes
//   kernels_bench --selection=all --benchmark_filter=gemv/int8/warm
//                                       all that match, of more shapes
//   kernels_bench --selection=float     products of float matrices
//   kernels_bench --selection=levels    scales of scales beside plain ones
//   kernels_bench --selection=meanings  the same bits as a table's indices, as
//                                       affine integers and as floats
//   LUTRA_KERNEL=AVX2 kernels_bench     another instruction set
//   kernels_bench --benchmark_out=kernels.json
//                                       for tools/bench_report
//
// lut_case.h and attention_case.h explain names and counters. Times are medians
// over calls; limits are measured again every few milliseconds between the
// calls.

#include <benchmark/benchmark.h>
#include <cpuinfo.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/kernels/attention_case.h"
#include "bench/kernels/dense_case.h"
#include "bench/kernels/float_gemm_case.h"
#include "bench/kernels/lut_case.h"
#include "bench/kernels/measure.h"
#include "bench/kernels/peers.h"
#include "bench/kernels/vector_case.h"
#include "lutra/eval/limits.h"
#include "lutra/kernels/variants.h"

namespace lutra::bench {
namespace {

using kernels::ActivationType;
using kernels::LutFormat;

void Register(const std::string& name,
              const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

void Register(const LutCase& c) {
  Register(Name(c), [c](benchmark::State& state) { RunLutCase(state, c); });
}

void RunProduct(benchmark::State& state, const PeerShape& shape, size_t threads,
                const std::function<void()>& call, double (*limit)(Executor*)) {
  if (!call) {
    state.SkipWithError("not available");
    return;
  }
  Executor* executor = TeamOf(threads);
  const auto rate = [=] { return limit(executor); };
  const Measured measured = Measure(
      state, [&call](size_t) { call(); }, rate);
  const double ops = 2.0 * static_cast<double>(shape.m * shape.n * shape.k);
  state.counters["us"] = measured.seconds * 1e6;
  state.counters["GOPS"] = ops / measured.seconds * 1e-9;
  if (measured.limit > 0)
    SetShare(state, ops / measured.seconds, measured, rate);
}

// The same products with float weights, and by other libraries.
void RegisterPeers(const LutCase& c) {
  const PeerShape shape{c.m, c.format.n, c.format.k};
  const size_t threads = c.threads;
  char end[80];
  std::snprintf(end, sizeof(end), "/%zux%zu/m:%zu/threads:%zu", shape.n,
                shape.k, shape.m, threads);
  Register(std::string("dense/float32").append(end), [=](benchmark::State& s) {
    RunProduct(s, shape, threads, MakeDense(shape, TeamOf(threads)),
               eval::FloatRate);
  });
  Register(std::string("peer/xnnpack_float").append(end),
           [=](benchmark::State& s) {
             RunProduct(s, shape, threads, MakeXnnpackFloat(shape, threads),
                        eval::FloatRate);
           });
  Register(std::string("peer/xnnpack_int8").append(end),
           [=](benchmark::State& s) {
             RunProduct(s, shape, threads, MakeXnnpackInt8(shape, threads),
                        eval::Int8Rate);
           });
  if (threads > 1) return;
  Register(
      std::string("peer/eigen_float").append(end), [=](benchmark::State& s) {
        RunProduct(s, shape, threads, MakeEigenGemm(shape), eval::FloatRate);
      });
}

void RegisterLimits() {
  for (const size_t threads : {size_t{1}, size_t{2}}) {
    const auto add = [threads](const char* name, double (*measure)(Executor*)) {
      std::string full = "limit/";
      full.append(name).append("/threads:").append(std::to_string(threads));
      benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) {
        for (auto _ : state) {
          state.counters["G/s"] = measure(TeamOf(threads)) * 1e-9;
        }
      })->Iterations(1);
    };
    add("read_bandwidth", eval::ReadBandwidth);
    add("int8_dot", eval::Int8Peak);
    add("float_multiply_add", eval::FloatPeak);
  }
}

LutFormat Format(uint32_t n, uint32_t k, uint32_t bits, uint32_t group) {
  return {.n = n, .k = k, .bits = bits, .group_size = group};
}

bool Supported(const char* variant) {
  size_t count = 0;
  const kernels::Variant* variants = kernels::Variants(&count);
  for (size_t i = 0; i < count; ++i) {
    if (std::strcmp(variants[i].name, variant) == 0) {
      return variants[i].supported;
    }
  }
  return false;
}

constexpr size_t kThreads[] = {1, 2};

// Weights from memory.
void SelectCold() {
  for (uint32_t bits = 1; bits <= 4; ++bits) {
    for (const uint32_t group : {32u, 64u, 128u}) {
      for (const size_t threads : kThreads) {
        Register({Format(4096, 4096, bits, group), 1, threads, true});
      }
    }
    for (const size_t threads : kThreads) {
      Register({Format(11008, 4096, bits, 64), 1, threads, true});
    }
    for (const size_t threads : kThreads) {
      Register({Format(4096, 11008, bits, 64), 1, threads, true});
    }
  }
}

// What the choices of a format, of a call and of an instruction set cost, with
// weights in L2.
void SelectChoices() {
  const LutCase plain{Format(1024, 1024, 2, 64)};
  for (const size_t m : {1u, 64u}) {
    const auto add = [m](LutCase c) {
      c.m = m;
      Register(c);
    };
    LutCase c = plain;
    if (m > 1) add(c);
    for (const uint32_t group : {16u, 32u, 96u, 128u, 256u, 1024u}) {
      c.format.group_size = group;
      add(c);
    }
    c = plain;
    c.format.bits = 8;
    add(c);
    for (uint32_t bits = 1; bits <= 4; ++bits) {
      c.format.bits = bits;
      c.format.table_granularity = kernels::TableGranularity::kRow;
      add(c);
    }
    c = plain;
    for (const auto type :
         {kernels::ScaleType::kBFloat16, kernels::ScaleType::kFloat16}) {
      c.format.scale_type = type;
      add(c);
    }
    c.format.offset_type = kernels::OffsetType::kFloat16;
    add(c);
    c = plain;
    for (const auto type :
         {ActivationType::kInt8Symmetric, ActivationType::kInt8PerGroup,
          ActivationType::kFloat32, ActivationType::kBFloat16}) {
      c.type = type;
      add(c);
    }
    c = plain;
    for (const auto fusion : {kernels::Fusion::kRelu, kernels::Fusion::kGelu,
                              kernels::Fusion::kSilu}) {
      c.fusion = fusion;
      add(c);
    }
    c = plain;
    size_t variants = 0;
    const kernels::Variant* variant = kernels::Variants(&variants);
    for (size_t i = 0; i < variants; ++i) {
      if (!variant[i].supported) continue;
      c.variant = variant[i].name;
      add(c);
    }
  }
}

// Weights from a cache, and the smallest call.
void SelectWarm() {
  for (uint32_t bits = 1; bits <= 4; ++bits) {
    Register({Format(1024, 1024, bits, 64), 1, 1});
    for (const size_t threads : kThreads) {
      Register({Format(4096, 4096, bits, 64), 1, threads});
    }
  }
  Register({Format(64, 64, 2, 64), 1, 1});
}

void SelectGemm() {
  for (const uint32_t bits : {2u, 3u, 4u}) {
    for (const uint32_t group : {32u, 64u, 128u}) {
      for (const size_t m : {64u, 128u, 512u}) {
        if (m == 512 && group != 64) continue;
        Register({Format(4096, 4096, bits, group), m, 1});
      }
    }
    if (bits == 3) continue;
    for (const size_t m : {4u, 8u, 16u}) {
      Register({Format(4096, 4096, bits, 64), m, 1});
    }
    for (const size_t m : {16u, 64u, 128u}) {
      Register({Format(4096, 4096, bits, 64), m, 2});
    }
  }
  if (Supported("AVX2")) {
    LutCase c{Format(4096, 4096, 2, 64), 64, 1};
    c.variant = "AVX2";
    Register(c);
    c.m = 128;
    Register(c);
  }
}

void SelectActivations() {
  for (const size_t threads : kThreads) {
    for (const size_t m : {64u, 128u}) {
      LutCase c{Format(2048, 2048, 2, 64), m, threads};
      c.type = ActivationType::kFloat32;
      Register(c);
      RegisterPeers(c);
    }
  }
  // Where the float weights fit a cache; SelectChoices has the kernel itself.
  RegisterPeers({Format(1024, 1024, 2, 64), 64, 1});
  for (const size_t m : {1u, 2u, 4u, 8u, 16u, 64u, 128u, 512u}) {
    LutCase c{Format(4096, 4096, 2, 64), m, 1};
    c.quantize_only = true;
    Register(c);
    // The others are selected above.
    c.quantize_only = false;
    if (m == 2) Register(c);
  }
  LutCase c{Format(1024, 1024, 2, 64), 1, 1};
  c.quantize_only = true;
  Register(c);
}

// The heads of an 8-billion model, and half as long ones.
void SelectAttention() {
  for (const size_t dim : {64u, 128u}) {
    for (const auto cache :
         {kernels::CacheType::kFloat32, kernels::CacheType::kFloat16,
          kernels::CacheType::kInt8}) {
      for (const size_t context : {512u, 4096u, 32768u}) {
        AttentionCase c{{.heads = 32,
                         .kv_heads = 8,
                         .head_dim = dim,
                         .context = context,
                         .cache = cache,
                         .scale = 0.125f}};
        const auto add = [&](size_t queries, bool cold) {
          c.queries = queries;
          c.cold = cold;
          Register(Name(c), [c](benchmark::State& state) {
            RunAttentionCase(state, c);
          });
        };
        // The longest does not fit a cache.
        const bool fits = context < 32768;
        add(1, true);
        if (fits) add(1, false);
        add(128, !fits);
      }
    }
  }
}

// Scales of scales, each behind the floating-point scales of the same groups.
void SelectTwoLevels() {
  using kernels::OffsetType;
  using kernels::ScaleType;
  using kernels::SuperSpan;
  struct Levels {
    uint32_t bits;
    uint32_t group;
    ScaleType scales;
    OffsetType offsets;
    SuperSpan span;
    ScaleType supers;
  };
  static constexpr auto kNone = SuperSpan::kNone;
  static constexpr auto k256 = SuperSpan::kColumns256;
  static constexpr auto kFloat16 = ScaleType::kFloat16;
  static constexpr auto kFloat32 = ScaleType::kFloat32;
  static constexpr Levels kLevels[] = {
      {2, 16, kFloat16, OffsetType::kFloat16, kNone, kFloat32},
      {2, 16, ScaleType::kUint4, OffsetType::kUint4, k256, kFloat16},
      {2, 32, kFloat16, OffsetType::kNone, kNone, kFloat32},
      {2, 32, ScaleType::kInt8, OffsetType::kNone, k256, kFloat16},
      {4, 16, kFloat16, OffsetType::kNone, kNone, kFloat32},
      {4, 16, ScaleType::kE4M3, OffsetType::kNone, SuperSpan::kRow, kFloat32},
      {4, 32, kFloat16, OffsetType::kNone, kNone, kFloat32},
      {4, 32, ScaleType::kInt8, OffsetType::kNone, k256, kFloat16},
      {4, 32, ScaleType::kE8M0, OffsetType::kNone, kNone, kFloat32},
      {4, 32, kFloat16, OffsetType::kFloat16, kNone, kFloat32},
      {4, 32, ScaleType::kInt8, OffsetType::kInt8, k256, kFloat16},
  };
  const auto add = [](size_t m, bool cold) {
    for (const Levels& levels : kLevels) {
      LutCase c{Format(4096, 4096, levels.bits, levels.group), m, 1, cold};
      c.format.scale_type = levels.scales;
      c.format.offset_type = levels.offsets;
      c.format.super_span = levels.span;
      c.format.super_type = levels.supers;
      Register(c);
    }
  };
  add(1, true);
  add(1, false);
  add(128, false);
}

// The same bits as indices of a table, as affine integers (a scale and an
// offset for each group) and as floats (activations are not quantized, weights
// become floats in registers); and float weights, which are read as they are.
void SelectMeanings() {
  const auto add = [](size_t m, bool cold) {
    for (const uint32_t bits : {2u, 3u, 4u}) {
      LutCase c{Format(4096, 4096, bits, 64), m, 1, cold};
      c.format.scale_type = kernels::ScaleType::kFloat16;
      Register(c);
      c.format.offset_type = kernels::OffsetType::kFloat16;
      Register(c);
      c.format.offset_type = kernels::OffsetType::kNone;
      c.type = ActivationType::kFloat32;
      Register(c);
    }
    if (!cold) RegisterPeers({Format(4096, 4096, 2, 64), m, 1});
  };
  add(1, true);
  add(1, false);
  add(128, false);
}

void RegisterEverything() {
  static constexpr uint32_t kShapes[][2] = {
      {4096, 4096}, {11008, 4096}, {4096, 11008}, {2048, 2048}, {1024, 1024},
      {768, 768},   {288, 768},    {256, 64},     {64, 64}};
  for (const auto& [n, k] : kShapes) {
    for (const uint32_t bits : {1u, 2u, 3u, 4u, 8u}) {
      for (const uint32_t group : {32u, 64u, 128u, k}) {
        if (group > k || (group == k && k <= 128)) continue;
        for (const size_t threads : kThreads) {
          for (const size_t m : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 512u}) {
            LutCase c{Format(n, k, bits, group), m, threads};
            Register(c);
            if (group == 64) {
              c.type = ActivationType::kFloat32;
              Register(c);
              c.type = ActivationType::kInt8Asymmetric;
            }
            c.format.scale_type = kernels::ScaleType::kFloat16;
            Register(c);
            if (!c.format.HasTable()) continue;
            c.format.scale_type = kernels::ScaleType::kFloat32;
            c.format.table_granularity = kernels::TableGranularity::kRow;
            Register(c);
          }
          LutCase c{Format(n, k, bits, group), 1, threads, true};
          Register(c);
          c.format.scale_type = kernels::ScaleType::kFloat16;
          Register(c);
          if (!c.format.HasTable()) continue;
          c.format.scale_type = kernels::ScaleType::kFloat32;
          c.format.table_granularity = kernels::TableGranularity::kRow;
          Register(c);
        }
      }
    }
    LutCase c{Format(n, k, 2, 64)};
    c.subnormal = 16;
    Register(c);
    for (const size_t m : {1u, 2u, 4u, 8u, 16u, 64u, 128u, 512u}) {
      for (const size_t threads : kThreads) {
        RegisterPeers({Format(n, k, 2, 64), m, threads});
      }
      c = {Format(n, k, 2, 64), m, 1};
      c.quantize_only = true;
      Register(c);
    }
  }
}

// A row of a model's stream, as one token and as a prompt have it, and what no
// cache holds.
void SelectVectors() {
  for (const std::string& operation : VectorOperations()) {
    for (const size_t rows : {1u, 128u, 8192u}) {
      const VectorCase c{operation, 2048, rows};
      Register(Name(c), [c](benchmark::State& s) { RunVectorCase(s, c); });
    }
  }
}

void SelectFloat() {
  const auto add = [](const FloatGemmCase& c) {
    Register(Name(c), [c](benchmark::State& s) { RunFloatGemmCase(s, c); });
  };
  constexpr kernels::FloatType kTypes[] = {kernels::FloatType::kFloat32,
                                           kernels::FloatType::kBFloat16,
                                           kernels::FloatType::kFloat16};
  for (const auto type : kTypes) {
    for (const size_t threads : kThreads) {
      for (const size_t size : {64u, 128u, 256u, 512u, 1024u}) {
        const PeerShape shape{size, size, size};
        add({shape, false, true, type, type, threads});
        add({shape, false, false, type, type, threads});
        add({shape, true, false, type, type, threads});
      }
      for (const size_t m : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u}) {
        // A layer whose weights come from memory.
        add({{m, 4096, 4096},
             false,
             true,
             kernels::FloatType::kFloat32,
             type,
             threads});
      }
    }
  }
}

std::string CpuName() {
  if (!cpuinfo_initialize() || cpuinfo_get_packages_count() == 0) return "";
  return cpuinfo_get_package(0)->name;
}

// Takes --selection=... out of the arguments; returns its value.
std::string TakeSelection(std::vector<char*>& arguments) {
  static constexpr char kOption[] = "--selection=";
  std::string selection = "report";
  for (size_t i = 1; i < arguments.size();) {
    if (std::strncmp(arguments[i], kOption, sizeof(kOption) - 1) == 0) {
      selection = arguments[i] + sizeof(kOption) - 1;
      arguments.erase(arguments.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  return selection;
}

int Main(int argc, char** argv) {
  if (const char* name = kernels::RefusedRequest()) {
    std::fprintf(stderr, "LUTRA_KERNEL: no variant %s on this CPU\n", name);
    return 2;
  }
  std::vector<char*> arguments(argv, argv + argc);
  // Later ones win. Without a filter, Google Benchmark 1.7 moves all that it
  // has found for each one more: half a minute for thousands.
  std::string time = "--benchmark_min_time=0.1";
  std::string filter = "--benchmark_filter=.*";
  arguments.insert(arguments.begin() + 1, {time.data(), filter.data()});
  const std::string selection = TakeSelection(arguments);
  RegisterLimits();
  if (selection == "report") {
    SelectCold();
    SelectWarm();
    SelectGemm();
    SelectActivations();
    SelectChoices();
    SelectAttention();
  } else if (selection == "float") {
    SelectFloat();
  } else if (selection == "vectors") {
    SelectVectors();
  } else if (selection == "levels") {
    SelectTwoLevels();
  } else if (selection == "meanings") {
    SelectMeanings();
  } else if (selection == "all") {
    RegisterEverything();
    SelectAttention();
    SelectVectors();
  } else {
    std::fprintf(
        stderr,
        "--selection is report, float, vectors, levels, meanings or all, not "
        "%s\n",
        selection.c_str());
    return 2;
  }
  benchmark::AddCustomContext("cpu", CpuName());
  benchmark::AddCustomContext("kernel variant", kernels::ActiveVariant());
#ifdef __clang__
  benchmark::AddCustomContext("compiler", __VERSION__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
  std::string command = "kernels_bench";
  for (int i = 1; i < argc; ++i) command.append(" ").append(argv[i]);
  benchmark::AddCustomContext("command", command);
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
