#ifndef LUTRA_TESTS_QAT_RANDOM_VALUES_H_
#define LUTRA_TESTS_QAT_RANDOM_VALUES_H_

#include <cstddef>
#include <random>
#include <vector>

namespace lutra::qat {

inline std::vector<float> RandomValues(size_t size, uint32_t seed,
                                       float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_QAT_RANDOM_VALUES_H_
