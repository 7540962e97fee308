#ifndef LUTRA_KERNELS_BASE_WORD_HASH_H_
#define LUTRA_KERNELS_BASE_WORD_HASH_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lutra {

// FNV-1a (Fowler, Noll and Vo, 1991) over little-endian words of 8 bytes rather
// than bytes. Notices every change of a single word; no defence against people.
class WordHash {
 public:
  WordHash() = default;
  // Goes on from the value of another.
  explicit WordHash(uint64_t value) : value_(value) {}

  void AddWord(uint64_t word) { value_ = (value_ ^ word) * 0x100000001B3; }
  // An incomplete last word is filled up with zeros.
  void AddBytes(const void* bytes, size_t count) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (size_t i = 0; i < count; i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, at + i,
                  count - i < sizeof(word) ? count - i : sizeof(word));
      AddWord(word);
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_WORD_HASH_H_
