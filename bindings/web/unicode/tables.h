/* utf8proc's tables would be two thirds of the module's data, and as they lie
 * they cannot be compressed well. Each column of theirs travels as its
 * differences instead, low bytes before high ones. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A column is `count` numbers of 16 bits, one in each `stride` bytes. A 0 is
 * UINT16_MAX, with which utf8proc says that there is nothing, and does not
 * count for the next difference. Others are one more than a difference, whose
 * sign is its lowest bit. */
static inline void UnpackColumn(const uint8_t* packed, size_t count,
                                size_t stride, void* column) {
  uint16_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t code = packed[i] | (uint32_t)packed[count + i] << 8;
    uint16_t value = UINT16_MAX;
    if (code != 0) {
      const uint32_t difference = (code - 1) >> 1;
      last = (uint16_t)(last + ((code - 1) & 1 ? ~difference : difference));
      value = last;
    }
    memcpy((char*)column + i * stride, &value, sizeof(value));
  }
}
