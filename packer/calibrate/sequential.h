#ifndef LUTRA_PACKER_CALIBRATE_SEQUENTIAL_H_
#define LUTRA_PACKER_CALIBRATE_SEQUENTIAL_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "packer/calibrate/stream.h"
#include "packer/calibrate/taps.h"
#include "packer/weights/matrix_product.h"

namespace lutra::packer {

// What data says about the inputs of a layer when the layers before are packed
// already: with u a row as the float model has it and v as the packed model
// has it, both divided by the size that statistics.h tells of,
struct InputMoments {
  std::vector<float> moments;  // sum of v v^T, [k, k]
  std::vector<float> cross;    // sum of u v^T, [k, k]
};

// Runs a model and the same model with packed weights over data, side by side
// and a layer at a time.
class SequentialMoments {
 public:
  // As ValueStream.
  SequentialMoments(const Model& model, const qat::Samples& samples,
                    std::vector<uint32_t> which, Executor* executor);

  // Inputs come in the order of LayerInputs, none twice. Throws Error, also
  // for values that are not finite.
  InputMoments Next(const MatrixInput& input,
                    const std::function<void(size_t rows)>& done);
  // Before the next value: the weight has been packed.
  void Replace(const std::string& weight, Span<const std::byte> blob) {
    packed_.Replace(weight, blob);
  }

 private:
  void AddProducts(const std::vector<float>& exact,
                   const std::vector<float>& rounded, size_t k,
                   InputMoments& sums);

  const Model& model_;
  Executor* executor_;
  ValueStream float_;
  ValueStream packed_;
  MatrixProduct multiply_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_SEQUENTIAL_H_
