#include "lutra/kernels/gemm.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <vector>

#include "kernels/base/parallel.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/target/cpu_features.h"
#include "kernels/target/dispatch.h"

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
size_t MaxGemvTokens(ActivationType type) {
  return Traits(type).is_float ? 1 : 3;
}

// Unless these kernels have something better for all matrices of a call.
bool UsesGemv(Span<const GemmProduct> products, ActivationType type, size_t m,
              const KernelSet* kernels) {
  if (m <= 1 || m > MaxGemvTokens(type)) return m <= 1;
  if (kernels == nullptr || kernels->prefers_gemm == nullptr) return true;
  for (const GemmProduct& product : products) {
    if (!kernels->prefers_gemm(*product.w)) return true;
  }
  return false;
}

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

// Whether activations prepared for `a` are those that `b` takes.
bool SharesActivations(const LutMatrix& a, const LutMatrix& b) {
  return a.format.k == b.format.k && a.format.bits == b.format.bits &&
         a.format.group_size == b.format.group_size &&
         a.table_min == b.table_min &&
         (a.format.offset_type == OffsetType::kNone) ==
             (b.format.offset_type == OffsetType::kNone);
}

void TakeActivations(GemmJob& job, Scratch& scratch) {
  // Enough for tiles of every variant; those of kMaxTileTokens are narrower
  // where there are fewer tokens.
  const size_t m = job.arguments.m;
  const size_t tokens =
      m == 1
          ? 1
          : RoundUp(m, m > kMaxTileTokens ? kMaxTileTokens : kVectorTileTokens);
  const size_t groups = job.w->geometry.groups;
  const size_t columns = job.w->geometry.padded_k;
  if (Traits(job.type).is_float) {
    job.floats = scratch.Take<float>(tokens * columns);
  } else {
    job.values = scratch.Take<int8_t>(tokens * columns);
    job.starts = scratch.Take<int32_t>(tokens * groups);
    job.token_scales = scratch.Take<float>(tokens);
    job.token_zeros = scratch.Take<float>(tokens);
  }
  if (Traits(job.type).has_group_scales) {
    job.group_scales = scratch.Take<float>(tokens * groups);
  }
  if (job.w->format.offset_type != OffsetType::kNone) {
    job.group_sums = scratch.Take<float>(tokens * groups);
  }
}

// The products of a call.
class Jobs {
 public:
  // Without products if they are too many.
  Jobs(Span<const GemmProduct> products, ActivationType type, size_t m,
       const KernelSet* kernels, void* scratch)
      : scratch_(scratch) {
    if (products.size() > kMaxGemmProducts) return;
    uses_gemv_ = UsesGemv(products, type, m, kernels);
    static const bool needs_prefetch = CpuNeedsPrefetch();
    for (const GemmProduct& product : products) {
      GemmJob& job = jobs_[count_];
      const GemmJob* const end = &job;
      const GemmJob* const same =
          std::find_if(begin(), end, [&product](const GemmJob& earlier) {
            return SharesActivations(*earlier.w, *product.w);
          });
      if (same != end) job = *same;
      job.shares_activations = same != end;
      job.w = product.w;
      job.type = type;
      job.needs_prefetch = needs_prefetch;
      job.arguments = WithSimpleFusion(product.arguments);
      job.arguments.m = m;
      job.kernels = kernels;
      if (kernels != nullptr && kernels->is_small != nullptr &&
          kernels->is_small(job)) {
        job.kernels = kernels->small;
      }
      job.width = uses_gemv_ || kernels == nullptr
                      ? 1
                      : std::min(m, job.kernels->tile_tokens);
      if (same == end) TakeActivations(job, scratch_);
      ++count_;
    }
  }

  const GemmJob* begin() const { return jobs_.data(); }
  const GemmJob* end() const { return jobs_.data() + count_; }
  bool uses_gemv() const { return uses_gemv_; }
  size_t scratch_bytes() const { return scratch_.used(); }

 private:
  std::array<GemmJob, kMaxGemmProducts> jobs_;
  size_t count_ = 0;
  bool uses_gemv_ = false;
  Scratch scratch_;
};

