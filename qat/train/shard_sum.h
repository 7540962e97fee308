#ifndef LUTRA_QAT_TRAIN_SHARD_SUM_H_
#define LUTRA_QAT_TRAIN_SHARD_SUM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lutra/qat/loss.h"
#include "lutra/qat/processes.h"
#include "lutra/qat/tensor.h"

namespace lutra::qat {

// Adds what the shards of a step give, in a tree that depends on their number
// alone: the sum of shards [lo, hi) is that of the first half, rounded down,
// plus that of the rest. Each process computes the shards of a range of its own
// and sends the sums of whole branches, so that any number of processes has
// the bits of one.
class ShardSum {
 public:
  struct Total {
    ClassificationLoss loss;
    bool stop = false;  // wanted by a process
  };
  // Gives one shard's part, its gradients in `gradients`, in place of what was
  // there.
  using Compute = std::function<Total(size_t shard)>;

  // `gradients` must outlive this and keep its addresses. `processes`: nullptr
  // for this one alone. Throws lutra::Error if there are more of them than
  // shards.
  ShardSum(size_t shards, TensorMap& gradients, Processes* processes);

  // The sum over all shards, in `gradients` and in the result, in every
  // process. Throws what `compute` and the processes throw.
  Total Run(const Compute& compute);

  // Waits for all processes. Throws lutra::Error in those where `same` is not
  // that of the first one.
  void Meet(uint64_t same);

  // Whether others, which are not asked, need this process to go on.
  bool IsShared() const { return count_ > 1; }
  int rank() const { return rank_; }
  // At most, of the sums that wait for others.
  size_t ByteCount() const;

 private:
  struct Branch {
    Total total;
    TensorMap gradients;
  };

  size_t FirstOf(int rank) const;  // of its shards
  int OwnerOf(size_t shard) const;
  bool HasAnyOf(size_t lo, size_t hi) const;
  void Sum(size_t lo, size_t hi, size_t depth, const Compute& compute);
  void Keep(size_t depth);
  void AddKept(size_t depth);
  void SendTotal(int to);
  void AddReceived(int from);
  void Spread(int lo, int hi);

  size_t shards_;
  TensorMap& gradients_;
  Processes* processes_;
  int rank_ = 0;
  int count_ = 1;
  Total total_;               // that of `gradients_`
  std::vector<Branch> kept_;  // by depth, first halves
  std::vector<float> received_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_SHARD_SUM_H_
