#ifndef LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_RUN_CASES_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_RUN_CASES_H_

#include <filesystem>

#include "tests/golden_replay/sink.h"

namespace lutra::golden {

// Whole runs of training, of a language model, a convolutional network and an
// LSTM: a folder holds those of one network.
bool HasRuns(const std::filesystem::path& folder);
void ReplayRuns(const std::filesystem::path& folder, Sink& sink);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_RUN_CASES_H_
