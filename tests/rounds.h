#ifndef LUTRA_TESTS_ROUNDS_H_
#define LUTRA_TESTS_ROUNDS_H_

#include <algorithm>
#include <cstdlib>

namespace lutra {

// How often a test draws something at random: `full`, divided by the
// environment variable LUTRA_TEST_DIVISOR where an emulator or sanitizers make
// them slow.
inline int Rounds(int full) {
  const char* divisor = std::getenv("LUTRA_TEST_DIVISOR");
  if (divisor == nullptr) return full;
  return std::max(1, full / std::max(1, std::atoi(divisor)));
}

}  // namespace lutra

#endif  // LUTRA_TESTS_ROUNDS_H_
