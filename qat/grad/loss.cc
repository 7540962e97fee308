#include "lutra/qat/loss.h"

#include <algorithm>
#include <cmath>

namespace lutra::qat {

ClassificationLoss SoftmaxCrossEntropy(Span<const float> logits,
                                       Span<const uint8_t> labels,
                                       Span<float> gradient) {
  ClassificationLoss result;
  if (labels.empty()) return result;
  const size_t classes = logits.size() / labels.size();
  const float scale = 1.0f / static_cast<float>(labels.size());
  for (size_t row = 0; row < labels.size(); ++row) {
    const Span<const float> x = logits.subspan(row * classes, classes);
    const auto largest = std::max_element(x.begin(), x.end());
    float sum = 0.0f;
    for (const float value : x) sum += std::exp(value - *largest);
    const size_t label = labels[row];
    result.loss += std::log(sum) - (x[label] - *largest);
    result.correct += static_cast<size_t>(largest - x.begin()) == label;
    if (gradient.empty()) continue;
    float* dx = gradient.data() + row * classes;
    for (size_t i = 0; i < classes; ++i) {
      const float softmax = std::exp(x[i] - *largest) / sum;
      dx[i] = (softmax - (i == label ? 1.0f : 0.0f)) * scale;
    }
  }
  return result;
}

}  // namespace lutra::qat
