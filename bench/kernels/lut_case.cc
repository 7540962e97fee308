#include "bench/kernels/lut_case.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "bench/kernels/measure.h"
#include "kernels/lut/gemm_job.h"
#include "lutra/eval/limits.h"
#include "lutra/kernels/variants.h"

namespace lutra::bench {
namespace {

using kernels::ActivationType;
using kernels::LutFormat;
using kernels::LutMatrix;

// Cold weights rotate over copies of this size together, several times what a
// last-level cache holds.
constexpr size_t kColdBytes = size_t{192} << 20;

struct FreeDeleter {
  void operator()(uint8_t* p) const { std::free(p); }
};
using Memory = std::unique_ptr<uint8_t[], FreeDeleter>;

Memory Allocate(size_t bytes) {
  constexpr size_t kAlignment = kernels::kBlobAlignment;
  return Memory(static_cast<uint8_t*>(std::aligned_alloc(
      kAlignment, kernels::RoundUp(std::max<size_t>(1, bytes), kAlignment))));
}

// Copies of a blob, one after the other.
struct Weights {
  eval::HugePages memory;
  size_t bytes = 0;  // of a copy
  std::vector<LutMatrix> matrices;
};

std::vector<int8_t> Tables(const LutFormat& format) {
  const size_t entries = format.TableEntries();
  const bool per_row =
      format.table_granularity == kernels::TableGranularity::kRow;
  std::vector<int8_t> tables((per_row ? format.n : 1) * entries);
  for (size_t i = 0; i < tables.size(); ++i) {
    tables[i] = static_cast<int8_t>(2 * static_cast<int>(i % entries) + 1 -
                                    static_cast<int>(entries));
  }
  return tables;
}

Weights MakeWeights(const LutCase& c) {
  const LutFormat& format = c.format;
  std::mt19937 rng(1);
  std::vector<uint8_t> indices(size_t{format.n} * format.k);
  const uint32_t values = format.HasTable() ? format.TableEntries() : 256;
  for (uint8_t& i : indices) i = static_cast<uint8_t>(rng() % values);
  const size_t groups = size_t{format.n} * format.GroupsPerRow();
  std::vector<float> scales(groups, 0.01f);
  if (c.subnormal > 0) {
    for (size_t i = 0; i < groups; ++i) {
      if (i / format.GroupsPerRow() % c.subnormal == 0) scales[i] = 0x1p-128f;
    }
  }
  const std::vector<float> offsets(
      format.offset_type == kernels::OffsetType::kNone ? 0 : groups, 0.02f);
  const std::vector<float> supers(size_t{format.n} * format.SupersPerRow(),
                                  0.005f);
  Weights w;
  w.bytes = kernels::BlobBytes(format);
  const size_t copies = c.cold ? kColdBytes / w.bytes + 2 : 1;
  w.memory = eval::AllocateHugePages(copies * w.bytes);
  kernels::PackLutMatrix(format,
                         {.indices = indices.data(),
                          .scales = scales.data(),
                          .offsets = offsets.data(),
                          .super_scales = supers.data(),
                          .super_offsets = supers.data(),
                          .tables = Tables(format).data()},
                         w.memory.get());
  for (size_t i = 0; i < copies; ++i) {
    uint8_t* const blob = w.memory.get() + i * w.bytes;
    if (i > 0) std::memcpy(blob, w.memory.get(), w.bytes);
    LutMatrix m;
    kernels::ParseLutMatrix(blob, w.bytes, &m);
    w.matrices.push_back(m);
  }
  return w;
}

// The last weights made are kept: a benchmark runs several times, and the next
// one often has the same.
const Weights& WeightsOf(const LutCase& c) {
  static std::string key;
  static Weights weights;
  LutCase same = c;
  same.m = same.threads = 1;
  same.type = ActivationType::kInt8Asymmetric;
  same.variant.clear();
  same.fusion = kernels::Fusion::kNone;
  same.quantize_only = false;
  if (Name(same) != key) {
    weights = Weights();
    weights = MakeWeights(c);
    key = Name(same);
  }
  return weights;
}

std::string Number(size_t value) { return std::to_string(value); }

// By the enumerators' values; offsets have one more in front.
constexpr const char* kScaleNames[] = {"float32", "bfloat16", "float16", "int8",
                                       "uint4",   "e8m0",     "e4m3"};
constexpr const char* kSpanNames[] = {"", "row", "256"};
constexpr const char* kFusionNames[] = {"",      "relu", "relu6",
                                        "clamp", "gelu", "silu"};

// Forces a variant for its lifetime.
class ForcedVariant {
 public:
  explicit ForcedVariant(const std::string& name) {
    if (!name.empty()) kernels::ForceVariant(name.c_str());
  }
  ~ForcedVariant() { kernels::ForceVariant(before_.c_str()); }
  ForcedVariant(const ForcedVariant&) = delete;
  ForcedVariant& operator=(const ForcedVariant&) = delete;

