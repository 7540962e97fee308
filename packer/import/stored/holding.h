#ifndef LUTRA_PACKER_IMPORT_STORED_HOLDING_H_
#define LUTRA_PACKER_IMPORT_STORED_HOLDING_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "packer/import/stored/stored_weight.h"

namespace lutra::packer {

// How a stored weight becomes a LUT matrix.
struct Holding {
  kernels::LutFormat format;
  std::vector<int8_t> entries;  // what each code stands for, in units
  float unit = 1;               // the matrix's scale is scale * unit
  float shift = 0;              // of levels: entry * unit = level - shift
  float factor = 1;             // of the matrix's scales, as StoredWeight's
  // The zero point of a group is part of its 8-bit values, which then need no
  // offset.
  bool fold_zero = false;
  // Whether every value is that of the source, bit for bit. Else it is near.
  bool exact = true;

  float Scale(float scale) const { return scale * unit; }
  float Offset(ZeroRule rule, float scale, float zero) const;
  // The table of the matrix: entries, the last one repeated to a power of two.
  std::vector<int8_t> Table() const;
};

// Finds the smallest form that holds every possible value of the weight
// exactly, or else the smallest that is near. Looks at all scales and zero
// points. Throws Error with the bare cause if there is none, or if a scale or
// zero point is not finite.
Holding Hold(const StoredWeight& weight);

// What came of writing a weight.
struct Fidelity {
  double signal = 0;  // sum of squared values
  double noise = 0;   // sum of squared errors
  double max_error = 0;
  // Of a grid found in floats: those without any error.
  size_t groups = 0;
  size_t exact_groups = 0;

  // 10 log10(signal / noise), infinite without noise.
  double SqnrDb() const;
};

// Writes the blob a few rows at a time, the header last, and compares every
// weight with the source's: with the floats that a grid was found in after
// rounding to their type. Throws Error with the bare cause where a holding or a
// grid said to be exact is not.
Fidelity WriteBlob(
    const StoredWeight& weight, const Holding& holding,
    const std::function<void(size_t offset, std::span<const std::byte>)>&
        write);

// Writes the values as float32, a few rows at a time. Throws Error with the
// bare cause for codes that stand for nothing.
void WriteFloats(const StoredWeight& weight,
                 const std::function<void(size_t offset,
                                          std::span<const std::byte>)>& write);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_HOLDING_H_
