#ifndef LUTRA_TESTS_ROUNDS_H_
#define LUTRA_TESTS_ROUNDS_H_

#include <algorithm>
#include <cstdlib>

namespace lutra {

// The environment variable LUTRA_TEST_DIVISOR: of how many cases a test takes
// one, where an emulator or sanitizers make it slow.
inline int TestDivisor() {
  const char* divisor = std::getenv("LUTRA_TEST_DIVISOR");
  return divisor == nullptr ? 1 : std::max(1, std::atoi(divisor));
}

// How often a test draws something at random: `full`, divided.
inline int Rounds(int full) { return std::max(1, full / TestDivisor()); }

}  // namespace lutra

#endif  // LUTRA_TESTS_ROUNDS_H_
