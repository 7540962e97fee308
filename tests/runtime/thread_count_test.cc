// Numbers of threads from made-up /sys and /proc.

#include "runtime/base/thread_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/threads.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class ThreadCountTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = dir_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  void Cpu(size_t number, const std::string& file, const std::string& text) {
    Write("sys/devices/system/cpu/cpu" + std::to_string(number) + "/" + file,
          text);
  }
  // `count` CPUs that are allowed, of which those that are `apart` share cores.
  void Cores(size_t count, size_t apart) {
    for (size_t i = 0; i < count; ++i) {
      sources_.allowed.push_back(i);
      Cpu(i, "topology/core_cpus_list", std::to_string(i % apart) + "\n");
    }
  }
  ThreadChoice Choose() {
    sources_.root = std::filesystem::path(dir_ / ".").string();
    return ChooseThreads(sources_);
  }

  TempDir dir_;
  ThreadSources sources_;
};

TEST_F(ThreadCountTest, CoresCountOnce) {
  Cores(8, 4);
  sources_.detected_cores = 1;  // a virtual machine that cpuinfo misreads
  const ThreadChoice choice = Choose();
  EXPECT_EQ(choice.threads, 4u);
  EXPECT_EQ(choice.cores, 4u);
  EXPECT_EQ(choice.most, 8u);
  EXPECT_EQ(choice.hardware_threads, 8u);
  EXPECT_EQ(choice.reason, "cores that this process may run on");
}

TEST_F(ThreadCountTest, OnlyAllowedCpusCount) {
  Cores(8, 4);
  sources_.allowed = {1, 5, 6};
  const ThreadChoice choice = Choose();
  EXPECT_EQ(choice.threads, 2u);
  EXPECT_EQ(choice.most, 3u);
}

TEST_F(ThreadCountTest, WithoutTopologyCpuinfoIsAsked) {
  sources_.allowed = {0, 1, 2, 3};
  EXPECT_EQ(Choose().threads, 4u);
  sources_.detected_cores = 2;
  EXPECT_EQ(Choose().threads, 2u);
  sources_.detected_cores = 16;
  EXPECT_EQ(Choose().threads, 4u);
  sources_.allowed = {};
  EXPECT_EQ(Choose().threads, 1u);
  EXPECT_EQ(Choose().most, 1u);
}

TEST_F(ThreadCountTest, OldNamesOfTopology) {
  sources_.allowed = {0, 1};
  for (const size_t cpu : {0u, 1u}) {
    Cpu(cpu, "topology/thread_siblings_list", "0-1\n");
  }
  EXPECT_EQ(Choose().threads, 1u);
  EXPECT_EQ(Choose().most, 2u);
}

TEST_F(ThreadCountTest, FastCoresOnly) {
  Cores(8, 8);
  for (size_t i = 0; i < 8; ++i) {
    Cpu(i, "cpu_capacity", i < 4 ? "250\n" : i < 7 ? "800\n" : "1024\n");
  }
  const ThreadChoice choice = Choose();
  EXPECT_EQ(choice.threads, 4u);
  EXPECT_EQ(choice.cores, 8u);
  EXPECT_EQ(choice.most, 8u);
  EXPECT_THAT(choice.reason, HasSubstr("fast cores among 8"));
}

TEST_F(ThreadCountTest, FastCoresByFrequency) {
  Cores(4, 4);
  for (size_t i = 0; i < 4; ++i) {
    Cpu(i, "cpufreq/cpuinfo_max_freq", i < 2 ? "1800000\n" : "2840000\n");
  }
  EXPECT_EQ(Choose().threads, 2u);
  Cpu(0, "cpufreq/cpuinfo_max_freq", "");  // not all have one
  EXPECT_EQ(Choose().threads, 4u);
}

TEST_F(ThreadCountTest, QuotaOfVersion2) {
  Cores(8, 8);
  Write("proc/self/cgroup", "0::/a/b\n");
  Write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(Choose().threads, 8u);
  Write("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  const ThreadChoice choice = Choose();
  EXPECT_EQ(choice.threads, 3u);
  EXPECT_EQ(choice.most, 3u);
  EXPECT_EQ(choice.quota, 2.5);
  EXPECT_THAT(choice.reason, HasSubstr("quota of 2.5 CPUs"));
  Write("sys/fs/cgroup/cpu.max", "10000 100000\n");
  EXPECT_EQ(Choose().threads, 1u);
}

TEST_F(ThreadCountTest, QuotaOfVersion1) {
  Cores(8, 8);
  Write("proc/self/cgroup", "3:memory:/x\n2:cpu,cpuacct:/docker/1\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Choose().threads, 8u);
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
  EXPECT_EQ(Choose().threads, 2u);
}

TEST_F(ThreadCountTest, HostileFilesCountForNothing) {
  Cores(2, 2);
  for (const std::string& text :
       {std::string(), std::string(100'000, '9'), std::string("\0\xff::::", 7),
        std::string("0::"), std::string("0::../../..\n"),
        std::string(":::\n\n:"), std::string("0::a/b/c\n1:cpu:x")}) {
    Write("proc/self/cgroup", text);
    Write("sys/fs/cgroup/cpu.max", text);
    Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", text);
    Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "0");
    Cpu(0, "cpu_capacity", text);
    Cpu(1, "cpu_capacity", text);
    EXPECT_EQ(Choose().threads, 2u) << text.substr(0, 20);
  }
  std::filesystem::create_directories(
      dir_ / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
  EXPECT_EQ(Choose().threads, 2u);
}

TEST(ThreadsTest, NoMoreThanTheMachineHasAndNoMistakes) {
  const size_t most = ChooseThreads().most;
  for (const size_t wanted : {size_t{0}, size_t{1}, most + 1, kMaxThreads}) {
    const auto threads = StartThreads(wanted);
    const size_t count = threads == nullptr ? 1 : threads->threads();
    EXPECT_LE(count, most);
    if (wanted > most) {
      EXPECT_EQ(count, most);
    }
  }
  EXPECT_THAT(ErrorMessage([] { StartThreads(kMaxThreads + 1); }),
              HasSubstr("limit of 1024"));
}

}  // namespace
}  // namespace lutra