 private:
  const std::string before_ = kernels::ActiveVariant();
};

}  // namespace

std::string Name(const LutCase& c) {
  const LutFormat& f = c.format;
  std::string name = c.quantize_only ? "quantize" : c.m == 1 ? "gemv" : "gemm";
  name.append("/")
      .append(kernels::Traits(c.type).name)
      .append(c.cold ? "/cold/" : "/warm/");
  name.append(Number(f.n)).append("x").append(Number(f.k));
  name.append("/bits:").append(Number(f.bits));
  name.append("/group:").append(Number(f.group_size));
  if (f.table_granularity == kernels::TableGranularity::kRow) {
    name.append("/table:row");
  }
  if (f.scale_type != kernels::ScaleType::kFloat32) {
    name.append("/scales:")
        .append(kScaleNames[static_cast<size_t>(f.scale_type)]);
  }
  if (f.offset_type != kernels::OffsetType::kNone) {
    name.append("/offsets:")
        .append(kScaleNames[static_cast<size_t>(f.offset_type) - 1]);
  }
  if (f.super_span != kernels::SuperSpan::kNone) {
    name.append("/super:").append(
        kSpanNames[static_cast<size_t>(f.super_span)]);
  }
  if (c.subnormal > 0) name.append("/subnormal:").append(Number(c.subnormal));
  if (c.fusion != kernels::Fusion::kNone) {
    name.append("/fused:").append(kFusionNames[static_cast<size_t>(c.fusion)]);
  }
  if (!c.variant.empty()) name.append("/variant:").append(c.variant);
  name.append("/m:").append(Number(c.m));
  return name.append("/threads:").append(Number(c.threads));
}

void RunLutCase(benchmark::State& state, const LutCase& c) {
  const ForcedVariant forced(c.variant);
  const LutFormat& f = c.format;
  const Weights& w = WeightsOf(c);
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(c.m * f.k);
  for (float& v : x) v = normal(rng);
  std::vector<float> y(c.m * f.n);
  Executor* executor = TeamOf(c.threads);
  const Memory scratch =
      Allocate(kernels::GemmScratchBytes(w.matrices[0], c.type, c.m));
  kernels::GemmArguments arguments;
  arguments.x = x.data();
  arguments.x_stride = f.k;
  arguments.m = c.m;
  arguments.y = y.data();
  arguments.y_stride = f.n;
  arguments.fusion = c.fusion;
  arguments.clamp_min = -1;
  arguments.clamp_max = 1;

  const bool bandwidth_bound = c.cold && c.m == 1;
  eval::UncachedMemory memory(w.memory.get(), w.matrices.size() * w.bytes);
  const auto read = [&] { return memory.ReadRate(executor); };
  const auto peak = [&] {
    return kernels::Traits(c.type).is_float ? eval::FloatRate(executor)
                                            : eval::Int8Rate(executor);
  };
  const auto call = [&](size_t i) {
    const LutMatrix& matrix = w.matrices[i % w.matrices.size()];
    if (c.quantize_only) {
      kernels::PrepareActivations(matrix, c.type, arguments, scratch.get(),
                                  executor);
    } else {
      kernels::Gemm(matrix, c.type, arguments, scratch.get(), executor);
    }
  };
  std::function<double()> limit;
  if (bandwidth_bound) {
    limit = read;
  } else if (!c.quantize_only) {
    limit = peak;
  }
  const Measured measured = Measure(state, call, limit);
  state.counters["us"] = measured.seconds * 1e6;
  if (c.quantize_only) return;
  const double weights = static_cast<double>(f.n) * f.k;
  const double bytes = static_cast<double>(w.bytes);
  const double ops = 2.0 * static_cast<double>(c.m) * weights;
  state.counters["GB/s"] = bytes / measured.seconds * 1e-9;
  state.counters["GOPS"] = ops / measured.seconds * 1e-9;
  state.counters["bits/w"] = bytes * 8 / weights;
  if (measured.limit > 0) {
    SetShare(state, (bandwidth_bound ? bytes : ops) / measured.seconds,
             measured, limit);
  }
}

}  // namespace lutra::bench
