#ifndef LUTRA_QAT_QUANTIZERS_H_
#define LUTRA_QAT_QUANTIZERS_H_

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "lutra/qat/affine.h"
#include "lutra/qat/quantizer.h"

// The quantizers. b = bits, mean and max are taken over the values that share a
// grid, rne rounds to nearest with ties to even, TINY = 2^-126 (the smallest
// normal float). All arithmetic is float32, each operation rounded once.

namespace lutra::qat {

// Stretched uniform: all 2^b levels are used and none of them is zero.
//   M = max(min(b * mean|p|, max|p|), TINY), A = 2^(b-1) - 1/2, s = M / A
//   k = rne(clip(p, -s*A, s*A) / s - 1/2), q = (k + 1/2) * s
// 1 to 8 bits. Name: "stretched".
std::unique_ptr<Quantizer> MakeStretchedQuantizer();

struct UniformOptions {
  enum class Scale { kMean, kMax };  // M = min(b * mean|p|, max|p|) or max|p|
  Scale scale = Scale::kMean;
  double int_shift = 0.5;   // A = 2^(b-1) - int_shift
  double zero_point = 0.5;  // what rounding leaves as fraction
  bool center = false;      // the mean is subtracted first, then added again
};
// Uniform:
//   M = max(M, TINY), s = M / A
//   q = (rne(clip(p, -M, M) / s - zero_point) + zero_point) * s
// with the grid (-A, -A + 1, ..., A) * s. 1 to 8 bits, A > 0. Name: "uniform".
std::unique_ptr<Quantizer> MakeUniformQuantizer(const UniformOptions& options);

// Uniform with scale kMax, int_shift 1, zero_point 0: 2^b - 1 levels around
// zero. 2 to 8 bits. Names: "max-uniform", "absmax"; `name`, which lives for
// ever, is the one in messages.
std::unique_ptr<Quantizer> MakeMaxUniformQuantizer(
    bool center, std::string_view name = "max-uniform");

// Ternary: s = max(max|p|, TINY) / 1.5, q = clip(rne(p / s), -1, 1) * s.
// 0 bits. Name: "ternary".
std::unique_ptr<Quantizer> MakeTernaryQuantizer(bool center);

// Asymmetric uniform: s = max((max - min) / (2^b - 1), TINY), z = rne(min / s),
// q = clip(rne(p / s), z, z + 2^b - 1) * s with the grid (z, ..., z + 2^b - 1)
// * s. 1 to 8 bits. Name: "asymmetric-uniform".
//
// compat: upstream's grid (-2^(b-1), ..., 2^(b-1) - 1) * s, on which q does not
// lie, and no clipping.
std::unique_ptr<Quantizer> MakeAsymmetricUniformQuantizer(bool center,
                                                          bool compat = false);

struct LsbqOptions {
  bool center = false;
  // The best grid of the form instead of the greedy one. Up to 2 bits.
  bool optimal = false;
  double ternary_multiplier = 1.1;
  // What upstream does: q = p - residual, which is ulps off the grid; optimal
  // grids of half the size (ternary, one grid per tensor), that do not ascend
  // (2 bits, per row), or that depend on other rows; an error where no
  // candidate is found.
  bool compat = false;
};
// Least-squares binary quantization: levels +-v_1 +- ... +- v_b.
//   greedy    r = p; repeat b times: v_j = mean|r|, r = r - sign(r) * v_j
//   0 bits    levels -v, 0, v with v = ternary_multiplier * mean|p|
//   optimal   the levels with the smallest sum of (p - q)^2
// 0 to 8 bits. Names: "lsbq" and "lsbq-optimal".
std::unique_ptr<Quantizer> MakeLsbqQuantizer(const LsbqOptions& options);

// The scale that loses least: s minimises the sum of (p - q)^2, where q is the
// level nearest to p, among all s up to max|p| over the last level (there
// nothing is clipped any more). It is found exactly, in double precision, by
// looking at every s at which a value changes its level.
//   "mse"            levels k s, k = -2^(b-1) ... 2^(b-1)-1; 2 to 8 bits, or 0
//                    for -s, 0, s
//   "mse-stretched"  levels (k + 1/2) 2s with the same k; 1 to 8 bits
std::unique_ptr<Quantizer> MakeMseQuantizer(bool stretched);

// The same with the levels 0, +-1/2, 1, 3/2, 2, 3, 4, 6 of 4-bit floats (OCP's
// E2M1), as multiples of s. 4 bits. Name: "fp4".
std::unique_ptr<Quantizer> MakeFloat4Quantizer();

// Levels s times the floats of a few bits of the Open Compute Project
// (Microscaling Formats 1.0, FP8 1.0), values between them to nearest, in the
// middle to the even mantissa:
//   "fp6e2m3", "fp6e3m2"   6 bits, up to 7.5 and 28
//   "fp8e4m3", "fp8e5m2"   8 bits, up to 448 and 57344
// with s = max(max|p| / largest, TINY). The same, "mxfp4" (up to 6) and
// "mxint8" (whole multiples of 2^-6 up to 127/64) as blocks of Microscaling
// Formats have them, names with "mx" in front: s = 2^(e - emax), e = floor(log2
// max|p|), emax that of the largest float; what is beyond it becomes that.
// nullptr for another name.
std::unique_ptr<Quantizer> MakeFloatQuantizer(std::string_view name);
// How many bits the floats of a quantizer have, "fp4" included; nullopt: its
// levels are none.
std::optional<int> FloatBits(std::string_view quantizer);
// Whether it is one with "mx" in front: all scales are powers of two.
bool HasPowersOfTwo(std::string_view quantizer);
// The one with the same levels, or itself, and "mx" in front; nullopt: none.
std::optional<std::string_view> MicroscalingOf(std::string_view quantizer,
                                               int bits);

// Levels o + k s, k = 0 ... 2^b - 1, with a small sum of (p - q)^2: the best of
// several ranges, from which line fits (least squares of o and s for the
// nearest k) and nearest levels take turns. Never worse than the range from the
// minimum to the maximum, but for the rounding to float32. 1 to 8 bits. Name:
// "mse-asymmetric".
std::unique_ptr<Quantizer> MakeMseAsymmetricQuantizer();

struct AffineQuantizerOptions {
  AffineMapping mapping = AffineMapping::kSymmetric;
  float eps = kTinyScale;
};
// Affine with bounds SignedBounds(b) (UnsignedBounds(b) for kFloatZeroPoint):
// q is the dequantized integer, the grid are all of them. 1 to 8 bits, 2 to 8
// for kSymmetricNoClipping. Names: "intx" (symmetric), "intx-no-clipping",
// "intx-asymmetric", "intx-asymmetric-no-zero", and "int4" for kFloatZeroPoint
// with 4 bits and eps 1e-6.
std::unique_ptr<Quantizer> MakeAffineQuantizer(
    const AffineQuantizerOptions& options);

// Whether grids have equal steps and begin anywhere: packed groups then have an
// offset beside their scale.
bool IsAsymmetric(std::string_view quantizer);

// The names that MakeQuantizer knows; small floats come last.
const std::vector<std::string_view>& QuantizerNames();

// The quantizer of that name with default options; "absmax", as most call it,
// is another name of "max-uniform". Throws lutra::Error that suggests the
// nearest name.
std::unique_ptr<Quantizer> MakeQuantizer(std::string_view name);

// Tables that are learned from all weights they serve, together with the scales
// of the groups (packer/learned_tables.h). Schemes name them as they name
// quantizers, but they exist only for packing: training needs a grid per group.
enum class LearnedTable {
  kTensor,  // "kmeans": one table for the tensor
  kRow,     // "kmeans-row": one for every row
};
// nullopt for any other name.
std::optional<LearnedTable> FindLearnedTable(std::string_view name);
// 0 (three entries) to 4 bits. Throws lutra::Error.
void CheckLearnedTableBits(std::string_view name, int bits);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_QUANTIZERS_H_
