#ifndef LUTRA_PACKER_BUDGET_TRIALS_H_
#define LUTRA_PACKER_BUDGET_TRIALS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/model.h"

namespace lutra::packer {

// Runs a model with one weight packed, and compares its outputs with those of
// the model as it is.
class Trials {
 public:
  // Runs the model over `which` of the samples, and holds its outputs. All
  // outlive this. Throws Error.
  Trials(const std::shared_ptr<const Model>& model, const qat::Samples& samples,
         std::vector<uint32_t> which, Executor* executor);

  // The mean over rows of the Kullback-Leibler divergence of the softmax of the
  // outputs, with the weight's bytes replaced by those of a packed matrix.
  double Divergence(const std::string& weight,
                    Span<const std::byte> blob) const;

 private:
  const Model& model_;
  const qat::Samples& samples_;
  std::vector<uint32_t> which_;
  Executor* executor_;
  size_t width_ = 0;             // of the outputs
  std::vector<float> expected_;  // [rows, width]
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_BUDGET_TRIALS_H_
