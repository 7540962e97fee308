#include <algorithm>
#include <cassert>

#include "kernels/base/parallel.h"
#include "kernels/float/gemm_job.h"
#include "kernels/target/dispatch.h"
#include "lutra/kernels/float_gemm.h"

namespace lutra::kernels {
namespace {

// Rows and columns of `a` that are packed at a time: many rows, since columns
// of `b` are packed for them; columns so that scratch has a bound.
constexpr size_t kMaxRows = 768;
constexpr size_t kMaxColumns = 2 * kDepth;
static_assert(kMaxRows % kMaxTileRows == 0);

// Up to so many rows are multiplied faster by `b` where it lies.
constexpr size_t kMaxDotRows = 5;

// Multiplications below which waking threads costs more than they gain.
constexpr double kMinParallelWork = 1 << 18;
// Multiplications per piece of work: some microseconds.
constexpr double kMinPieceWork = 1 << 17;

size_t DivideUp(size_t value, size_t divisor) {
  return (value + divisor - 1) / divisor;
}

size_t RoundUp(size_t value, size_t multiple) {
  return DivideUp(value, multiple) * multiple;
}

bool UsesDot(const FloatGemmArguments& g) {
  return g.m <= kMaxDotRows && g.b.transposed && !g.a.transposed &&
         g.a.type == FloatType::kFloat32;
}

double Work(const FloatGemmArguments& g) {
  return static_cast<double>(g.m) * static_cast<double>(g.n) *
         static_cast<double>(g.k);
}

// How many of `units` make a piece, where all take `work` multiplications:
// four pieces per thread let fast threads take over from slow ones, unless
// they are so small that handing them out costs more.
size_t PieceSize(const Executor* executor, size_t units, double work) {
  if (executor == nullptr) return units;
  const size_t threads = executor->threads();
  const double most =
      std::min(work / kMinPieceWork, 4.0 * static_cast<double>(threads));
  return DivideUp(units, std::max(threads, static_cast<size_t>(most)));
}

void RunDot(const FloatGemmKernels& kernels, const FloatGemmArguments& g,
            Executor* executor) {
  // Units of the longest vector, so that pieces begin with a whole one.
  constexpr size_t kUnit = 16;
  const size_t size =
      PieceSize(executor, DivideUp(g.n, kUnit), Work(g)) * kUnit;
  ParallelFor(executor, g.n, size, [&](size_t begin, size_t end) noexcept {
    kernels.dot(g, begin, end - begin);
  });
}

// One part of a product: packs its rows, then multiplies.
void RunPart(const FloatGemmKernels& kernels, const FloatGemmJob& job,
             Executor* executor) {
  const FloatGemmArguments& g = job.arguments;
  // Packing an element takes as long as about four multiplications.
  const double elements = static_cast<double>(job.rows * job.depth);
  Executor* const packer = 4 * elements < kMinParallelWork ? nullptr : executor;
  ParallelFor(packer, job.tiles, PieceSize(packer, job.tiles, 4 * elements),
              [&](size_t begin, size_t end) noexcept {
                kernels.pack(job, begin, end - begin);
              });
  const size_t panels = DivideUp(g.n, kernels.tile_columns);
  // Rows are split only where there are too few columns for all threads, as
  // each piece packs its columns.
  size_t splits = 1;
  if (executor != nullptr) {
    splits = std::min(job.tiles, DivideUp(2 * executor->threads(), panels));
  }
  const size_t tiles = DivideUp(job.tiles, splits);
  splits = DivideUp(job.tiles, tiles);
  const size_t size =
      PieceSize(executor, panels, elements * static_cast<double>(g.n)) *
      kernels.tile_columns;
  const size_t pieces = DivideUp(g.n, size);
  ParallelFor(executor, pieces * splits, 1, [&](size_t piece, size_t) noexcept {
    const size_t n = piece / splits * size;
    const size_t first = piece % splits * tiles;
    kernels.multiply(job, n, std::min(size, g.n - n), first,
                     std::min(tiles, job.tiles - first));
  });
}

void Start(const FloatGemmArguments& g) {
  if (g.accumulate) return;
  for (size_t i = 0; i < g.m; ++i) {
    float* const row = g.c + i * g.c_stride;
    if (g.bias == nullptr) {
      std::fill_n(row, g.n, 0.0f);
    } else {
      std::copy_n(g.bias, g.n, row);
    }
  }
}

}  // namespace

size_t FloatGemmScratchBytes(const FloatGemmArguments& g) noexcept {
  if (g.m == 0 || g.n == 0 || g.k == 0) return 0;
  if (UsesDot(g)) return 0;
  const size_t depth = std::min(g.k, kMaxColumns);
  size_t floats = 0;
  for (const size_t tile_rows : {kMinTileRows, kMaxTileRows}) {
    const size_t tiles = DivideUp(std::min(g.m, kMaxRows), tile_rows);
    floats = std::max(floats,
                      tiles * (depth / kDepth * PackedTile(tile_rows, kDepth) +
                               PackedTile(tile_rows, depth % kDepth)));
  }
  return floats * sizeof(float);
}

bool FloatGemmIsFused() noexcept {
  const FloatGemmKernels* kernels =
      FindFloatGemmKernels(GetActiveKernels().target);
  return kernels != nullptr && kernels->fused;
}

void FloatGemm(const FloatGemmArguments& g, void* scratch,
               Executor* executor) noexcept {
  assert(g.c_stride >= g.n && !(g.accumulate && g.bias != nullptr));
  const FloatGemmKernels* kernels =
      FindFloatGemmKernels(GetActiveKernels().target);
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) return Start(g);
  const bool is_built = kHasHalfFloats || (g.a.type == FloatType::kFloat32 &&
                                           g.b.type == FloatType::kFloat32);
  if (kernels == nullptr || !is_built) {
    return reference::FloatGemm(g, kernels != nullptr && kernels->fused);
  }
  if (Work(g) < kMinParallelWork) executor = nullptr;
  if (UsesDot(g)) return RunDot(*kernels, g, executor);
  FloatGemmJob job;
  job.arguments = g;
  job.packed = static_cast<float*>(scratch);
  // Parts of about the same size.
  const size_t rows =
      RoundUp(DivideUp(g.m, DivideUp(g.m, kMaxRows)), kernels->tile_rows);
  for (job.row = 0; job.row < g.m; job.row += rows) {
    job.rows = std::min(rows, g.m - job.row);
    job.tiles = DivideUp(job.rows, kernels->tile_rows);
    for (job.column = 0; job.column < g.k; job.column += kMaxColumns) {
      job.depth = std::min(kMaxColumns, g.k - job.column);
      RunPart(*kernels, job, executor);
    }
  }
}

}  // namespace lutra::kernels
