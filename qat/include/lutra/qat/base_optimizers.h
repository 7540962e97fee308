#ifndef LUTRA_QAT_BASE_OPTIMIZERS_H_
#define LUTRA_QAT_BASE_OPTIMIZERS_H_

#include <memory>
#include <vector>

#include "lutra/qat/optimizer.h"

// SGD, Adam and AdamW as in PyTorch, bit for bit with its generic CPU code.
// Learning rate and weight decay are the groups'. State is [size] per
// parameter; "step" has one element.
//
// The factories throw lutra::Error for options out of range, parameters that
// occur twice (by name or by address) and bad shapes.

namespace lutra::qat {

struct SgdOptions {
  double momentum = 0.0;
  double dampening = 0.0;
  bool nesterov = false;  // needs momentum and no dampening
};
//   g = g + weight_decay * w
//   m = momentum * m + (1 - dampening) * g      (first step: m = g)
//   g = nesterov ? g + momentum * m : m         (without momentum: g)
//   w = w - lr * g
// State: momentum_buffer (if momentum is not 0).
std::unique_ptr<Optimizer> MakeSgd(std::vector<ParamGroup> groups,
                                   const SgdOptions& options);

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};
//   g = g + weight_decay * w                    (Adam)
//   w = w * (1 - lr * weight_decay)             (AdamW)
//   m = m + (1 - beta1) * (g - m), v = beta2 * v + (1 - beta2) * g * g
//   w = w - lr / (1 - beta1^t) * m /
//           (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
// State: step (t, counted per parameter from 1), exp_avg (m), exp_avg_sq (v).
std::unique_ptr<Optimizer> MakeAdam(std::vector<ParamGroup> groups,
                                    const AdamOptions& options);
std::unique_ptr<Optimizer> MakeAdamW(std::vector<ParamGroup> groups,
                                     const AdamOptions& options);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_BASE_OPTIMIZERS_H_
