#include "kernels/threads/thread_team.h"

#include <time.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>

#include "kernels/threads/atomic_wait.h"
#include "kernels/threads/spin.h"
#include "lutra/kernels/thread_team.h"

namespace lutra {
namespace {

// No piece can be taken of a range with this many taken.
constexpr uint32_t kClosed = UINT32_MAX;

constexpr uint64_t Ticket(uint32_t number, uint32_t piece) {
  return uint64_t{number} << 32 | piece;
}
constexpr uint32_t NumberOf(uint64_t ticket) {
  return static_cast<uint32_t>(ticket >> 32);
}
constexpr uint32_t PieceOf(uint64_t ticket) {
  return static_cast<uint32_t>(ticket);
}

// How long a helper looks for the next loop before it sleeps: the operators of
// a call follow each other within some microseconds, calls that generate text
// within some ten.
constexpr std::chrono::microseconds kIdleSpin{100};
// How long the caller looks at a piece in progress before it sleeps. Waking
// costs about as much.
constexpr std::chrono::microseconds kWaitSpin{50};

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// How long this thread has run.
int64_t ThreadTime() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
#endif
  return Now();  // as if it ran always
}

// The CPU that this thread is on; -1 where the system does not tell.
int CurrentCpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(size_t threads)
    : helper_count_(threads - 1),
      helpers_(new Helper[helper_count_]),
      choice_(helper_count_),
      parts_(helper_count_),
      ranges_(new Range[threads]) {
  Close(0);
  for (size_t i = 0; i < helper_count_; ++i) {
    try {
      helpers_[i].thread =
          std::thread([this, i] { Help(helpers_[i], parts_[i]); });
    } catch (const std::system_error& error) {
      Stop();
      throw std::runtime_error("threads: cannot start " +
                               std::to_string(threads) +
                               " threads: " + error.code().message());
    } catch (...) {  // there is no memory for it
      Stop();
      throw;
    }
  }
  // What threads allocate to begin with is then behind them: loops allocate
  // nothing.
  for (size_t started = 0; started < helper_count_; started = started_) {
    WaitWhile(started_, started);
  }
}

ThreadTeam::~ThreadTeam() { Stop(); }

void ThreadTeam::Stop() {
  stopping_ = true;
  for (size_t i = 0; i < helper_count_; ++i) {
    Helper& helper = helpers_[i];
    if (!helper.thread.joinable()) return;  // and none after it
    Wake(helper);
    helper.thread.join();
  }
}

void ThreadTeam::Run(size_t tasks, Task task, void* context) noexcept {
  const auto run_alone = [=] {
    for (size_t i = 0; i < tasks; ++i) task(context, i);
  };
  if (tasks <= 1 || tasks >= kClosed ||
      busy_.exchange(true, std::memory_order_acquire)) {
    return run_alone();
  }
  HelperChoice::Loop loop;
  loop.begin = Now();
  choice_.Begin(loop.begin, &ThreadTime);
  if (choice_.active() == 0) {
    run_alone();
    choice_.LearnAlone(loop.begin, Now(), &ThreadTime);
  } else {
    const auto count = static_cast<uint32_t>(tasks);
    const uint32_t number = Open(count, task, context);
    loop.own_pieces = TakePieces(number, 0);
    loop.own_end = Now();
    loop.end = WaitForPieces(count - loop.own_pieces) ? Now() : loop.own_end;
    Close(number);
    for (size_t i = 0; i < helper_count_; ++i) {
      parts_[i].in_the_way =
          helpers_[i].in_the_way.exchange(false, std::memory_order_relaxed);
    }
    choice_.Learn(loop, parts_.data());
    for (size_t i = 0; i < helper_count_; ++i) {
      if (!choice_.Active(i)) helpers_[i].wanted = false;
    }
  }
  busy_.store(false, std::memory_order_release);
}

uint32_t ThreadTeam::Open(uint32_t tasks, Task task, void* context) {
  // Written while all ranges are closed: a helper that still looks at the loop
  // before reads any of it in vain, as it takes a piece by its ticket.
  const uint32_t number = number_ + 1;
  const size_t count = std::min<size_t>(choice_.active() + 1, tasks);
  task_.store(task, std::memory_order_release);
  context_.store(context, std::memory_order_release);
  finished_.store(0, std::memory_order_relaxed);
  callers_cpu_.store(CurrentCpu(), std::memory_order_relaxed);
  range_count_.store(count, std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<uint32_t>(uint64_t{tasks} * i / count);
    const auto end = static_cast<uint32_t>(uint64_t{tasks} * (i + 1) / count);
    ranges_[i].end.store(end, std::memory_order_release);
    ranges_[i].ticket.store(Ticket(number, begin), std::memory_order_release);
  }
  size_t range = 0;  // the caller's
  for (size_t i = 0; i < helper_count_; ++i) {
    parts_[i] = {};
    if (!choice_.Active(i)) continue;
    range = range + 1 < count ? range + 1 : 0;
    helpers_[i].range.store(range, std::memory_order_relaxed);
    helpers_[i].wanted = true;
  }
  number_ = number;
  size_t needed = count - 1;
  for (size_t i = 0; i < helper_count_ && needed > 0; ++i) {
    Helper& helper = helpers_[i];
    if (!choice_.Active(i)) continue;
    --needed;
    if (helper.signal != kAsleep) continue;
    const int64_t begin = Now();
    Wake(helper);
    // The helper does not write this member.
    parts_[i].wake = Now() - begin;
  }
  return number;
}

void ThreadTeam::Close(uint32_t number) {
  for (size_t i = 0; i <= helper_count_; ++i) {
    ranges_[i].ticket.store(Ticket(number, kClosed), std::memory_order_relaxed);
  }
}

void ThreadTeam::Wake(Helper& helper) {
  helper.signal = kAwake;
  WakeOne(helper.signal);
}

void ThreadTeam::Help(Helper& self, HelperChoice::Part& part) {
  ++started_;
  WakeOne(started_);
  uint32_t seen = 0;
  bool may_spin = true;
  while (true) {
    seen = WaitForLoop(self, seen, may_spin);
    if (stopping_) return;
    // On the caller's CPU it only keeps the caller from working.
    const int cpu = CurrentCpu();
    may_spin = cpu < 0 || cpu != callers_cpu_.load(std::memory_order_relaxed);
    if (!may_spin) {
      self.in_the_way.store(true, std::memory_order_relaxed);
      continue;
    }
    const int64_t begin = Now();
    const uint32_t taken = TakePieces(seen, self.range);
    if (taken == 0) continue;
    part.begin = begin;
    part.end = Now();
    part.pieces = taken;
    finished_.fetch_add(taken, std::memory_order_release);
    WakeOne(finished_);
  }
}

uint32_t ThreadTeam::WaitForLoop(Helper& self, uint32_t seen, bool may_spin) {
  uint32_t number = seen;
  const auto arrived = [&] {
    number = number_;
    return (number != seen && self.wanted) || stopping_;
  };
  const auto enough = [&] { return arrived() || !self.wanted; };
  if (may_spin && SpinUntil(kIdleSpin, enough) && arrived()) return number;
  while (true) {
    // The caller opens a loop before it looks who sleeps.
    self.signal = kAsleep;
    if (arrived()) break;
    WaitWhile(self.signal, kAsleep);
    if (arrived()) break;
  }
  self.signal = kAwake;
  return number;
}

uint32_t ThreadTeam::TakePieces(uint32_t number, size_t range) {
  uint32_t taken = 0;
  const size_t count = range_count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    if (range >= count) range = 0;
    taken += TakePiecesOf(ranges_[range++], number);
  }
  return taken;
}

