#ifndef LUTRA_QAT_FAKE_QUANT_H_
#define LUTRA_QAT_FAKE_QUANT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/qat/affine.h"

// Fake quantization: values are quantized to integers and back, so that a
// network meets in training the errors it will have in use.

namespace lutra::qat {

// By default what int8 weights take: signed, symmetric, one scale per row.
struct FakeQuantOptions {
  enum class Ranges {
    kDynamic,  // scale and zero point are computed from the values every time
    kStatic,   // computed by the first call and kept
    kLearned,  // initialised by the first call, then trained by the caller
  };
  // An integer zero point, or one in units of the values.
  enum class Asymmetric {
    kInteger,
    kFloat,
    // Upstream's defect: the float zero point cut to an integer (rounded for
    // learned ranges) and used as if it were one. For comparison only.
    kTruncated,
  };

  int bits = 8;
  bool is_signed = true;
  bool symmetric = true;
  Asymmetric asymmetric = Asymmetric::kInteger;
  // Columns that share a scale, 0 for whole rows (the tokens of activations,
  // the channels of weights), kWholeTensor for one scale.
  int64_t group_size = 0;
  Ranges ranges = Ranges::kDynamic;
  float eps = kTinyScale;
  ScaleType scale_type = ScaleType::kFloat;
  Rounding rounding = Rounding::kHalfEven;
  uint64_t seed = 1;  // of kStochastic: every call draws anew
  // Whether values on the first and last code get a gradient. They do in older
  // releases of PyTorch and do not in 2.14; without it, most of a 2-bit tensor
  // gets none.
  bool closed_interval = true;
};
inline constexpr int64_t kWholeTensor = -1;

// Activations as torchao quantizes them: int8, asymmetric, per token.
FakeQuantOptions Int8TokenActivations();

// The smallest scale of learned ranges.
inline constexpr float kMinLearnedScale = 1e-9f;

// Fake-quantizes matrices [rows, columns] of one shape (kDynamic: any). Not
// for use by several threads at once.
class FakeQuantizer {
 public:
  // Throws lutra::Error for options that do not go together.
  explicit FakeQuantizer(const FakeQuantOptions& options);

  // Disabled, it passes values and gradients through.
  void set_enabled(bool enabled) { enabled_ = enabled; }
  bool enabled() const { return enabled_; }
  const FakeQuantOptions& options() const { return options_; }

  // y may be x. Throws lutra::Error if parameters were kept from another shape.
  void Forward(const float* x, size_t rows, size_t columns, float* y);

  // Gradients of what came in last by those of what came out, both at x:
  // rounding counts as the identity, scale and zero point as constants, and
  // where `inside` is 0 the value was clipped:
  //   grad_x = ((g * s) * inside) * (1 / s)      (divided by s if kFloat)
  // grad_x may be grad_y.
  void Backward(const float* x, const float* grad_y, size_t rows,
                size_t columns, float* grad_x) const;

  // Adds the gradients of learned ranges, [groups()] each; grad_zero_point may
  // be nullptr. With k the integer and z the zero point of a value:
  //   grad_scale = sum g * (k - z) - (1 / s^2) * sum (g * s) * inside * x
  //   grad_zero_point = sum (g * s) * (inside - 1)
  void BackwardRanges(const float* x, const float* grad_y, size_t rows,
                      size_t columns, float* grad_scale,
                      float* grad_zero_point) const;

  // Per group, row by row, as the last call used them; learned ranges are
  // changed through these. Empty before the first call.
  std::vector<float>& scales() { return scales_; }
  std::vector<float>& zero_points() { return zero_points_; }

 private:
  void ChooseParameters(const float* x, size_t rows, size_t columns);
  AffineCode CodeOf(size_t group) const;
  // As the last call of Forward had it.
  float RawOf(const AffineCode& code, float x) const;

  FakeQuantOptions options_;
  AffineScheme scheme_;  // of choosing parameters
  AffineScheme code_;    // of using them
  bool enabled_ = true;
  uint64_t calls_ = 0;  // of Forward
  std::vector<float> scales_;
  std::vector<float> zero_points_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_FAKE_QUANT_H_
