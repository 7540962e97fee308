#include "packer/calibrate/sequential.h"

#include <cmath>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/calibrate/row_size.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {

SequentialMoments::SequentialMoments(const Model& model,
                                     const qat::Samples& samples,
                                     std::vector<uint32_t> which,
                                     Executor* executor)
    : model_(model),
      executor_(executor),
      float_(model, samples, which, executor),
      packed_(model, samples, std::move(which), executor) {}

InputMoments SequentialMoments::Next(
    const std::string& value, const std::function<void(size_t rows)>& done) {
  const std::optional<std::string> sum = NormalizedSum(model_.graph(), value);
  std::vector<std::string> targets = {value};
  if (sum) targets.push_back(*sum);
  float_.Advance(targets, done);
  packed_.Advance({value}, done);

  std::vector<float> exact = float_.Value(value);
  std::vector<float> rounded = packed_.Value(value);
  const std::vector<float>& sizes = float_.Value(sum ? *sum : value);
  const size_t rows = float_.rows();
  const size_t k = exact.size() / rows;
  const size_t width = sizes.size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    const double size = RowSize({sizes.data() + row * width, width});
    for (size_t i = row * k; i < (row + 1) * k; ++i) {
      exact[i] = static_cast<float>(exact[i] / size);
      rounded[i] = static_cast<float>(rounded[i] / size);
      if (!std::isfinite(exact[i]) || !std::isfinite(rounded[i])) {
        throw Error::InFile(model_.path(),
                            "the value '" + value + "' is not finite");
      }
    }
  }
  InputMoments result;
  for (const bool cross : {false, true}) {
    std::vector<float>& out = cross ? result.cross : result.moments;
    out.resize(k * k);
    kernels::FloatGemmArguments product;
    product.a = {.data = (cross ? exact : rounded).data(),
                 .stride = k,
                 .transposed = true};
    product.b = {.data = rounded.data(), .stride = k};
    product.m = product.n = k;
    product.k = rows;
    product.c = out.data();
    product.c_stride = k;
    multiply_(product, executor_);
  }
  // To the last bit, which rounding need not be.
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < i; ++j) {
      result.moments[i * k + j] = result.moments[j * k + i];
    }
  }
  return result;
}

}  // namespace lutra::packer
