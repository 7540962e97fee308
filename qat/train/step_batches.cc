#include "qat/train/step_batches.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "lutra/runtime/random.h"

namespace lutra::qat {

StepBatches::StepBatches(const Samples& data, size_t batch_size, size_t shards,
                         size_t at_once, uint64_t seed)
    : data_(data),
      batch_size_(std::min(batch_size, data.Count())),
      shards_(shards),
      at_once_((batch_size_ - 1) / shards + 1),
      seed_(seed),
      steps_per_epoch_(
          static_cast<int64_t>((data.Count() + batch_size - 1) / batch_size)) {
  if (at_once != 0) at_once_ = std::min(at_once, at_once_);
}

void StepBatches::StartEpoch(int64_t epoch) {
  epoch_ = epoch;
  order_.resize(data_.Count());
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  Random random(seed_, static_cast<uint64_t>(epoch));
  Shuffle(order_, random);
}

const std::vector<std::vector<SampleBatch>>& StepBatches::Load(int64_t step) {
  if (epoch_ != step / steps_per_epoch_) StartEpoch(step / steps_per_epoch_);
  const size_t first =
      static_cast<size_t>(step % steps_per_epoch_) * batch_size_;
  const size_t samples = std::min(batch_size_, order_.size() - first);
  batches_.resize(shards_);
  for (size_t shard = 0; shard < shards_; ++shard) {
    size_t begin = first + samples * shard / shards_;
    const size_t end = first + samples * (shard + 1) / shards_;
    batches_[shard].resize((end - begin + at_once_ - 1) / at_once_);
    for (SampleBatch& batch : batches_[shard]) {
      const size_t count = std::min(at_once_, end - begin);
      batch.Clear();
      // Epoch 0 is for judging.
      data_.Load(std::span(order_).subspan(begin, count),
                 static_cast<uint64_t>(epoch_) + 1, batch);
      begin += count;
    }
  }
  return batches_;
}

}  // namespace lutra::qat
