/* utf8proc's tables would be two thirds of the module's data, and as they lie
 * they cannot be compressed well. Each column of theirs travels as its
 * differences instead. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A column is `count` numbers of 16 bits, one in each `stride` bytes. A 0 is
 * UINT16_MAX, with which utf8proc says that there is nothing, and does not
 * count for the next difference. Others are one more than a difference, whose
 * sign is its lowest bit. Where most of them are small, a number has seven bits
 * in each byte, the lowest first, and the highest bit set where more follow;
 * else (`wide`) it has two bytes, all low ones before all high ones. */
static inline void UnpackColumn(const uint8_t* packed, int wide, size_t count,
                                size_t stride, void* column) {
  const uint8_t* next = packed;
  uint16_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t code = 0;
    if (wide) {
      code = packed[i] | (uint32_t)packed[count + i] << 8;
    } else {
      unsigned bits = 0;
      do {
        code |= (*next & 0x7Fu) << bits;
        bits += 7;
      } while (*next++ & 0x80u);
    }
    uint16_t value = UINT16_MAX;
    if (code != 0) {
      const uint32_t difference = (code - 1) >> 1;
      last = (uint16_t)(last + ((code - 1) & 1 ? ~difference : difference));
      value = last;
    }
    memcpy((char*)column + i * stride, &value, sizeof(value));
  }
}
