#include "lutra/qat/fake_quant.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "lutra/runtime/error.h"
#include "qat/grids/rounding.h"
#include "qat/grids/summation.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

using Asymmetric = FakeQuantOptions::Asymmetric;
using Ranges = FakeQuantOptions::Ranges;

// A matrix as its groups see it.
struct Shape {
  size_t rows;
  size_t columns;
  Groups groups;

  size_t count() const { return rows * groups.per_row; }
};

Shape ShapeOf(size_t rows, size_t columns, int64_t group_size) {
  if (group_size == kWholeTensor) {
    return {1, rows * columns, GroupsOf(rows * columns, 0)};
  }
  return {rows, columns, GroupsOf(columns, group_size)};
}

AffineMapping MappingOf(const FakeQuantOptions& options) {
  if (options.symmetric) return AffineMapping::kSymmetric;
  return options.asymmetric == Asymmetric::kInteger
             ? AffineMapping::kAsymmetric
             : AffineMapping::kFloatZeroPoint;
}

}  // namespace

FakeQuantOptions Int8TokenActivations() {
  FakeQuantOptions options;
  options.symmetric = false;
  return options;
}

FakeQuantizer::FakeQuantizer(const FakeQuantOptions& options)
    : options_(options) {
  if (options.bits < 1 || options.bits > 8) {
    throw Error("fake quantization does not support " +
                std::to_string(options.bits) + " bits (1 to 8)");
  }
  if (options.group_size < kWholeTensor) {
    throw Error("fake quantization: a group size of " +
                std::to_string(options.group_size) + " is impossible");
  }
  if (!(options.eps > 0.0f) || !std::isfinite(options.eps)) {
    throw Error("fake quantization: eps must be above 0");
  }
  scheme_ = {MappingOf(options),
             options.is_signed ? SignedBounds(options.bits)
                               : UnsignedBounds(options.bits),
             options.eps, options.scale_type, options.rounding};
  if (options.ranges == Ranges::kLearned) {
    scheme_.eps = std::max(scheme_.eps, kMinLearnedScale);
  }
  code_ = scheme_;
  if (options.asymmetric == Asymmetric::kTruncated && !options.symmetric) {
    code_.mapping = AffineMapping::kAsymmetric;
  }
}

void FakeQuantizer::ChooseParameters(const float* x, size_t rows,
                                     size_t columns) {
  const Shape shape = ShapeOf(rows, columns, options_.group_size);
  const bool keep = options_.ranges != Ranges::kDynamic && !scales_.empty();
  if (keep) {
    if (scales_.size() == shape.count() &&
        zero_points_.size() == shape.count()) {
      return;
    }
    throw Error("fake quantization: " + std::to_string(scales_.size()) +
                " ranges were kept, but the values have " +
                std::to_string(shape.count()) + " groups");
  }
  scales_.resize(shape.count());
  zero_points_.resize(shape.count());
  const bool truncate = code_.mapping != scheme_.mapping;
  const auto lo = static_cast<float>(scheme_.bounds.lo);
  const auto hi = static_cast<float>(scheme_.bounds.hi);
  ForGroups(shape.rows, shape.columns, shape.groups,
            [&](size_t group, size_t begin, size_t count) {
              const Range range = MinMax(x + begin, count);
              AffineParameters parameters =
                  ChooseAffine(scheme_, range.min, range.max);
              if (truncate) {
                const float z = parameters.zero_point;
                parameters.zero_point =
                    options_.ranges == Ranges::kLearned
                        ? std::clamp(RoundHalfEven(z), lo, hi)
                        : std::trunc(z);
              }
              scales_[group] = parameters.scale;
              zero_points_[group] = parameters.zero_point;
            });
}

AffineCode FakeQuantizer::CodeOf(size_t group) const {
  return AffineCode({scales_[group], zero_points_[group]}, code_);
}

float FakeQuantizer::RawOf(const AffineCode& code, float x) const {
  if (options_.rounding != Rounding::kStochastic) return code.Raw(x);
  return code.RawAt(x, RandomUnit(RandomKey(options_.seed, calls_), x));
}

void FakeQuantizer::Forward(const float* x, size_t rows, size_t columns,
                            float* y) {
  if (!enabled_) {
    if (y != x) std::copy(x, x + rows * columns, y);
    return;
  }
  ChooseParameters(x, rows, columns);
  ++calls_;
  const Shape shape = ShapeOf(rows, columns, options_.group_size);
  ForGroups(shape.rows, shape.columns, shape.groups,
            [&](size_t group, size_t begin, size_t count) {
              const AffineCode code = CodeOf(group);
              for (size_t i = begin; i < begin + count; ++i) {
                y[i] = code.Dequantize(code.Clip(RawOf(code, x[i])));
              }
            });
}

void FakeQuantizer::Backward(const float* x, const float* grad_y, size_t rows,
                             size_t columns, float* grad_x) const {
  if (!enabled_) {
    if (grad_x != grad_y) std::copy(grad_y, grad_y + rows * columns, grad_x);
    return;
  }
  const bool closed = options_.closed_interval;
  const bool divide = code_.FloatZeroPoint();
  const Shape shape = ShapeOf(rows, columns, options_.group_size);
  ForGroups(shape.rows, shape.columns, shape.groups,
            [&](size_t group, size_t begin, size_t count) {
              const AffineCode code = CodeOf(group);
              const float s = scales_[group];
              const float inverse = 1.0f / s;
              for (size_t i = begin; i < begin + count; ++i) {
                const bool inside = code.Inside(RawOf(code, x[i]), closed);
                const float g = inside ? grad_y[i] * s : 0.0f;
                grad_x[i] = divide ? g / s : g * inverse;
              }
            });
}

void FakeQuantizer::BackwardRanges(const float* x, const float* grad_y,
                                   size_t rows, size_t columns,
                                   float* grad_scale,
                                   float* grad_zero_point) const {
  if (!enabled_) return;
  const bool closed = options_.closed_interval;
  const Shape shape = ShapeOf(rows, columns, options_.group_size);
  ForGroups(shape.rows, shape.columns, shape.groups,
            [&](size_t group, size_t begin, size_t count) {
              const AffineCode code = CodeOf(group);
              const auto s = static_cast<double>(scales_[group]);
              const auto z = static_cast<double>(zero_points_[group]);
              double outer = 0.0;
              double inner = 0.0;
              double shift = 0.0;
              for (size_t i = begin; i < begin + count; ++i) {
                const float raw = RawOf(code, x[i]);
                const auto k = static_cast<double>(code.Clip(raw));
                const auto g = static_cast<double>(grad_y[i]);
                outer += g * (k - z);
                if (code.Inside(raw, closed)) {
                  inner += g * s * static_cast<double>(x[i]);
                } else {
                  shift -= g * s;
                }
              }
              grad_scale[group] += static_cast<float>(outer - inner / (s * s));
              if (grad_zero_point != nullptr) {
                grad_zero_point[group] += static_cast<float>(shift);
              }
            });
}

}  // namespace lutra::qat
