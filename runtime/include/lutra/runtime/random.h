#ifndef LUTRA_RUNTIME_RANDOM_H_
#define LUTRA_RUNTIME_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lutra {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", 2014): the same sequence on every machine and compiler, which
// the distributions of the standard library do not promise.
class Random {
 public:
  // Generators of one seed with different streams are independent.
  explicit Random(uint64_t seed, uint64_t stream = 0)
      : state_(seed ^ Mix(stream)) {}

  uint64_t Next() { return Mix(state_ += 0x9E3779B97F4A7C15u); }
  // In [0, limit), 0 < limit <= 2^32, by the multiplication method; its bias is
  // at most limit / 2^32.
  size_t Below(size_t limit) {
    return static_cast<size_t>((Next() >> 32) * limit >> 32);
  }
  // In [-1, 1), a multiple of 2^-23.
  float Symmetric() {
    return static_cast<float>(Next() >> 40) * 0x1p-23f - 1.0f;
  }
  // In [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

// Fisher and Yates' shuffle.
template <typename T>
void Shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.Below(i)]);
  }
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_RANDOM_H_
