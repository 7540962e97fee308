#include "kernels/threads/helper_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lutra {
namespace {

constexpr int64_t kMicrosecond = 1000;
constexpr int64_t kMillisecond = 1000 * kMicrosecond;
constexpr uint32_t kPieces = 8;
constexpr int64_t kPiece = 20 * kMicrosecond;
constexpr int64_t kSecond = 1000 * kMillisecond;

int64_t cpu_time = 0;
int64_t CpuTime() { return cpu_time; }

// Loops of eight pieces of 20 us, simulated.
class Machine {
 public:
  explicit Machine(size_t helpers) : choice(helpers), parts_(helpers) {
    cpu_time = 0;
  }

  // Every `period` the system takes helper `victim` away for `away`, in the
  // middle of a piece. Alone, the caller has `share` of a CPU.
  struct Crowd {
    int64_t period = 0;  // 0: never
    int64_t away = 0;
    size_t victim = 0;
    double share = 1;
  };

  // Returns loops per second.
  double Run(int64_t duration, const Crowd& crowd) {
    const int64_t end = now + duration;
    int64_t loops = 0;
    for (; now < end; ++loops) {
      choice.Begin(now, &CpuTime);
      const int64_t begin = now;
      if (choice.active() == 0) {
        now += static_cast<int64_t>(kPieces * kPiece / crowd.share);
        cpu_time += kPieces * kPiece;
        choice.LearnAlone(begin, now, &CpuTime);
        continue;
      }
      const auto workers = static_cast<uint32_t>(choice.active() + 1);
      HelperChoice::Loop loop;
      loop.begin = begin;
      uint32_t left = kPieces;
      int64_t last = 0;
      for (size_t i = 0; i < parts_.size(); ++i) {
        parts_[i] = {};
        if (!choice.Active(i)) continue;
        const uint32_t pieces = kPieces / workers;
        left -= pieces;
        parts_[i].begin = begin;
        parts_[i].pieces = pieces;
        parts_[i].end = begin + pieces * kPiece;
        helped_ += parts_[i].end - begin;
        if (crowd.period > 0 && i == crowd.victim && helped_ >= crowd.period) {
          helped_ = 0;
          parts_[i].end += crowd.away;
        }
        last = std::max(last, parts_[i].end);
      }
      loop.own_pieces = left;
      loop.own_end = begin + left * kPiece;
      loop.end = std::max(loop.own_end, last);
      now = loop.end;
      cpu_time += left * kPiece;
      choice.Learn(loop, parts_.data());
    }
    return static_cast<double>(loops) / static_cast<double>(duration) * 1e9;
  }

  HelperChoice choice;
  int64_t now = 5;

 private:
  std::vector<HelperChoice::Part> parts_;
  int64_t helped_ = 0;
};

constexpr double kAlone = 1e9 / (kPieces * kPiece);

TEST(HelperChoiceTest, AnIdleMachineUsesAll) {
  Machine machine(1);
  EXPECT_GT(machine.Run(kSecond, {}), 1.99 * kAlone);
  // Interruptions as there always are.
  EXPECT_GT(machine.Run(kSecond, {.period = 50 * kMillisecond,
                                  .away = 4 * kMillisecond}),
            1.7 * kAlone);
  EXPECT_EQ(machine.choice.active(), 1u);
}

TEST(HelperChoiceTest, AHelperThatIsTakenAwayRests) {
  Machine machine(1);
  const Machine::Crowd crowd = {.period = 3 * kMillisecond,
                                .away = 12 * kMillisecond};
  machine.Run(kSecond / 10, crowd);
  EXPECT_GT(machine.Run(10 * kSecond, crowd), 0.95 * kAlone);
  // And comes back when the others have left.
  machine.Run(kSecond, {});
  EXPECT_GT(machine.Run(kSecond, {}), 1.9 * kAlone);
}

TEST(HelperChoiceTest, WaitingCostsLittleWhereTheCallerHasLittle) {
  Machine machine(1);
  const Machine::Crowd crowd = {
      .period = 3 * kMillisecond, .away = 4 * kMillisecond, .share = 0.4};
  machine.Run(kSecond, crowd);
  EXPECT_GT(machine.Run(10 * kSecond, crowd), 0.4 * kAlone);
}

TEST(HelperChoiceTest, OnlyTheOneThatIsTakenAwayRests) {
  Machine machine(3);
  const Machine::Crowd crowd = {
      .period = 3 * kMillisecond, .away = 12 * kMillisecond, .victim = 1};
  machine.Run(kSecond / 5, crowd);
  EXPECT_FALSE(machine.choice.Active(1));
  EXPECT_TRUE(machine.choice.Active(0));
  EXPECT_TRUE(machine.choice.Active(2));
}

TEST(HelperChoiceTest, HelpersInTheWayRest) {
  HelperChoice choice(1);
  int64_t now = 0;
  for (int i = 0; i < 100 && choice.active() > 0; ++i) {
    choice.Begin(now, &CpuTime);
    HelperChoice::Part part;
    part.in_the_way = true;
    choice.Learn({now, now + kPieces * kPiece, now + kPieces * kPiece, kPieces},
                 &part);
    now += kPieces * kPiece;
  }
  EXPECT_EQ(choice.active(), 0u);
}

}  // namespace
}  // namespace lutra
