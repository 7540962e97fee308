#ifndef LUTRA_PACKER_CALIBRATE_GRADIENT_PASS_H_
#define LUTRA_PACKER_CALIBRATE_GRADIENT_PASS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/tensor.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/model.h"
#include "packer/calibrate/moments.h"
#include "packer/weights/matrix_product.h"

namespace lutra::packer {

// Moments of values that linear nodes take, whose rows are multiplied by the
// root mean square of the gradients of the loss (cross-entropy of the targets)
// with respect to the outputs that they are made into: what a change of these
// would do to the loss, to second order as far as the Fisher information is the
// diagonal (GuidedQuant, Kim et al., https://arxiv.org/abs/2505.07004).
class GradientPass {
 public:
  // All must outlive this. Throws Error for packed weights.
  GradientPass(const Model& model, const std::vector<std::string>& values,
               const qat::Samples& samples, Executor* executor);

  // Runs the samples one after the other; `done` is told of their rows. Throws
  // Error for values that are not finite.
  void Run(Span<const uint32_t> which,
           const std::function<void(size_t rows)>& done);

  const std::vector<Moments>& moments() const { return moments_; }
  size_t Bytes() const;

 private:
  // Of a value: which outputs and inputs of the program are about it.
  struct Place {
    size_t width = 0;
    size_t output = 0;  // of the value itself; 0: it is the graph's input
    std::vector<size_t> gradients;  // inputs, added to the outputs of its nodes
  };

  Graph WithTaps(const std::vector<std::string>& values);
  void AddRows(size_t rows);

  const Model& model_;
  const qat::Samples& samples_;
  Executor* executor_;
  qat::TensorMap parameters_;
  std::vector<Place> places_;
  Graph graph_;
  qat::TrainingProgram program_;
  std::vector<Moments> moments_;
  MatrixProduct multiply_;
  std::vector<float> zeros_;
  std::vector<std::vector<float>> rows_;  // of values
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_GRADIENT_PASS_H_
