#ifndef LUTRA_QAT_TRAIN_RUN_OPTIONS_H_
#define LUTRA_QAT_TRAIN_RUN_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/qat/learning_rate.h"
#include "lutra/qat/loss.h"
#include "lutra/qat/optimizer.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/trainer.h"

// What the options of a training mean for a run of so many steps.

namespace lutra::qat {

// Throws lutra::Error for options out of range.
void CheckOptions(const TrainOptions& options);

// The steps in which weights are pulled to their grids. Throws lutra::Error.
ParqSchedule MakeSchedule(const QuantizedTraining& quantization,
                          int64_t steps_per_epoch, int64_t total_steps);
// Throws lutra::Error for a name that is none.
std::shared_ptr<const ProxMap> MakeProxMap(const std::string& name,
                                           const ParqSchedule& schedule,
                                           uint64_t seed);

LearningRateSchedule MakeRateSchedule(const TrainOptions& options,
                                      int64_t steps_per_epoch,
                                      int64_t total_steps);

std::unique_ptr<Optimizer> MakeBaseOptimizer(const TrainOptions& options,
                                             std::vector<ParamGroup> groups);

ClassificationOptions LossOptions(const TrainOptions& options);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_RUN_OPTIONS_H_
