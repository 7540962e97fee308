#ifndef LUTRA_PACKER_IMPORT_STORED_TWO_LEVELS_H_
#define LUTRA_PACKER_IMPORT_STORED_TWO_LEVELS_H_

#include <bitset>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "lutra/kernels/lut_matrix.h"

// Scales of quantized checkpoints often are products: a small number times one
// of many columns. This finds such numbers again in the scales themselves,
// whatever the format that they come from.

namespace lutra::packer {

// The largest number that every one of `values` is a whole multiple of, exactly
// in float32, by numbers of the type `number` (kInt8 or kUint4), and that
// `super_type` holds. It may be negative. 0 if all are 0; nullopt if there is
// none.
std::optional<float> CommonFactor(std::span<const float> values,
                                  kernels::ScaleType number,
                                  kernels::ScaleType super_type);

// Looks at the scales, and offsets if there are any, of a matrix row by row.
class TwoLevelSearch {
 public:
  // `format`: all but how scales and offsets are stored. `factor`: what all
  // scales were multiplied by, rounded to float32.
  TwoLevelSearch(const kernels::LutFormat& format, bool offsets, float factor);

  void AddRow(std::span<const float> scales, std::span<const float> offsets);

  // The format of two levels that holds all of them exactly, if that is smaller
  // than `one_level`, which holds them, too.
  kernels::LutFormat Smallest(const kernels::LutFormat& one_level) const;

 private:
  struct Form {
    kernels::LutFormat format;
    bool fits = true;
  };

  float factor_;
  std::vector<Form> forms_;
};

// The super scales of a row of scales, or of offsets, that are to be stored as
// `number`; nullopt if the row does not fit.
std::optional<std::vector<float>> SuperNumbers(const kernels::LutFormat& format,
                                               kernels::ScaleType number,
                                               float factor,
                                               std::span<const float> row);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_TWO_LEVELS_H_
