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
  job.arguments = arguments;
  job.width = std::min(arguments.m, tile_tokens);
  // Enough for tiles of every variant.
  const size_t tokens =
      arguments.m == 1 ? 1 : RoundUp(arguments.m, kMaxTileTokens);
  if (type == ActivationType::kFloat32) {
    job.floats = scratch->Take<float>(tokens * job.padded_k);
  } else {
    job.values = scratch->Take<int8_t>(tokens * job.padded_k);
    job.starts = scratch->Take<int32_t>(tokens * job.groups);
    job.token_scales = scratch->Take<float>(tokens);
    job.token_zeros = scratch->Take<float>(tokens);
  }
  return job;
}

using PrepareFunction = void (*)(const GemmJob&, size_t, size_t);
using PanelFunction = void (*)(const GemmJob&, size_t, size_t, size_t);

struct PoolTask {
  const GemmJob* job;
  PrepareFunction range;
  PanelFunction panel;
};

void RunRange(void* task, size_t first, size_t count) {
  const PoolTask* t = static_cast<const PoolTask*>(task);
  t->range(*t->job, first, count);
}

void RunPanel(void* task, size_t panel, size_t first, size_t count) {
  const PoolTask* t = static_cast<const PoolTask*>(task);
  t->panel(*t->job, panel, first, count);
}

// Calls range(job, first, count) for parts of [0, n). Four parts per thread let
// fast threads take over from slow ones.
void ParallelRange(pthreadpool_t pool, const GemmJob& job,
                   PrepareFunction range, size_t n, size_t multiple) {
  if (pool == nullptr || n <= multiple) return range(job, 0, n);
  const size_t parts = 4 * pthreadpool_get_threads_count(pool);
  PoolTask task{&job, range, nullptr};
  pthreadpool_parallelize_1d_tile_1d(pool, RunRange, &task, n,
                                     RoundUp(DivideUp(n, parts), multiple), 0);
}

void ParallelPanels(pthreadpool_t pool, const GemmJob& job,
                    PanelFunction panel) {
  const size_t panels = DivideUp(job.row_blocks, kPanelBlocks);
  PoolTask task{&job, nullptr, panel};
  // Without a pool this is a loop on the calling thread.
  pthreadpool_parallelize_2d_tile_1d(pool, RunPanel, &task, panels,
                                     job.arguments.m, kTokenBlock, 0);
}

}  // namespace

size_t GemmScratchBytes(const LutMatrix& w, ActivationType activation_type,
                        size_t m, size_t /*threads*/) noexcept {
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
      activation_type == ActivationType::kFloat32 ? active.floats : active.int8;
  if (kernels == nullptr) return ReferenceGemm(w, activation_type, arguments);
  Scratch parts(scratch);
  const GemmJob job =
      MakeJob(w, activation_type, arguments, kernels->tile_tokens, &parts);

  // Multiplications; none of the factors exceeds 2^30, m apart.
  const double work = static_cast<double>(m) * w.format.n * w.format.k;
  if (work < kMinParallelWork) pool = nullptr;
  // Preparing an activation costs about as much as 16 multiplications.
  const double prepare_work = 16.0 * static_cast<double>(m) * w.format.k;
  ParallelRange(prepare_work < kMinParallelWork ? nullptr : pool, job,
                kernels->prepare, m, job.width);
  if (m == 1) {
    ParallelRange(pool, job, kernels->gemv, job.row_blocks, 1);
  } else {
    ParallelPanels(pool, job, kernels->gemm);
  }
}

}  // namespace lutra::kernels