// The job for one token of `job`, which has int8 activations in tiles of one
// token.
GemmJob JobOfToken(const GemmJob& job, size_t token) {
  const size_t groups = job.w->geometry.groups;
  GemmJob one = job;
  one.arguments.m = 1;
  one.arguments.y += token * job.arguments.y_stride;
  if (one.arguments.residual != nullptr) {
    one.arguments.residual += token * job.arguments.residual_stride;
  }
  one.values += token * job.w->geometry.padded_k;
  one.starts += token * groups;
  one.token_scales += token;
  one.token_zeros += token;
  if (job.group_scales != nullptr) one.group_scales += token * groups;
  if (job.group_sums != nullptr) one.group_sums += token * groups;
  return one;
}

void GemvRows(const GemmJob& job, size_t first, size_t count) {
  if (job.arguments.m == 1) return job.kernels->gemv(job, first, count);
  const size_t step =
      std::max<size_t>(2, kGemvBytes / job.w->geometry.row_block_bytes);
  for (size_t i = 0; i < count; i += step) {
    for (size_t token = 0; token < job.arguments.m; ++token) {
      job.kernels->gemv(JobOfToken(job, token), first + i,
                        std::min(step, count - i));
    }
  }
}

size_t RowBlocks(const GemmJob& job) { return job.w->geometry.row_blocks; }
size_t Panels(const GemmJob& job) {
  return DivideUp(RowBlocks(job), kPanelBlocks);
}

// What the parts of a call get. They count rows or panels of all jobs, one
// after the other.
struct Task {
  const Jobs& jobs;
};

void PreparePart(void* context, size_t first, size_t count) {
  const Task& task = *static_cast<const Task*>(context);
  for (const GemmJob& job : task.jobs) {
    if (!job.shares_activations) job.kernels->prepare(job, first, count);
  }
}

void GemvPart(void* context, size_t first, size_t count) {
  const Task& task = *static_cast<const Task*>(context);
  size_t end = first + count;
  for (const GemmJob& job : task.jobs) {
    const size_t size = RowBlocks(job);
    const size_t last = std::min(end, size);
    if (first < last) GemvRows(job, first, last - first);
    if (end <= size) return;
    first = std::max(first, size) - size;
    end -= size;
  }
}

void GemmPart(void* context, size_t panel, size_t first, size_t count) {
  const Task& task = *static_cast<const Task*>(context);
  for (const GemmJob& job : task.jobs) {
    const size_t size = Panels(job);
    if (panel < size) return job.kernels->gemm(job, panel, first, count);
    panel -= size;
  }
}

using PartFunction = void (*)(void* task, size_t first, size_t count);

// Calls part(task, first, count) for parts of [0, n), which take about `work`
// multiplications together. Four parts per thread let fast threads take over
// from slow ones, unless they are so small that handing them out costs more.
void ParallelParts(Executor* executor, Task& task, PartFunction part, size_t n,
                   size_t multiple, double work) {
  if (executor == nullptr || n <= multiple) return part(&task, 0, n);
  const size_t threads = executor->threads();
  const double most =
      std::min(work / kMinPartWork, 4.0 * static_cast<double>(threads));
  const size_t parts = std::max(threads, static_cast<size_t>(most));
  ParallelFor(executor, n, RoundUp(DivideUp(n, parts), multiple),
              [&](size_t begin, size_t end) noexcept {
                part(&task, begin, end - begin);
              });
}

void Prepare(Executor* executor, Task& task) {
  const GemmJob& first = *task.jobs.begin();
  if (executor == nullptr) return PreparePart(&task, 0, first.arguments.m);
  // Preparing an activation costs about as much as 16 multiplications.
  const double work =
      16.0 * static_cast<double>(first.arguments.m) * first.w->format.k;
  ParallelParts(work < kMinParallelWork ? nullptr : executor, task, PreparePart,
                first.arguments.m, first.width, work);
}

const KernelSet* FindKernels(ActivationType type) {
  const ActiveKernels& active = GetActiveKernels();
  return Traits(type).is_float ? active.floats : active.int8;
}

