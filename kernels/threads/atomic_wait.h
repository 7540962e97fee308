#ifndef LUTRA_KERNELS_THREADS_ATOMIC_WAIT_H_
#define LUTRA_KERNELS_THREADS_ATOMIC_WAIT_H_

#include <atomic>

#if defined(_WIN32)
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <windows.h>
#endif

namespace lutra {

// std::atomic's wait and notify_one, but for Windows, where libstdc++ 12 loses
// notifications: its waiters look at the value before they take the lock that
// those who notify do not take.
template <typename T>
void WaitWhile(const std::atomic<T>& value,
               typename std::atomic<T>::value_type old) noexcept {
#if defined(_WIN32)
  while (value.load() == old) {
    ::WaitOnAddress(const_cast<std::atomic<T>*>(&value), &old, sizeof(T),
                    INFINITE);
  }
#else
  value.wait(old);
#endif
}

// Wakes one thread that waits for the value to change.
template <typename T>
void WakeOne(std::atomic<T>& value) noexcept {
#if defined(_WIN32)
  ::WakeByAddressSingle(&value);
#else
  value.notify_one();
#endif
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_THREADS_ATOMIC_WAIT_H_
