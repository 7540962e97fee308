#include "packer/calibrate/sequential.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/calibrate/row_size.h"

namespace lutra::packer {
namespace {

// Rows under windows that are held at a time.
constexpr size_t kWindows = 4096;

// [count, columns] of the output pixels of all images from `first` on.
std::vector<float> GatherWindows(const Window2d& window,
                                 const std::vector<float>& images, size_t first,
                                 size_t count) {
  const size_t columns = window.Taps() * window.channels;
  std::vector<float> rows(count * columns);
  for (size_t i = 0; i < count; ++i) {
    const size_t image = (first + i) / window.OutputPixels();
    GatherWindow(window, images.data() + image * window.InputSize(),
                 (first + i) % window.OutputPixels(),
                 rows.data() + i * columns);
  }
  return rows;
}

}  // namespace

SequentialMoments::SequentialMoments(const Model& model,
                                     const qat::Samples& samples,
                                     std::vector<uint32_t> which,
                                     Executor* executor)
    : model_(model),
      executor_(executor),
      float_(model, samples, which, executor),
      packed_(model, samples, std::move(which), executor) {}

InputMoments SequentialMoments::Next(
    const MatrixInput& input, const std::function<void(size_t rows)>& done) {
  const std::optional<std::string> sum =
      NormalizedSum(model_.graph(), input.tap);
  std::vector<std::string> targets = {input.tap};
  if (sum) targets.push_back(*sum);
  float_.Advance(targets, done);
  packed_.Advance({input.tap}, done);

  std::vector<float> exact = float_.Value(input.tap);
  std::vector<float> rounded = packed_.Value(input.tap);
  const std::vector<float>& sizes = float_.Value(sum ? *sum : input.tap);
  const size_t rows = float_.rows();
  const size_t columns = exact.size() / rows;
  const size_t width = sizes.size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    const double size = RowSize({sizes.data() + row * width, width});
    for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
      exact[i] = static_cast<float>(exact[i] / size);
      rounded[i] = static_cast<float>(rounded[i] / size);
      if (!std::isfinite(exact[i]) || !std::isfinite(rounded[i])) {
        throw Error::InFile(model_.path(),
                            "the value '" + input.tap + "' is not finite");
      }
    }
  }
  float_.Took(input.tap);
  packed_.Took(input.tap);

  const size_t k = input.columns;
  InputMoments result;
  result.moments.resize(k * k);
  result.cross.resize(k * k);
  if (input.window) {
    const size_t pixels = rows * input.window->OutputPixels();
    for (size_t first = 0; first < pixels; first += kWindows) {
      const size_t count = std::min(kWindows, pixels - first);
      AddProducts(GatherWindows(*input.window, exact, first, count),
                  GatherWindows(*input.window, rounded, first, count), k,
                  result);
    }
  } else {
    AddProducts(exact, rounded, k, result);
  }
  // To the last bit, which rounding need not be.
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < i; ++j) {
      result.moments[i * k + j] = result.moments[j * k + i];
    }
  }
  return result;
}

// Of rows [.., k].
void SequentialMoments::AddProducts(const std::vector<float>& exact,
                                    const std::vector<float>& rounded, size_t k,
                                    InputMoments& sums) {
  for (const bool cross : {false, true}) {
    kernels::FloatGemmArguments product;
    product.a = {.data = (cross ? exact : rounded).data(),
                 .stride = k,
                 .transposed = true};
    product.b = {.data = rounded.data(), .stride = k};
    product.m = product.n = k;
    product.k = rounded.size() / k;
    product.accumulate = true;
    product.c = (cross ? sums.cross : sums.moments).data();
    product.c_stride = k;
    multiply_(product, executor_);
  }
}

}  // namespace lutra::packer
