#ifndef LUTRA_QAT_CONVERSION_H_
#define LUTRA_QAT_CONVERSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/affine.h"
#include "lutra/qat/quantizer.h"
#include "lutra/runtime/safetensors.h"

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

// Integers with a scale and a zero point per group, as torchao stores weights:
//   w[n][k] = (data[n][k] - zero_points[n][g]) * scales[n][g]
struct IntegerForm {
  int bits = 0;
  size_t n = 0;
  size_t k = 0;
  size_t group_size = 0;           // columns of a full group
  std::vector<int8_t> data;        // [n, k], in SignedBounds(bits)
  std::vector<float> scales;       // [n, ceil(k / group_size)]
  std::vector<float> zero_points;  // likewise; -1/2 for stretched weights

  size_t GroupsPerRow() const {
    return k == 0 ? 0 : (k + group_size - 1) / group_size;
  }
};

// Quantizes w [n, k] in groups of `group_size` columns (0: the row), 1 to 8
// bits. Upstream converts stretched weights with the machine epsilon 2^-23 as
// `eps` though it trains with 2^-126, so that small weights change; the default
// here is that of training. Throws lutra::Error for weights that are not finite
// and for bits or group sizes that are impossible.
IntegerForm ConvertStretched(const float* w, size_t n, size_t k, int bits,
                             int64_t group_size, float eps = kTinyScale);
IntegerForm ConvertAffine(const float* w, size_t n, size_t k, int bits,
                          int64_t group_size, AffineMapping mapping,
                          float eps = kTinyScale);

// [n, k].
std::vector<float> Dequantize(const IntegerForm& form);

// The same weights with a table: {2k + 1} and half the scale, as ZeroIfTiny
// has it, for zero points of -1/2, {k} for zero points of 0. Throws
// lutra::Error for other zero points and levels that are no int8 (stretched
// ones of 8 bits).
LutForm ToLutForm(const IntegerForm& form);

// [n, k]; `group_size` as it was quantized with.
std::vector<float> Dequantize(const LutForm& form, size_t n, size_t k,
                              int64_t group_size);

// Post-training quantization of w [n, k]: every group of `group_size` columns
// (0: the whole row; the last one may be short) is quantized by itself. The
// weights of the result are the quantizer's, bit for bit, but for groups whose
// scale ZeroIfTiny makes 0.
//
// Throws lutra::Error for weights that are not finite, and for quantizers and
// bits without a table (LSBQ, centred, asymmetric, stretched of 8 bits).
LutForm QuantizeToLut(const float* w, size_t n, size_t k,
                      const Quantizer& quantizer, int bits, int64_t group_size);

// How many of `thresholds`, which ascend, are less than each of x [n]: the
// level of a value between the borders of levels. At most 255 thresholds; fast
// for 16 and fewer.
void CountBelow(const float* x, size_t n, Span<const float> thresholds,
                uint8_t* counts);

// Proves that w lies on grids of the quantizer, and writes it in terms of them
// without loss: every float32 product scale * table entry equals its weight bit
// for bit (zeros of either sign count as equal; scales may be subnormal). If it
// does not, returns nullopt and tells in `why` (may be nullptr) which weight is
// off.
//
// Throws lutra::Error for quantizers and bits without a table.
std::optional<LutForm> MatchGrid(const float* w, size_t n, size_t k,
                                 const Quantizer& quantizer, int bits,
                                 int64_t group_size, GridMismatch* why);

// Weights as 8-bit floats, for quantizers of floats that fit no table of int8
// (MakeFloatQuantizer). Kernels do not multiply these; a model file stores
// them, and whoever loads it has float32.
//   w[n][k] = scales[n][k / group_size] * float(codes[n][k])
struct FloatForm {
  DType dtype = DType::kFloat8E4M3;
  std::vector<uint8_t> codes;  // [n, k]
  std::vector<float> scales;   // [n, ceil(k / group_size)]
};
// The type whose floats include those of the quantizer; nullopt for quantizers
// that are packed.
std::optional<DType> FloatStorage(std::string_view quantizer);
// As MatchGrid; throws lutra::Error for quantizers without a FloatStorage.
std::optional<FloatForm> MatchFloats(const float* w, size_t n, size_t k,
                                     std::string_view quantizer,
                                     int64_t group_size, GridMismatch* why);

// Weights with a table per row, for grids that are no multiple of one table:
//   w[n][k] ~ scales[n] * tables[n][indices[n][k]]
struct RowTableForm {
  int bits = 0;
  std::vector<uint8_t> indices;  // [n, k]
  std::vector<float> scales;     // [n]: ZeroIfTiny(the largest magnitude / 127)
  std::vector<int8_t> tables;    // [n, 2^bits], ascending
  // What rounding the levels to int8 costs.
  double largest_error = 0.0;  // of a weight, in units of its row's largest one
  double squared_error = 0.0;  // over all weights
  double squared_sum = 0.0;    // of the weights themselves
};

// Expresses w [n, k] by the grids [n, levels] it was trained with (one per row;
// a grid per block of a row fits no table per row). Weights that lie between
// levels go to the nearest, which counts as error, too. Throws lutra::Error for
// numbers that are not finite and for more than 16 levels.
RowTableForm ToRowTables(const float* w, size_t n, size_t k, const float* grids,
                         size_t levels);

// Post-training quantization with one grid per row, by any quantizer.
RowTableForm QuantizeToRowTables(const float* w, size_t n, size_t k,
                                 const Quantizer& quantizer, int bits);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_CONVERSION_H_
