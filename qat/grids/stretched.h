#ifndef LUTRA_QAT_GRIDS_STRETCHED_H_
#define LUTRA_QAT_GRIDS_STRETCHED_H_

#include <algorithm>
#include <cstddef>

#include "qat/grids/rounding.h"
#include "qat/grids/summation.h"

namespace lutra::qat {

// The stretched scale of a run of values, and how it turns a value into an
// integer -2^(bits-1) .. 2^(bits-1)-1 and back.
class StretchedCode {
 public:
  // `eps` is the smallest M, see MakeStretchedQuantizer.
  StretchedCode(const float* p, size_t n, int bits, float eps) {
    const float bound = static_cast<float>(1 << (bits - 1)) - 0.5f;
    const float max =
        std::max(std::min(static_cast<float>(bits) * MeanOfMagnitudes(p, n),
                          MaxMagnitude(p, n)),
                 eps);
    scale_ = max / bound;
    // Upstream clips to the product, which is not always max again.
    clip_ = scale_ * bound;
  }

  float scale() const { return scale_; }

  float Quantize(float p) const {
    const float low = p < -clip_ ? -clip_ : p;
    const float x = low > clip_ ? clip_ : low;
    return RoundHalfEvenSmall(x / scale_ - 0.5f);
  }
  float Dequantize(float k) const { return (k + 0.5f) * scale_; }

 private:
  float scale_;
  float clip_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_STRETCHED_H_
