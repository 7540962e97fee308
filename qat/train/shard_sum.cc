#include "qat/train/shard_sum.h"

#include <algorithm>
#include <bit>
#include <string>
#include <type_traits>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

template <typename T>
void Send(Processes& processes, int to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  processes.Send(to, &value, sizeof(value));
}

template <typename T>
T Receive(Processes& processes, int from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  processes.Receive(from, &value, sizeof(value));
  return value;
}

void Add(const ShardSum::Total& other, ShardSum::Total& total) {
  total.loss.Add(other.loss);
  total.stop = total.stop || other.stop;
}

void AddTo(std::vector<float>& sum, const float* values) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
}

}  // namespace

ShardSum::ShardSum(size_t shards, TensorMap& gradients, Processes* processes)
    : shards_(shards), gradients_(gradients), processes_(processes) {
  if (processes == nullptr) return;
  rank_ = processes->Rank();
  count_ = processes->Count();
  if (static_cast<size_t>(count_) > shards) {
    throw Error(std::to_string(count_) + " processes, but a step has only " +
                std::to_string(shards) + " shards to share");
  }
  size_t largest = 0;
  for (const auto& [name, tensor] : gradients) {
    largest = std::max(largest, tensor.values.size());
  }
  received_.resize(count_ > 1 ? largest : 0);
}

size_t ShardSum::FirstOf(int rank) const {
  return shards_ * static_cast<size_t>(rank) / static_cast<size_t>(count_);
}

int ShardSum::OwnerOf(size_t shard) const {
  int rank = 0;
  while (rank + 1 < count_ && FirstOf(rank + 1) <= shard) ++rank;
  return rank;
}

bool ShardSum::HasAnyOf(size_t lo, size_t hi) const {
  return FirstOf(rank_) < hi && lo < FirstOf(rank_ + 1);
}

size_t ShardSum::ByteCount() const {
  size_t gradients = 0;
  for (const auto& [name, tensor] : gradients_) {
    gradients += tensor.values.size() * sizeof(float);
  }
  const size_t own = FirstOf(rank_ + 1) - FirstOf(rank_);
  const auto branches = static_cast<size_t>(std::bit_width(own - 1));
  return branches * gradients + received_.size() * sizeof(float);
}

ShardSum::Total ShardSum::Run(const Compute& compute) {
  Sum(0, shards_, 0, compute);
  Spread(0, count_);
  return total_;
}

void ShardSum::Meet(uint64_t same) {
  // Up and down the line, so that nobody goes on before the last has come.
  uint64_t wanted = same;
  if (rank_ > 0) wanted = Receive<uint64_t>(*processes_, rank_ - 1);
  if (wanted != same) {
    throw Error("process " + std::to_string(rank_ + 1) + " of " +
                std::to_string(count_) +
                " has another model, other data or other options than the "
                "first");
  }
  if (rank_ + 1 < count_) {
    Send(*processes_, rank_ + 1, wanted);
    Receive<uint64_t>(*processes_, rank_ + 1);
  }
  if (rank_ > 0) Send(*processes_, rank_ - 1, wanted);
}

// Leaves the sum with the owner of shard `lo`. A process without it that has
// shards of both halves sends the first half's sum before it computes others.
void ShardSum::Sum(size_t lo, size_t hi, size_t depth, const Compute& compute) {
  if (!HasAnyOf(lo, hi)) return;
  if (hi - lo == 1) {
    total_ = compute(lo);
    return;
  }
  const size_t middle = lo + (hi - lo) / 2;
  const int left = OwnerOf(lo);
  const int right = OwnerOf(middle);
  Sum(lo, middle, depth + 1, compute);
  if (left == right) {
    if (left == rank_) Keep(depth);
    Sum(middle, hi, depth + 1, compute);
    if (left == rank_) AddKept(depth);
    return;
  }
  Sum(middle, hi, depth + 1, compute);
  if (right == rank_) SendTotal(left);
  if (left == rank_) AddReceived(right);
}

// By copying, as the addresses of gradients stay.
void ShardSum::Keep(size_t depth) {
  while (kept_.size() <= depth) kept_.push_back({{}, gradients_});
  kept_[depth].total = total_;
  auto kept = kept_[depth].gradients.begin();
  for (const auto& [name, tensor] : gradients_) {
    std::copy(tensor.values.begin(), tensor.values.end(),
              (kept++)->second.values.begin());
  }
}

void ShardSum::AddKept(size_t depth) {
  Add(kept_[depth].total, total_);
  auto kept = kept_[depth].gradients.begin();
  for (auto& [name, tensor] : gradients_) {
    AddTo(tensor.values, (kept++)->second.values.data());
  }
}

void ShardSum::SendTotal(int to) {
  Send(*processes_, to, total_);
  for (const auto& [name, tensor] : gradients_) {
    processes_->Send(to, tensor.values.data(),
                     tensor.values.size() * sizeof(float));
  }
}

void ShardSum::AddReceived(int from) {
  Add(Receive<Total>(*processes_, from), total_);
  for (auto& [name, tensor] : gradients_) {
    processes_->Receive(from, received_.data(),
                        tensor.values.size() * sizeof(float));
    AddTo(tensor.values, received_.data());
  }
}

// From the first of processes [lo, hi) to the others.
void ShardSum::Spread(int lo, int hi) {
  if (hi - lo == 1) return;
  const int middle = lo + (hi - lo) / 2;
  if (rank_ == lo) SendTotal(middle);
  if (rank_ == middle) {
    total_ = Receive<Total>(*processes_, lo);
    for (auto& [name, tensor] : gradients_) {
      processes_->Receive(lo, tensor.values.data(),
                          tensor.values.size() * sizeof(float));
    }
  }
  if (rank_ < middle) {
    Spread(lo, middle);
  } else {
    Spread(middle, hi);
  }
}

}  // namespace lutra::qat
