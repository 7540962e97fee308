#ifndef LUTRA_PACKER_LATTICE_GROUP_VALUES_H_
#define LUTRA_PACKER_LATTICE_GROUP_VALUES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lutra::packer {

// The different values of a group of weights: on a grid of so many levels there
// are no more. Zeros of either sign are one.
class GroupValues {
 public:
  static constexpr size_t kMost = 256;

  // False if there are more than `most`, or if one is not finite. `places`,
  // unless it is nullptr, gets the index of each weight's value.
  bool Collect(std::span<const float> weights, size_t most, uint8_t* places);

  size_t size() const { return size_; }
  float operator[](size_t i) const { return values_[i]; }

 private:
  size_t size_ = 0;
  std::array<float, kMost> values_;
  // Of the hash table: 1 + index of a value. Empty between calls.
  static constexpr int kSlotBits = 10;
  std::array<uint16_t, size_t{1} << kSlotBits> slots_ = {};
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_GROUP_VALUES_H_
