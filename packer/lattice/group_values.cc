#include "packer/lattice/group_values.h"

#include <bit>

namespace lutra::packer {

bool GroupValues::Collect(std::span<const float> weights, uint8_t* places) {
  constexpr uint32_t kInfinity = 0x7F800000;
  // Open addressing: at most a quarter of the slots is taken.
  constexpr uint32_t kSlots = 64;
  std::array<uint8_t, kSlots> slots = {};  // 1 + index
  std::array<uint32_t, kMost> keys;
  size_ = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    uint32_t key = std::bit_cast<uint32_t>(weights[i]);
    if ((key & ~0x80000000u) == 0) key = 0;
    uint32_t slot = (key * 0x9E3779B1u) >> 26;
    size_t place;
    for (;; slot = (slot + 1) % kSlots) {
      if (slots[slot] == 0) {
        if (size_ == kMost || (key & kInfinity) == kInfinity) return false;
        place = size_++;
        keys[place] = key;
        counts_[place] = 0;
        values_[place] = std::bit_cast<float>(key);
        slots[slot] = static_cast<uint8_t>(size_);
        break;
      }
      place = slots[slot] - size_t{1};
      if (keys[place] == key) break;
    }
    ++counts_[place];
    if (places != nullptr) places[i] = static_cast<uint8_t>(place);
  }
  return true;
}

}  // namespace lutra::packer
