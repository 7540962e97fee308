#ifndef LUTRA_QAT_AUGMENTED_SAMPLES_H_
#define LUTRA_QAT_AUGMENTED_SAMPLES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/samples.h"

namespace lutra::qat {

// What is done at random to a sample of floats each time that it is trained on:
// few samples then stand for more.
struct Augmentation {
  // Share of the samples that another one is mixed into (Zhang et al., "mixup",
  // 2018), with a weight below one half: half the square of a uniform number,
  // so that most are mixed a little. The label stays.
  double mixup = 0;
  // The furthest that a sample is moved along its first two dimensions; values
  // at the border are repeated where nothing comes from.
  std::array<size_t, 2> shift = {0, 0};
  // Noise is added whose deviation is up to that many times the value's own
  // over all samples.
  double noise = 0;
  uint64_t seed = 1;

  bool IsNone() const {
    return mixup == 0 && shift[0] == 0 && shift[1] == 0 && noise == 0;
  }
};

// The samples of others, augmented anew in each epoch but in epoch 0, which is
// for judging.
class AugmentedSamples : public Samples {
 public:
  // `samples` are floats of `shape` with one row each, and must outlive this.
  // Throws lutra::Error if a sample would be moved by all of a dimension, or
  // along one that it does not have.
  AugmentedSamples(const Samples& samples, std::vector<size_t> shape,
                   const Augmentation& augmentation);

  size_t Count() const override { return samples_.Count(); }
  size_t RowsOfSample() const override { return samples_.RowsOfSample(); }
  std::string RowName() const override { return samples_.RowName(); }
  void CheckGraph(const Graph& graph, size_t classes) const override {
    samples_.CheckGraph(graph, classes);
  }
  void Load(Span<const uint32_t> samples, uint64_t epoch,
            SampleBatch& batch) const override;
  uint32_t Checksum() const override;

 private:
  std::vector<float> Deviations() const;
  std::vector<float> Shifted(Span<const float> values,
                             std::array<int64_t, 2> by) const;

  const Samples& samples_;
  std::vector<size_t> shape_;
  Augmentation augmentation_;
  std::vector<float> deviations_;  // of each value; empty without noise
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_AUGMENTED_SAMPLES_H_
