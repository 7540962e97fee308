#ifndef LUTRA_RUNTIME_EXEC_SEQUENCE_STATE_H_
#define LUTRA_RUNTIME_EXEC_SEQUENCE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/operator.h"
#include "runtime/base/aligned_memory.h"

namespace lutra {

// How the memory of a model's sequences is laid out.
struct StateLayout {
  // Throws Error for absurd sizes.
  StateLayout(std::shared_ptr<const Model> model, const Execution& execution);

  std::shared_ptr<const Model> model;
  kernels::CacheType cache;
  // Whether rows depend on their place in the sequence.
  bool sequential = false;
  size_t context = 0;  // 0: no limit
  size_t page_bytes = 0;
  size_t state_bytes = 0;
  // Of each node.
  std::vector<size_t> page_offsets;
  std::vector<size_t> state_offsets;

  // Whether sequences of `other` can be used with programs of this.
  bool Accepts(const StateLayout& other) const;
  // Pages that hold `tokens` tokens.
  size_t PageCount(size_t tokens) const;
};

// What a Sequence is, see sequence.h.
class SequenceState {
 public:
  explicit SequenceState(std::shared_ptr<const StateLayout> layout);
  // Shares the pages.
  SequenceState(const SequenceState& other);
  SequenceState& operator=(const SequenceState&) = delete;

  const StateLayout& layout() const { return *layout_; }
  size_t position() const { return position_; }
  size_t ByteCount() const;

  // See Sequence.
  void Truncate(size_t position);
  void Reserve(size_t tokens);

  // Makes ready for a call of `count` rows: pages are there, and those that it
  // writes belong to this sequence alone. Throws OutOfMemory.
  void PrepareCall(size_t count);
  // What the call's steps get.
  SequenceRows Rows(size_t first, size_t count) const;
  // After the call.
  void Advance(size_t count);

  // For saving and restoring: what page i and the current state hold.
  Span<std::byte> Page(size_t i) const {
    return {addresses_[i], layout_->page_bytes};
  }
  Span<std::byte> CurrentState() const {
    return {State(calls_), layout_->state_bytes};
  }
  // Of a sequence that was restored, when pages and state are in their place.
  void SetPosition(size_t position) { position_ = position; }

 private:
  std::byte* State(size_t calls) const {
    return states_.get() + calls % 2 * layout_->state_bytes;
  }

  std::shared_ptr<const StateLayout> layout_;
  size_t position_ = 0;
  size_t calls_ = 0;  // that came to their end
  std::vector<std::shared_ptr<std::byte>> pages_;
  std::vector<std::byte*> addresses_;  // of the pages
  AlignedMemory states_;  // two: a call reads one and writes the other
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_SEQUENCE_STATE_H_
