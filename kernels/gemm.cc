#include "lutra/kernels/gemm.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "kernels/dispatch.h"
#include "kernels/gemm_job.h"

namespace lutra::kernels {
namespace {

// Below this many multiplications a call takes a few microseconds, about what
// it costs to wake a thread.
constexpr double kMinParallelWork = 1 << 18;
// Parts of a call are not smaller than this where there are enough for all
// threads: handing one out takes a tenth of a microsecond or two.
constexpr double kMinPartWork = 1 << 20;
// Up to this many tokens are multiplied by the GEMV one after the other, which
// decodes weights in registers for each, rather than once for all to memory.
// Float activations gain nothing by it.
size_t MaxGemvTokens(ActivationType type) { return IsFloat(type) ? 1 : 3; }
// Weights that stay in L2 from one of them to the next.
constexpr size_t kGemvBytes = 256 << 10;

// Hands out consecutive parts of the scratch memory, or, starting from 0, adds
// up their sizes.
class Scratch {
 public:
  explicit Scratch(void* base) : base_(static_cast<uint8_t*>(base)) {}

  template <typename T>
  T* Take(size_t count) {
    uint8_t* const at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += RoundUp(count * sizeof(T), kBlobAlignment);
    return reinterpret_cast<T*>(at);
  }

  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

GemmJob MakeJob(const LutMatrix& w, ActivationType type,
                const GemmArguments& arguments, size_t tile_tokens,
                Scratch* scratch) {
  GemmJob job;
  job.w = w;
  job.layout = LayOutRowBlock(w.format);
  job.row_blocks = DivideUp(w.format.n, kBlockRows);
  job.groups = w.format.GroupsPerRow();
  const size_t unit = UnitColumns(w.format.bits);
  job.padded_group = RoundUp(w.format.group_size, unit);
  job.padded_last = RoundUp(job.Columns(job.groups - 1), unit);
  job.padded_k = (job.groups - 1) * job.padded_group + job.padded_last;
  job.type = type;
  job.arguments = WithSimpleFusion(arguments);
  job.width = arguments.m <= MaxGemvTokens(type)
                  ? 1
                  : std::min(arguments.m, tile_tokens);
  // Enough for tiles of every variant.
  const size_t tokens =
      arguments.m == 1 ? 1 : RoundUp(arguments.m, kMaxTileTokens);
  if (IsFloat(type)) {
    job.floats = scratch->Take<float>(tokens * job.padded_k);
  } else {
    job.values = scratch->Take<int8_t>(tokens * job.padded_k);
    job.starts = scratch->Take<int32_t>(tokens * job.groups);
    job.token_scales = scratch->Take<float>(tokens);
    job.token_zeros = scratch->Take<float>(tokens);
  }
  if (type == ActivationType::kInt8PerGroup) {
    job.group_scales = scratch->Take<float>(tokens * job.groups);
  }
  if (w.format.offset_type != OffsetType::kNone) {
    job.group_sums = scratch->Take<float>(tokens * job.groups);
  }
  return job;
}

// The job for one token of `job`, which has int8 activations in tiles of one
// token.
GemmJob JobOfToken(const GemmJob& job, size_t token) {
  GemmJob one = job;
  one.arguments.m = 1;
  one.arguments.y += token * job.arguments.y_stride;
  one.values += token * job.padded_k;
  one.starts += token * job.groups;
  one.token_scales += token;
  one.token_zeros += token;
  if (job.group_scales != nullptr) one.group_scales += token * job.groups;
  if (job.group_sums != nullptr) one.group_sums += token * job.groups;
  return one;
}

void PreparePart(const GemmJob& job, const KernelSet& kernels, size_t first,
                 size_t count) {
  kernels.prepare(job, first, count);
}

void GemvPart(const GemmJob& job, const KernelSet& kernels, size_t first,
              size_t count) {
  if (job.arguments.m == 1) return kernels.gemv(job, first, count);
  const size_t step = std::max<size_t>(2, kGemvBytes / job.w.row_block_bytes);
  for (size_t i = 0; i < count; i += step) {
    for (size_t token = 0; token < job.arguments.m; ++token) {
      kernels.gemv(JobOfToken(job, token), first + i,
                   std::min(step, count - i));
    }
  }
}

using PartFunction = void (*)(const GemmJob&, const KernelSet&, size_t, size_t);

struct PoolTask {
  const GemmJob& job;
  const KernelSet& kernels;
  PartFunction part = nullptr;
};

void RunPart(void* task, size_t first, size_t count) {
  const PoolTask* t = static_cast<const PoolTask*>(task);
  t->part(t->job, t->kernels, first, count);
}

void RunPanel(void* task, size_t panel, size_t first, size_t count) {
  const PoolTask* t = static_cast<const PoolTask*>(task);
  t->kernels.gemm(t->job, panel, first, count);
}

// Calls part(job, kernels, first, count) for parts of [0, n), which take about
// `work` multiplications together. Four parts per thread let fast threads take
// over from slow ones, unless they are so small that handing them out costs
// more.
void ParallelParts(pthreadpool_t pool, const GemmJob& job,
                   const KernelSet& kernels, PartFunction part, size_t n,
                   size_t multiple, double work) {
  if (pool == nullptr || n <= multiple) return part(job, kernels, 0, n);
  const size_t threads = pthreadpool_get_threads_count(pool);
  const double most =
      std::min(work / kMinPartWork, 4.0 * static_cast<double>(threads));
  const size_t parts = std::max(threads, static_cast<size_t>(most));
  PoolTask task{job, kernels, part};
  pthreadpool_parallelize_1d_tile_1d(pool, RunPart, &task, n,
                                     RoundUp(DivideUp(n, parts), multiple), 0);
}

void ParallelPanels(pthreadpool_t pool, const GemmJob& job,
                    const KernelSet& kernels) {
  const size_t panels = DivideUp(job.row_blocks, kPanelBlocks);
  PoolTask task{job, kernels};
  // Without a pool this is a loop on the calling thread.
  pthreadpool_parallelize_2d_tile_1d(pool, RunPanel, &task, panels,
                                     job.arguments.m, kTokenBlock, 0);
}

void Prepare(pthreadpool_t pool, const GemmJob& job, const KernelSet& kernels) {
  // Preparing an activation costs about as much as 16 multiplications.
  const double work =
      16.0 * static_cast<double>(job.arguments.m) * job.w.format.k;
  ParallelParts(work < kMinParallelWork ? nullptr : pool, job, kernels,
                PreparePart, job.arguments.m, job.width, work);
}

}  // namespace

void PrepareActivations(const LutMatrix& w, ActivationType activation_type,
                        const GemmArguments& arguments, void* scratch,
                        pthreadpool_t pool) noexcept {
  const ActiveKernels active = GetActiveKernels();
  const KernelSet* kernels =
      IsFloat(activation_type) ? active.floats : active.int8;
  if (kernels == nullptr || arguments.m == 0) return;
  Scratch parts(scratch);
  Prepare(pool,
          MakeJob(w, activation_type, arguments, kernels->tile_tokens, &parts),
          *kernels);
}

size_t GemmScratchBytes(const LutMatrix& w, ActivationType activation_type,
                        size_t m) noexcept {
  if (m == 0) return 0;
  GemmArguments arguments;
  arguments.m = m;
  Scratch scratch(nullptr);
  MakeJob(w, activation_type, arguments, kMaxTileTokens, &scratch);
  return scratch.used();
}

void Gemm(const LutMatrix& w, ActivationType activation_type,
          const GemmArguments& arguments, void* scratch,
          pthreadpool_t pool) noexcept {
  const size_t m = arguments.m;
  if (m == 0) return;
  assert(arguments.x_stride >= w.format.k && arguments.y_stride >= w.format.n);
  assert(reinterpret_cast<uintptr_t>(scratch) % kBlobAlignment == 0);
  const ActiveKernels active = GetActiveKernels();
  const KernelSet* kernels =
      IsFloat(activation_type) ? active.floats : active.int8;
  if (kernels == nullptr) return ReferenceGemm(w, activation_type, arguments);
  Scratch parts(scratch);
  const GemmJob job =
      MakeJob(w, activation_type, arguments, kernels->tile_tokens, &parts);

  // Multiplications; none of the factors exceeds 2^30, m apart.
  const double work = static_cast<double>(m) * w.format.n * w.format.k;
  if (work < kMinParallelWork) pool = nullptr;
  Prepare(pool, job, *kernels);
  if (m <= MaxGemvTokens(activation_type)) {
    ParallelParts(pool, job, *kernels, GemvPart, job.row_blocks, 1, work);
  } else {
    ParallelPanels(pool, job, *kernels);
  }
}

}  // namespace lutra::kernels
