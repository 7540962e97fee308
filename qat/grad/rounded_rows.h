#ifndef LUTRA_QAT_GRAD_ROUNDED_ROWS_H_
#define LUTRA_QAT_GRAD_ROUNDED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lutra/kernels/activation_rounding.h"
#include "lutra/kernels/executor.h"

namespace lutra::qat {

// The input of a product that its forward step rounds, anew in the backward
// step, and the straight-through gradient past the rounding: that of a value
// passes unless the value was clipped.
class RoundedRows {
 public:
  // Bytes for `rows` rows of `columns`: of the values, a multiple of 64, and of
  // both. 0 without rounding.
  static size_t ValueBytes(
      const std::optional<kernels::ActivationRounding>& rounding, size_t rows,
      size_t columns);
  static size_t Bytes(
      const std::optional<kernels::ActivationRounding>& rounding, size_t rows,
      size_t columns);

  // None: rows are not rounded.
  RoundedRows() = default;
  // Works in `memory`, of Bytes().
  RoundedRows(const std::optional<kernels::ActivationRounding>& rounding,
              size_t rows, size_t columns, void* memory, Executor* executor);

  explicit operator bool() const { return rounding_.has_value(); }
  // [rows, columns]
  float* values() const { return values_; }

  // values() become x [m, columns], rounded; x may be values(). Returns them,
  // or x where nothing is rounded.
  const float* Round(const float* x, size_t m) const;
  // The gradient [m, columns] of what was rounded last becomes that of x. Does
  // nothing where nothing is rounded.
  void Mask(float* gradient, size_t m) const;
  // Whether the gradient of a value that was rounded last passes.
  bool Passes(size_t row, size_t column) const {
    return !rounding_ || inside_[row * columns_ + column] != 0;
  }

 private:
  std::optional<kernels::ActivationRounding> rounding_;
  size_t columns_ = 0;
  float* values_ = nullptr;
  uint8_t* inside_ = nullptr;
  Executor* executor_ = nullptr;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_ROUNDED_ROWS_H_
