#ifndef LUTRA_QAT_TRAIN_CHECKPOINT_H_
#define LUTRA_QAT_TRAIN_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lutra/qat/optimizer.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/trainable_model.h"

// What an interrupted training run needs to go on: a folder with the model as
// it stands (model.safetensors, a model file like any other, whose metadata
// also holds the run) and the state of the optimizer
// (optimizer-STEP.safetensors).

namespace lutra::qat {

// The metadata key of the run.
inline constexpr std::string_view kTrainKey = "lutra.train";

// In the description of a run, an object with the values whose ranges move.
inline constexpr const char* kMovingRangesKey = "moving ranges";

// Where a run stands.
struct TrainPosition {
  int64_t step = 0;       // done
  double loss_sum = 0.0;  // over the images seen in the current epoch
  size_t correct = 0;
  size_t seen = 0;
  // Of activations, where they move.
  RangeStatistics::Entries ranges = {};
};

// `run` is a JSON object of all that determines the result of the run.
// The model file is written last and names the state it belongs to: a crash at
// any moment leaves a checkpoint that can be loaded, this or the one before.
// Throws lutra::Error.
void SaveCheckpoint(const std::filesystem::path& folder,
                    const nlohmann::json& run, const TrainPosition& position,
                    const TrainableModel& model, const SchemeMap& schemes,
                    Optimizer& optimizer);

// Loads into a model and an optimizer made by the same run. Throws lutra::Error
// that names the cause, having changed nothing, for a checkpoint that is
// damaged or of another model or run.
TrainPosition LoadCheckpoint(const std::filesystem::path& folder,
                             const nlohmann::json& run, TrainableModel& model,
                             Optimizer& optimizer);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_CHECKPOINT_H_
