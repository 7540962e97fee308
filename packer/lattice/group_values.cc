#include "packer/lattice/group_values.h"

#include <bit>

namespace lutra::packer {

bool GroupValues::Collect(std::span<const float> weights, size_t most,
                          uint8_t* places) {
  constexpr uint32_t kInfinity = 0x7F800000;
  constexpr uint32_t kMagnitude = 0x7FFFFFFF;
  // Open addressing with so many slots that two values seldom want the same
  // one. Whether a value is new is no branch: nothing could foretell it.
  std::array<uint32_t, kMost + 2> keys;  // from 1 on
  std::array<uint16_t, kMost + 2> slots_taken;
  size_t size = 0;
  size_t i = 0;
  for (; i < weights.size() && size <= most; ++i) {
    uint32_t key = std::bit_cast<uint32_t>(weights[i]);
    if ((key & kMagnitude) == 0) key = 0;
    size_t slot = (key * 0x9E3779B1u) >> (32 - kSlotBits);
    keys[size + 1] = key;
    size_t place;
    for (;; slot = (slot + 1) % slots_.size()) {
      const size_t there = slots_[slot];
      // All ones where the slot is empty.
      const size_t fresh = size_t{0} - (there == 0 ? size_t{1} : size_t{0});
      place = there | (fresh & (size + 1));
      if (keys[place] == key) break;
    }
    slots_[slot] = static_cast<uint16_t>(place);
    slots_taken[place] = static_cast<uint16_t>(slot);
    size += place > size ? size_t{1} : size_t{0};
    if (places != nullptr) places[i] = static_cast<uint8_t>(place - 1);
  }
  for (size_t value = 1; value <= size; ++value) {
    slots_[slots_taken[value]] = 0;
  }
  if (size > most) return false;
  size_ = size;
  bool finite = true;
  for (size_t value = 0; value < size; ++value) {
    values_[value] = std::bit_cast<float>(keys[value + 1]);
    finite = finite && (keys[value + 1] & kInfinity) != kInfinity;
  }
  return finite;
}

}  // namespace lutra::packer
