#ifndef LUTRA_QAT_OPTIMIZER_STATE_H_
#define LUTRA_QAT_OPTIMIZER_STATE_H_

#include <filesystem>
#include <map>
#include <string>

#include "lutra/qat/optimizer.h"

// Saving and resuming an optimizer: a run that is saved, rebuilt, loaded and
// continued has the same bits as one that was never interrupted.
//
// The file is a safetensors file: a float32 tensor "PARAMETER/ENTRY" per entry
// of the state, and under kOptimizerStateKey a JSON object with the method, the
// parameters' names and shapes, and the groups' numbers.

namespace lutra::qat {

inline constexpr std::string_view kOptimizerStateKey = "lutra.optimizer_state";

// Extra metadata of a state file, e.g. the trainer's own counters.
using StateMetadata = std::map<std::string, std::string>;

// Writes state and group fields (learning rate, weight decay, what
// QuantOptimizer added) to a temporary file that is then renamed. Values of
// parameters are the caller's to save; what the optimizer was made with (betas,
// quantizer, proximal map, options) is the caller's to make again. Throws
// lutra::Error.
void SaveState(const std::filesystem::path& path, Optimizer& optimizer,
               const StateMetadata& metadata = {});

// Loads into an optimizer made from the same groups and of the same method, and
// returns the extra metadata. Throws lutra::Error that names the cause, having
// changed nothing, for a file that is damaged or of another run.
StateMetadata LoadState(const std::filesystem::path& path,
                        Optimizer& optimizer);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_OPTIMIZER_STATE_H_
