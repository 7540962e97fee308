#include "kernels/threads/helper_choice.h"

#include <algorithm>

namespace lutra {
namespace {

constexpr double kMillisecond = 1e6;

// What an account may hold: enough for a few interruptions by whatever an idle
// machine does now and then, little enough to notice a busy one within some
// ten milliseconds.
constexpr double kMostBalance = 10 * kMillisecond;
constexpr double kLeastBalance = -0.5 * kMillisecond;
// A trial of a helper may cost this share of the time.
constexpr double kTrialShare = 0.025;
constexpr double kLeastRest = 15 * kMillisecond;
constexpr double kMostRest = 4000 * kMillisecond;
// Threads that are taken away are away for longer than this.
constexpr double kAway = 0.5 * kMillisecond;
// To come in the way costs the caller two changes of threads.
constexpr double kInTheWay = 0.02 * kMillisecond;

// Times over which the team, and the caller alone, are measured.
constexpr double kTeamWindow = 20 * kMillisecond;
constexpr double kAloneWindow = 10 * kMillisecond;
// How long the latter is worth something.
constexpr double kAloneAge = 1000 * kMillisecond;
// Nobody is faster alone than a CPU of its own: teams above need no comparison.
constexpr double kClearlyFaster = 1.1;

}  // namespace

HelperChoice::HelperChoice(size_t helpers)
    : accounts_(helpers), active_(helpers) {}

void HelperChoice::Begin(int64_t now, int64_t (*cpu_time)()) {
  if (active_ == accounts_.size()) return;
  for (Account& account : accounts_) {
    if (account.active || now < account.rests_until) continue;
    account.active = true;
    account.balance = 0;
    ++active_;
    work_ = 0;
    elapsed_ = 0;
  }
  if (active_ > 0) {
    measures_alone_ = false;
  } else if (!measures_alone_) {
    measures_alone_ = true;
    alone_begin_ = now;
    alone_cpu_ = cpu_time();
    alone_loops_ = 0;
  }
}

void HelperChoice::Rest(Account& account, int64_t now, double cost) {
  if (!account.active) return;
  account.active = false;
  --active_;
  const auto resting = static_cast<double>(accounts_.size() - active_);
  account.rests_until =
      now + static_cast<int64_t>(std::clamp(cost * resting / kTrialShare,
                                            kLeastRest, kMostRest));
}

void HelperChoice::RestAll(int64_t now, double cost) {
  // All are tried together, as they are here.
  cost /= static_cast<double>(accounts_.size());
  for (Account& account : accounts_) Rest(account, now, cost);
}

void HelperChoice::Learn(const Loop& loop, const Part* parts) {
  // The time of a piece for whoever was fastest: that of one who was away tells
  // nothing.
  double piece = 0;
  size_t workers = 0;
  const auto look_at = [&](double time, uint32_t pieces) {
    if (pieces == 0) return;
    ++workers;
    const double mean = time / pieces;
    piece = workers == 1 ? mean : std::min(piece, mean);
  };
  double own_time = static_cast<double>(loop.own_end - loop.begin);
  for (size_t i = 0; i < accounts_.size(); ++i) {
    own_time -= static_cast<double>(parts[i].wake);
    look_at(static_cast<double>(parts[i].end - parts[i].begin),
            parts[i].pieces);
  }
  look_at(own_time, loop.own_pieces);
  const auto work = [piece](double time, uint32_t pieces) {
    const double expected = piece * pieces;
    return time > expected + kAway ? expected : time;
  };
  work_ += work(own_time, loop.own_pieces);
  elapsed_ += static_cast<double>(loop.end - loop.begin);
  for (size_t i = 0; i < accounts_.size(); ++i) {
    Account& account = accounts_[i];
    const Part& part = parts[i];
    if (!account.active) continue;
    double lost = static_cast<double>(part.wake);
    if (part.in_the_way) lost += kInTheWay;
    if (part.pieces > 0) {
      const double done =
          work(static_cast<double>(part.end - part.begin), part.pieces);
      work_ += done;
      // The others would have shared it.
      account.balance +=
          done / static_cast<double>(std::max<size_t>(1, workers - 1));
      lost +=
          static_cast<double>(std::max<int64_t>(0, part.end - loop.own_end));
    }
    // What the caller would have done in that time.
    account.balance = std::min(account.balance - lost * alone_, kMostBalance);
    if (account.balance < kLeastBalance) {
      Rest(account, loop.end, -account.balance);
    }
  }
  if (elapsed_ >= kTeamWindow) CompareWithAlone(loop.end);
}

void HelperChoice::CompareWithAlone(int64_t now) {
  const double speed = work_ / elapsed_;
  const double elapsed = elapsed_;
  work_ = 0;
  elapsed_ = 0;
  if (speed > kClearlyFaster || active_ == 0) return;
  if (alone_at_ == INT64_MIN ||
      static_cast<double>(now - alone_at_) > kAloneAge) {
    RestAll(now, 0);  // for as long as it takes to measure
  } else if (speed < alone_) {
    RestAll(now, elapsed * (1 - speed / alone_));
  }
}

void HelperChoice::LearnAlone(int64_t begin, int64_t end,
                              int64_t (*cpu_time)()) {
  alone_loops_ += end - begin;
  const auto elapsed = static_cast<double>(end - alone_begin_);
  if (elapsed < kAloneWindow) return;
  // A caller that sleeps between its loops does so by its own will.
  if (static_cast<double>(alone_loops_) > elapsed / 2) {
    const auto share = static_cast<double>(cpu_time() - alone_cpu_) / elapsed;
    alone_ = std::clamp(share, 0.01, 1.0);
    alone_at_ = end;
  }
  measures_alone_ = false;
}

}  // namespace lutra