// What can be known before a call, of `kernels` or, if they are nullptr, the
// reference.
struct Call {
  Call(Span<const GemmProduct> products, ActivationType type, size_t tokens,
       const KernelSet* set, void* scratch)
      : kernels(set), m(tokens), jobs(products, type, m, set, scratch) {
    if (m == 0) return;  // nothing else needs to make sense
    assert(products.size() <= kMaxGemmProducts);
    assert(reinterpret_cast<uintptr_t>(scratch) % kBlobAlignment == 0);
    for (const GemmJob& job : jobs) {
      const LutFormat& format = job.w->format;
      assert(job.arguments.x == products[0].arguments.x &&
             job.arguments.x_stride == products[0].arguments.x_stride &&
             job.arguments.range_min == products[0].arguments.range_min &&
             job.arguments.range_max == products[0].arguments.range_max &&
             job.arguments.activation_bits ==
                 products[0].arguments.activation_bits &&
             job.arguments.x_stride >= format.k &&
             job.arguments.y_stride >= format.n &&
             (job.arguments.residual == nullptr ||
              job.arguments.residual_stride >= format.n));
      // None of the factors exceeds 2^30, m apart.
      work += static_cast<double>(m) * format.n * format.k;
      row_blocks += RowBlocks(job);
      panels += Panels(job);
    }
  }

  void Run(Executor* executor) const {
    if (m == 0) return;
    if (kernels == nullptr) {
      for (const GemmJob& job : jobs) {
        ReferenceGemm(*job.w, job.type, job.arguments);
      }
      return;
    }
    Task task{jobs};
    if (work < kMinParallelWork) executor = nullptr;
    Prepare(executor, task);
    if (jobs.uses_gemv()) {
      ParallelParts(executor, task, GemvPart, row_blocks, 1, work);
    } else {
      const size_t blocks = DivideUp(m, kTokenBlock);
      ParallelFor(executor, panels * blocks, 1,
                  [&](size_t piece, size_t) noexcept {
                    const size_t first = piece % blocks * kTokenBlock;
                    GemmPart(&task, piece / blocks, first,
                             std::min(kTokenBlock, m - first));
                  });
    }
  }

  const KernelSet* kernels;
  size_t m;
  Jobs jobs;
  double work = 0;  // multiplications
  size_t row_blocks = 0;
  size_t panels = 0;
};

}  // namespace

void PrepareActivations(const LutMatrix& w, ActivationType activation_type,
                        const GemmArguments& arguments, void* scratch,
                        Executor* executor) noexcept {
  const KernelSet* kernels = FindKernels(activation_type);
  if (kernels == nullptr || arguments.m == 0) return;
  const GemmProduct product = {&w, arguments};
  const Jobs jobs({&product, 1}, activation_type, arguments.m, kernels,
                  scratch);
  Task task{jobs};
  Prepare(executor, task);
}

size_t GemmScratchBytes(const LutMatrix& w, ActivationType activation_type,
                        size_t m) noexcept {
  const GemmProduct product = {&w, {}};
  return PreparedGemm::ScratchBytes({&product, 1}, activation_type, m);
}

void Gemm(const LutMatrix& w, ActivationType activation_type,
          const GemmArguments& arguments, void* scratch,
          Executor* executor) noexcept {
  const GemmProduct product = {&w, arguments};
  Call({&product, 1}, activation_type, arguments.m,
       FindKernels(activation_type), scratch)
      .Run(executor);
}

struct PreparedGemm::Impl {
  ActivationType type;
  void* scratch;
  std::vector<GemmProduct> products;
  Call call;  // the last one
};

size_t PreparedGemm::ScratchBytes(Span<const GemmProduct> products,
                                  ActivationType activation_type,
                                  size_t m) noexcept {
  if (m == 0) return 0;
  return Jobs(products, activation_type, m, nullptr, nullptr).scratch_bytes();
}

PreparedGemm::PreparedGemm(Span<const GemmProduct> products,
                           ActivationType activation_type, void* scratch)
    : impl_(new Impl{activation_type,
                     scratch,
                     {products.begin(), products.end()},
                     Call(products, activation_type, 0,
                          FindKernels(activation_type), scratch)}) {}
PreparedGemm::~PreparedGemm() = default;
PreparedGemm::PreparedGemm(PreparedGemm&&) noexcept = default;
PreparedGemm& PreparedGemm::operator=(PreparedGemm&&) noexcept = default;

void PreparedGemm::Run(size_t m, Executor* executor) noexcept {
  const KernelSet* const active = FindKernels(impl_->type);
  Call& call = impl_->call;
  if (m != call.m || active != call.kernels) {
    call = Call(impl_->products, impl_->type, m, active, impl_->scratch);
  }
  call.Run(executor);
}

}  // namespace lutra::kernels
