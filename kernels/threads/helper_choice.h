#ifndef LUTRA_KERNELS_THREADS_HELPER_CHOICE_H_
#define LUTRA_KERNELS_THREADS_HELPER_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutra {

// Which helpers of a team take part, by what has been measured. On a machine
// that does other things too, the system takes threads away for milliseconds; a
// loop then waits for the piece that such a helper was in, and does so again
// and again, so that two threads can be ten times slower than one.
//
// Each helper has an account: the work it does is paid in, what it makes the
// caller wait is paid out. One that has overdrawn it rests, for so long that
// trying it again costs some percent. A helper can also harm by pushing other
// programs to the caller's CPU, which no account shows; so the work of all
// threads per second is compared with that of the caller alone.
//
// Times are nanoseconds of any steady clock. Used by one thread at a time.
class HelperChoice {
 public:
  explicit HelperChoice(size_t helpers);

  // What a helper did in a loop. Helpers write theirs at the same time.
  struct alignas(64) Part {
    int64_t begin = 0;
    int64_t end = 0;
    uint32_t pieces = 0;
    // It came to the CPU that the caller was on, and left again.
    bool in_the_way = false;
    int64_t wake = 0;  // what it took the caller to wake it
  };
  // The caller's part: `end` is when all pieces were finished, `own_end` when
  // there was none left to take.
  struct Loop {
    int64_t begin = 0;
    int64_t own_end = 0;
    int64_t end = 0;
    uint32_t own_pieces = 0;
  };

  // Before a loop: whose rest is over takes part. cpu_time() is the time that
  // the calling thread has run; it is asked rarely.
  void Begin(int64_t now, int64_t (*cpu_time)());
  bool Active(size_t helper) const { return accounts_[helper].active; }
  size_t active() const { return active_; }

  // After a loop in which helpers were active; parts[i] is of helper i.
  void Learn(const Loop& loop, const Part* parts);
  // After a loop without helpers.
  void LearnAlone(int64_t begin, int64_t end, int64_t (*cpu_time)());

 private:
  struct Account {
    bool active = true;
    double balance = 0;  // nanoseconds of work
    int64_t rests_until = 0;
  };

  void Rest(Account& account, int64_t now, double cost);
  void RestAll(int64_t now, double cost);
  void CompareWithAlone(int64_t now);

  std::vector<Account> accounts_;
  size_t active_;
  // Work done, and time of loops, since the last comparison.
  double work_ = 0;
  double elapsed_ = 0;
  // The share of a CPU that the caller gets when it works alone, and when that
  // was measured.
  double alone_ = 1;
  int64_t alone_at_ = INT64_MIN;
  // The measurement of it that is going on, if any: when it began, what
  // cpu_time() was then, and the time of loops since.
  int64_t alone_begin_ = 0;
  int64_t alone_cpu_ = 0;
  int64_t alone_loops_ = 0;
  bool measures_alone_ = false;
};

}  // namespace lutra

#endif  // LUTRA_KERNELS_THREADS_HELPER_CHOICE_H_
