#include "lutra/kernels/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "kernels/base/parallel.h"

namespace lutra {
namespace {

// Calls of each task, by number.
using Calls = std::vector<std::atomic<int>>;

void Count(Executor& executor, Calls& calls) {
  executor.Run(
      calls.size(),
      [](void* context, size_t i) { ++(*static_cast<Calls*>(context))[i]; },
      &calls);
}

TEST(ThreadTeamTest, OneThreadNeedsNoTeam) {
  EXPECT_EQ(StartThreadTeam(0), nullptr);
  EXPECT_EQ(StartThreadTeam(1), nullptr);
}

TEST(ThreadTeamTest, EveryTaskOnceWhateverTheNumbers) {
  for (const size_t threads : {2u, 3u, 8u}) {
    const auto team = StartThreadTeam(threads);
    EXPECT_EQ(team->threads(), threads);
    for (int round = 0; round < 200; ++round) {
      for (const size_t tasks : {0u, 1u, 2u, 3u, 7u, 100u}) {
        Calls calls(tasks);
        Count(*team, calls);
        for (const auto& n : calls) ASSERT_EQ(n, 1);
      }
    }
  }
}

TEST(ThreadTeamTest, WhatTasksWriteCanBeRead) {
  const auto team = StartThreadTeam(3);
  std::vector<size_t> values(64);  // not atomic
  for (size_t round = 0; round < 2000; ++round) {
    ParallelFor(team.get(), values.size(), 1,
                [&](size_t i, size_t) { values[i] += i + round; });
  }
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i], 2000 * i + 1999 * 1000);
  }
}

// On a machine that others use it may take a while.
TEST(ThreadTeamTest, HelpersTakePart) {
  using Clock = std::chrono::steady_clock;
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU";
  const auto team = StartThreadTeam(2);
  std::atomic<bool> helped = false;
  const std::thread::id self = std::this_thread::get_id();
  const Clock::time_point end = Clock::now() + std::chrono::minutes(2);
  while (!helped && Clock::now() < end) {
    ParallelFor(team.get(), 16, 1, [&](size_t, size_t) {
      if (std::this_thread::get_id() != self) helped = true;
      const auto enough = Clock::now() + std::chrono::microseconds(200);
      while (!helped && Clock::now() < enough) {
      }
    });
  }
  EXPECT_TRUE(helped);
}

TEST(ThreadTeamTest, TasksMayUseTheTeamAndThreadsMayShareIt) {
  const auto team = StartThreadTeam(3);
  std::atomic<size_t> sum = 0;
  const auto use = [&] {
    for (int round = 0; round < 50; ++round) {
      ParallelFor(team.get(), 8, 1, [&](size_t, size_t) {
        ParallelFor(team.get(), 8, 1, [&](size_t, size_t) { ++sum; });
      });
    }
  };
  std::thread other(use);
  use();
  other.join();
  EXPECT_EQ(sum, 2 * 50 * 64u);
}

TEST(ThreadTeamTest, ErrorsCross) {
  const auto team = StartThreadTeam(3);
  for (int round = 0; round < 100; ++round) {
    try {
      ParallelFor(team.get(), 50, 1, [](size_t i, size_t) {
        if (i % 7 == 5) throw std::runtime_error(std::to_string(i));
      });
      ADD_FAILURE();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "5");
    }
  }
}

TEST(ThreadTeamTest, TeamsThatDoNothingEnd) {
  for (int round = 0; round < 50; ++round) StartThreadTeam(4);
  const auto team = StartThreadTeam(4);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // all sleep
  Calls calls(9);
  Count(*team, calls);
  for (const auto& n : calls) EXPECT_EQ(n, 1);
}

#if defined(__linux__)
// In a process of its own, that may have no more threads. root may always.
TEST(ThreadTeamTest, ThreadsThatCannotStartAreAnError) {
  if (std::getenv("QEMU_CPU") != nullptr) {
    GTEST_SKIP() << "the emulator itself ends where no thread starts";
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(3);
    if (geteuid() == 0 && setuid(kNobody) != 0) _exit(3);
    try {
      StartThreadTeam(4);
    } catch (const std::runtime_error& error) {
      const std::string what = error.what();
      _exit(what.find("threads: cannot start 4 threads: ") == 0 &&
                    what.find('\n') == std::string::npos
                ? 0
                : 1);
    }
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3) GTEST_SKIP() << "limits cannot be set";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}
#endif

}  // namespace
}  // namespace lutra
