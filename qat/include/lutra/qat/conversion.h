#ifndef LUTRA_QAT_CONVERSION_H_
#define LUTRA_QAT_CONVERSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lutra/qat/quantizer.h"

// From weights to the form the kernels use: an index per weight, a table, and a
// scale per group of columns.

namespace lutra::qat {

//   w[n][k] = scales[n][k / group_size] * table[indices[n][k]]
struct LutForm {
  int bits = 0;                  // of an index: the table has 2^bits entries
  std::vector<uint8_t> indices;  // [n, k]
  std::vector<float> scales;     // [n, ceil(k / group_size)]
  std::vector<int8_t> table;     // [2^bits], one for the tensor
};

// Why weights do not lie on a grid.
struct GridMismatch {
  size_t row = 0;
  size_t column = 0;
  size_t group = 0;    // of columns
  float value = 0.0f;  // the offending weight
  std::string cause;   // e.g. "is not a number"

  // "row 3, column 17 (group 0): 0.25 is ..."
  std::string ToString() const;
};

// Post-training quantization of w [n, k]: every group of `group_size` columns
// (0: the whole row; the last one may be short) is quantized by itself. The
// weights of the result are the quantizer's, bit for bit, unless a scale is so
// small that it is not a normal float.
//
// Throws lutra::Error for weights that are not finite, and for quantizers and
// bits without a table (LSBQ, centred, asymmetric and more than 4 bits).
LutForm QuantizeToLut(const float* w, size_t n, size_t k,
                      const Quantizer& quantizer, int bits, int64_t group_size);

// Proves that w lies on grids of the quantizer, and writes it in terms of them
// without loss: every float32 product scale * table entry equals its weight bit
// for bit (zeros of either sign count as equal). If it does not, returns
// nullopt and tells in `why` (may be nullptr) which weight is off.
//
// Throws lutra::Error for quantizers and bits without a table.
std::optional<LutForm> MatchGrid(const float* w, size_t n, size_t k,
                                 const Quantizer& quantizer, int bits,
                                 int64_t group_size, GridMismatch* why);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_CONVERSION_H_
