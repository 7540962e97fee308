#ifndef LUTRA_TESTS_GOLDEN_REPLAY_PARQ_CASES_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_PARQ_CASES_H_

#include <nlohmann/json.hpp>

#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/sink.h"

namespace lutra::qat {

// One function per kind of case, which gets the case's JSON and compares. They
// throw for a case that cannot be replayed.
void ReplayQuantizer(const golden::GoldenFile& file, const nlohmann::json& c,
                     golden::Comparison& comparison);
void ReplayProxMap(const golden::GoldenFile& file, const nlohmann::json& c,
                   golden::Comparison& comparison);
// With the gradients that are recorded.
void ReplayOptimizer(const golden::GoldenFile& file, const nlohmann::json& c,
                     golden::Comparison& comparison);
// The same run with gradients computed here; compares the losses.
void ReplayTraining(const golden::GoldenFile& file, const nlohmann::json& c,
                    golden::Comparison& comparison);
void ReplayConversion(const golden::GoldenFile& file, const nlohmann::json& c,
                      golden::Comparison& comparison);
// One hard step with learning rate 0, then conversion of the latent weights.
void ReplayStepAndConversion(const golden::GoldenFile& file,
                             const nlohmann::json& c,
                             golden::Comparison& comparison);
void ReplayFakeQuant(const golden::GoldenFile& file, const nlohmann::json& c,
                     golden::Comparison& comparison);
void ReplayFakeQuantLinear(const golden::GoldenFile& file,
                           const nlohmann::json& c,
                           golden::Comparison& comparison);
void ReplayLearnedRanges(const golden::GoldenFile& file,
                         const nlohmann::json& c,
                         golden::Comparison& comparison);

// What a file holds beside the cases it lists, if anything.
void ReplaySchedule(const golden::GoldenFile& file, golden::Sink& sink);
void ReplayActivations(const golden::GoldenFile& file, golden::Sink& sink);

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_PARQ_CASES_H_
