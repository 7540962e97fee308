#ifndef LUTRA_PACKER_ENCODE_VALUE_TEXT_H_
#define LUTRA_PACKER_ENCODE_VALUE_TEXT_H_

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <sstream>
#include <string>

#include "lutra/runtime/error.h"

// How errors speak of a value of a weight.

namespace lutra::packer {

// Text that reads back as the same float.
inline std::string ToText(float value) {
  std::ostringstream text;
  text.precision(std::numeric_limits<float>::max_digits10);
  text << value;
  return text.str();
}

inline std::string At(size_t row, size_t column) {
  return "row " + std::to_string(row) + ", column " + std::to_string(column);
}

// Of rows w [*, k], the first of which is `row`. Throws Error.
inline void CheckFinite(std::span<const float> w, size_t row, size_t k) {
  for (size_t i = 0; i < w.size(); ++i) {
    if (std::isfinite(w[i])) continue;
    throw Error("the value at " + At(row + i / k, i % k) + " is " +
                ToText(w[i]));
  }
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_VALUE_TEXT_H_
