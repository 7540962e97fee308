#include "lutra/runtime/sequence.h"

#include <utility>

#include "runtime/exec/saved_sequence.h"
#include "runtime/exec/sequence_state.h"

namespace lutra {

Sequence::Sequence(std::unique_ptr<SequenceState> state) noexcept
    : state_(std::move(state)) {}
Sequence::~Sequence() = default;
Sequence::Sequence(Sequence&&) noexcept = default;
Sequence& Sequence::operator=(Sequence&&) noexcept = default;

size_t Sequence::position() const noexcept { return state_->position(); }

Sequence Sequence::Fork() const {
  return Sequence(std::make_unique<SequenceState>(*state_));
}

void Sequence::Truncate(size_t position) { state_->Truncate(position); }
bool Sequence::CanTruncate() const noexcept {
  return state_->layout().state_bytes == 0;
}
void Sequence::Reserve(size_t tokens) { state_->Reserve(tokens); }
size_t Sequence::ByteCount() const noexcept { return state_->ByteCount(); }
std::vector<std::byte> Sequence::Save() const { return SaveSequence(*state_); }

}  // namespace lutra
