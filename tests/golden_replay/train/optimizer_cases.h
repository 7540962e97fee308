#ifndef LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_OPTIMIZER_CASES_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_OPTIMIZER_CASES_H_

#include <nlohmann/json.hpp>
#include <string>

#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/sink.h"

namespace lutra::golden {

// Whether a case is a run of an optimizer over recorded gradients.
bool IsOptimizerCase(const nlohmann::json& c);
void ReplayOptimizerCase(const GoldenFile& file, const nlohmann::json& c,
                         Comparison& comparison);

// The schedules that the file records, as cases of their own.
void ReplaySchedules(const GoldenFile& file, const std::string& prefix,
                     Sink& sink);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_OPTIMIZER_CASES_H_
