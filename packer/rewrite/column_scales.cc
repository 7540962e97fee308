#include "packer/rewrite/column_scales.h"

#include <algorithm>
#include <cmath>

#include "packer/encode/weight_packer.h"
#include "packer/weights/matrix_product.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

constexpr double kInt8Levels = 127;
// Rows of a weight whose errors are measured at a time.
constexpr size_t kRows = 256;

// Of the rows `w` of a layer, as columns.size() numbers: their mean or largest
// magnitudes.
std::vector<double> Magnitudes(std::span<const float> w, size_t k,
                               bool largest) {
  std::vector<double> result(k);
  for (size_t i = 0; i < w.size(); ++i) {
    const double magnitude = std::abs(static_cast<double>(w[i]));
    double& sum = result[i % k];
    sum = largest ? std::max(sum, magnitude) : sum + magnitude;
  }
  if (largest) return result;
  for (double& sum : result) sum /= static_cast<double>(w.size() / k);
  return result;
}

RowSource SourceOf(const std::vector<float>& w, size_t k) {
  TensorView view;
  view.shape = {static_cast<int64_t>(w.size() / k), static_cast<int64_t>(k)};
  view.data = std::as_bytes(std::span(w));
  return RowSource(view, "");
}

// Sum over rows of e H e^T.
double Energy(const std::vector<float>& errors, size_t k,
              const std::vector<float>& moments, MatrixProduct& multiply,
              Executor* executor) {
  double sum = 0;
  std::vector<float> products(kRows * k);
  for (size_t begin = 0; begin < errors.size(); begin += kRows * k) {
    const size_t count = std::min(kRows * k, errors.size() - begin);
    kernels::FloatGemmArguments product;
    product.a = {.data = errors.data() + begin, .stride = k};
    product.b = {.data = moments.data(), .stride = k};
    product.m = count / k;
    product.n = product.k = k;
    product.c = products.data();
    product.c_stride = k;
    multiply(product, executor);
    for (size_t i = 0; i < count; ++i) {
      sum += static_cast<double>(errors[begin + i]) * products[i];
    }
  }
  return sum;
}

}  // namespace

std::vector<float> ScalesOf(const ScalingProblem& problem, double alpha,
                            bool by_weights) {
  const size_t k = problem.origin.size();
  const bool smooth = problem.method == RescaleMethod::kSmoothQuant;
  std::vector<double> inputs(problem.origins);
  std::vector<double> weights(problem.origins);
  std::vector<double> columns(problem.origins);
  for (size_t c = 0; c < k; ++c) {
    double& input = inputs[problem.origin[c]];
    columns[problem.origin[c]] += 1;
    input = smooth ? std::max<double>(input, problem.peaks[c])
                   : input + problem.moments[c * k + c] / problem.rows;
  }
  for (const ScaledLayer& layer : problem.layers) {
    const std::vector<double> magnitudes = Magnitudes(layer.w, k, smooth);
    for (size_t c = 0; c < k; ++c) {
      double& weight = weights[problem.origin[c]];
      weight = smooth ? std::max(weight, magnitudes[c])
                      : weight + magnitudes[c] / columns[problem.origin[c]];
    }
  }
  std::vector<float> scales(problem.origins);
  double least = HUGE_VAL;
  double most = 0;
  for (size_t o = 0; o < problem.origins; ++o) {
    const double input = smooth ? inputs[o] : std::sqrt(inputs[o] / columns[o]);
    double scale = std::pow(input, alpha);
    if (by_weights) scale /= std::pow(weights[o], 1 - alpha);
    // A column of zeros may have any.
    if (!std::isfinite(scale) || scale == 0) continue;
    scales[o] = static_cast<float>(scale);
    least = std::min(least, scale);
    most = std::max(most, scale);
  }
  const double middle = std::sqrt(least * most);
  for (float& scale : scales) {
    const double wanted = scale == 0 ? 1 : scale / middle;
    scale = static_cast<float>(
        std::clamp(wanted, problem.clamp, 1 / problem.clamp));
  }
  return scales;
}

double LossOf(const ScalingProblem& problem, std::span<const float> scales) {
  const size_t k = problem.origin.size();
  double step = 0;
  for (size_t c = 0; c < k; ++c) {
    step = std::max<double>(
        step, problem.peaks[c] / scales[problem.origin[c]] / kInt8Levels);
  }
  MatrixProduct multiply;
  double loss = 0;
  for (const ScaledLayer& layer : problem.layers) {
    std::vector<float> scaled(layer.w.size());
    double squares = 0;
    for (size_t i = 0; i < scaled.size(); ++i) {
      scaled[i] = layer.w[i] * scales[problem.origin[i % k]];
      squares += static_cast<double>(scaled[i]) * scaled[i];
    }
    if (problem.method == RescaleMethod::kSmoothQuant) {
      loss += problem.rows * step * step / 12 * squares;
    }
    if (layer.plan == nullptr) continue;
    const PackedWeight packed =
        PackWeight(SourceOf(scaled, k), *layer.plan, nullptr, problem.executor,
                   [](size_t) {});
    kernels::LutMatrix matrix;
    kernels::ParseLutMatrix(packed.blob.data()->bytes, packed.Bytes().size(),
                            &matrix);
    const RowSource rounded(matrix);
    std::vector<float> scratch;
    std::vector<float> errors = std::move(scaled);
    for (size_t row = 0; row < rounded.rows(); ++row) {
      const std::span<const float> values = rounded.Rows(row, 1, scratch);
      for (size_t c = 0; c < k; ++c) {
        float& error = errors[row * k + c];
        error = (error - values[c]) / scales[problem.origin[c]];
      }
    }
    loss += Energy(errors, k, problem.moments, multiply, problem.executor);
  }
  return loss;
}

ColumnScales FindColumnScales(const ScalingProblem& problem,
                              std::span<const double> alphas) {
  ColumnScales best;
  best.scales.assign(problem.origins, 1.0f);
  best.start = best.result = LossOf(problem, best.scales);
  for (const double alpha : alphas) {
    for (const bool by_weights : {false, true}) {
      if (!by_weights && problem.method == RescaleMethod::kSmoothQuant) {
        continue;
      }
      std::vector<float> scales = ScalesOf(problem, alpha, by_weights);
      const double loss = LossOf(problem, scales);
      if (!(loss < best.result)) continue;
      best.result = loss;
      best.alpha = alpha;
      best.scales = std::move(scales);
    }
  }
  return best;
}

}  // namespace lutra::packer
