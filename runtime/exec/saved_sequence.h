#ifndef LUTRA_RUNTIME_EXEC_SAVED_SEQUENCE_H_
#define LUTRA_RUNTIME_EXEC_SAVED_SEQUENCE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "lutra/kernels/span.h"
#include "runtime/exec/sequence_state.h"

// Sequences as bytes, in the format of docs/model_file.md.

namespace lutra {

std::vector<std::byte> SaveSequence(const SequenceState& state);

// Throws Error, see Program::Restore.
std::unique_ptr<SequenceState> RestoreSequence(
    std::shared_ptr<const StateLayout> layout, Span<const std::byte> saved);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_SAVED_SEQUENCE_H_
