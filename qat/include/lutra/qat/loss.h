#ifndef LUTRA_QAT_LOSS_H_
#define LUTRA_QAT_LOSS_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/span.h"

namespace lutra::qat {

struct ClassificationLoss {
  double loss = 0.0;   // sum over the tokens of -log softmax(logits)[label]
  size_t correct = 0;  // tokens whose largest logit is that of the label
};

// Softmax cross-entropy of logits [m, classes] against labels [m], each below
// `classes`. If `gradient` is given (as long as the logits), it receives the
// gradient of the *mean* loss: (softmax(logits) - onehot(label)) / m.
ClassificationLoss SoftmaxCrossEntropy(Span<const float> logits,
                                       Span<const uint8_t> labels,
                                       Span<float> gradient = {});

}  // namespace lutra::qat

#endif  // LUTRA_QAT_LOSS_H_
