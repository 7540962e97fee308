#ifndef LUTRA_KERNELS_THREADS_SPIN_H_
#define LUTRA_KERNELS_THREADS_SPIN_H_

#include <chrono>

namespace lutra {

// Tells the CPU that the thread only waits, so that one which shares the core
// gets more of it.
inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// Asks done() again and again for about `limit`; returns what it said last.
template <typename Done>
bool SpinUntil(std::chrono::nanoseconds limit, const Done& done) {
  using Clock = std::chrono::steady_clock;
  if (done()) return true;
  const Clock::time_point end = Clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      Pause();
      if (done()) return true;
    }
  } while (Clock::now() < end);
  return false;
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_THREADS_SPIN_H_
