#ifndef LUTRA_QAT_GRIDS_FLOAT_QUANTIZER_H_
#define LUTRA_QAT_GRIDS_FLOAT_QUANTIZER_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "qat/grids/small_float.h"

namespace lutra::qat {

// The quantizers whose levels are a scale times small floats.
struct FloatGrid {
  std::string_view name;
  SmallFloat type;
  bool mx;                 // scales as Microscaling Formats have them
  std::string_view finer;  // of mx: the quantizer of any scale

  // Of values up to `largest`.
  float ScaleFor(float largest) const {
    const float least = std::numeric_limits<float>::min();
    if (largest < least) return least;
    if (!mx) return std::max(largest / type.largest, least);
    const int exponent = std::ilogb(largest) - type.GreatestExponent();
    return std::max(std::ldexp(1.0f, exponent), least);
  }
};

inline constexpr FloatGrid kFloatGrids[] = {
    {"fp6e2m3", kE2M3, false, ""},
    {"fp6e3m2", kE3M2, false, ""},
    {"fp8e4m3", kE4M3, false, ""},
    {"fp8e5m2", kE5M2, false, ""},
    {"mxfp4", kE2M1, true, "fp4"},
    {"mxfp6e2m3", kE2M3, true, "fp6e2m3"},
    {"mxfp6e3m2", kE3M2, true, "fp6e3m2"},
    {"mxfp8e4m3", kE4M3, true, "fp8e4m3"},
    {"mxfp8e5m2", kE5M2, true, "fp8e5m2"},
    {"mxint8", kE1M6, true, "intx"},
};

// nullptr for any other name.
constexpr const FloatGrid* FindFloatGrid(std::string_view name) {
  for (const FloatGrid& grid : kFloatGrids) {
    if (grid.name == name) return &grid;
  }
  return nullptr;
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_FLOAT_QUANTIZER_H_
