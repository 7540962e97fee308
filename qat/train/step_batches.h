#ifndef LUTRA_QAT_TRAIN_STEP_BATCHES_H_
#define LUTRA_QAT_TRAIN_STEP_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/qat/samples.h"

namespace lutra::qat {

// Which samples each step of a training has. Their order in an epoch depends on
// the seed and the epoch alone, so that any step can be had without those
// before it.
class StepBatches {
 public:
  // A step has `batch_size` samples, fewer at the end of an epoch, in `shards`
  // parts whose sizes differ by one at most, and computes `at_once` samples of
  // a part at a time; 0: all. `data` must outlive this.
  StepBatches(const Samples& data, size_t batch_size, size_t shards,
              size_t at_once, uint64_t seed);

  int64_t StepsPerEpoch() const { return steps_per_epoch_; }
  // At most.
  size_t SamplesOfAStep() const { return batch_size_; }
  size_t SamplesAtATime() const { return at_once_; }

  // What a step, counted from 0, computes one after the other, by shard; until
  // the next call. A shard may be empty.
  const std::vector<std::vector<SampleBatch>>& Load(int64_t step);

 private:
  void StartEpoch(int64_t epoch);

  const Samples& data_;
  size_t batch_size_;
  size_t shards_;
  size_t at_once_;
  uint64_t seed_;
  int64_t steps_per_epoch_;
  int64_t epoch_ = -1;
  std::vector<uint32_t> order_;  // of it
  std::vector<std::vector<SampleBatch>> batches_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_STEP_BATCHES_H_
