#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/synth.h"
#include "tests/temp_dir.h"

// Packing a model takes little memory beyond the mapped source.

namespace lutra::packer {
namespace {

#if defined(LUTRA_TEST_SANITIZED)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif

// Private memory of the process (VmData): what RLIMIT_DATA limits. Mapped files
// do not count.
size_t DataBytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    size_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "VmData: %zu kB", &kilobytes) == 1) {
      return kilobytes << 10;
    }
  }
  return 0;
}

// Limits private memory while it lives.
class DataLimit {
 public:
  explicit DataLimit(size_t bytes) {
    ::getrlimit(RLIMIT_DATA, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    works_ = ::setrlimit(RLIMIT_DATA, &limit) == 0;
  }
  ~DataLimit() { ::setrlimit(RLIMIT_DATA, &before_); }
  bool works() const { return works_; }

 private:
  rlimit before_;
  bool works_ = false;
};

// 112 MB of float32 whose largest tensor, the shared embedding, has 48 MB.
SynthOptions Options() {
  SynthOptions options = FindArchitecture("smollm-135m");
  options.vocab = 24576;
  options.dim = 512;
  options.hidden = 1536;
  options.layers = 5;
  options.heads = 8;
  options.kv_heads = 4;
  options.dtype = DType::kFloat32;
  options.rules.AddExclusion(".");
  return options;
}
constexpr size_t kLargest = size_t{24576} * 512 * sizeof(float);
// Stacks and arenas of threads, scratch of the tasks.
constexpr size_t kSlack = size_t{8} << 20;

TEST(MemoryTest, StaysBelowTwiceTheLargestTensor) {
  if (kSanitizer) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempDir dir;
  SynthesizeModel(dir / "float.safetensors", Options());
  const auto model = Model::Load(dir / "float.safetensors");
  ASSERT_GT(model->file().byte_size(), 2 * kLargest + kSlack);
  const std::unique_ptr<Executor> executor = StartThreadTeam(2);
  for (const qat::QuantScheme& scheme : {qat::QuantScheme{"stretched", 4, 32},
                                         {"kmeans", 2, 64},
                                         {"absmax", 8, 0}}) {
    PackOptions options;
    options.rules = qat::SchemeRules(scheme);
    options.executor = executor.get();
    const size_t before = DataBytes();
    if (before == 0) GTEST_SKIP() << "no /proc/self/status";
    const DataLimit limit(before + 2 * kLargest + kSlack);
    if (!limit.works()) GTEST_SKIP() << "no RLIMIT_DATA";
    EXPECT_NO_THROW(PackModel(*model, dir / "packed.safetensors", options))
        << qat::ToString(scheme);
  }
}

// The limit does limit: one tensor less is not enough for a copy of floats.
TEST(MemoryTest, LimitWorks) {
  if (kSanitizer) GTEST_SKIP() << "sanitizers take memory of their own";
  const size_t before = DataBytes();
  if (before == 0) GTEST_SKIP() << "no /proc/self/status";
  const DataLimit limit(before + kLargest);
  if (!limit.works()) GTEST_SKIP() << "no RLIMIT_DATA";
  EXPECT_THROW(std::make_unique<char[]>(2 * kLargest), std::bad_alloc);
}

}  // namespace
}  // namespace lutra::packer