uint32_t ThreadTeam::TakePiecesOf(Range& range, uint32_t number) {
  uint32_t taken = 0;
  uint64_t ticket = range.ticket.load(std::memory_order_acquire);
  while (NumberOf(ticket) == number) {
    const uint32_t piece = PieceOf(ticket);
    const Task task = task_.load(std::memory_order_acquire);
    void* const context = context_.load(std::memory_order_acquire);
    if (piece >= range.end.load(std::memory_order_acquire)) break;
    if (!range.ticket.compare_exchange_weak(ticket, ticket + 1,
                                            std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      continue;
    }
    task(context, piece);
    ++taken;
    ticket = range.ticket.load(std::memory_order_acquire);
  }
  return taken;
}

bool ThreadTeam::WaitForPieces(uint32_t count) {
  uint32_t finished = 0;
  const auto all = [&] {
    finished = finished_.load(std::memory_order_acquire);
    return finished == count;
  };
  if (all()) return false;
  if (SpinUntil(kWaitSpin, all)) return true;
  while (!all()) WaitWhile(finished_, finished);
  return true;
}

std::unique_ptr<Executor> StartThreadTeam(size_t threads) {
  if (threads <= 1) return nullptr;
  return std::make_unique<ThreadTeam>(threads);
}

}  // namespace lutra
