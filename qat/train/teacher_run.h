#ifndef LUTRA_QAT_TRAIN_TEACHER_RUN_H_
#define LUTRA_QAT_TRAIN_TEACHER_RUN_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "lutra/kernels/executor.h"
#include "lutra/qat/trainable_model.h"
#include "qat/train/step_batches.h"
#include "qat/train/teacher_cache.h"

namespace lutra::qat {

// Runs a teacher over all steps of a training and writes what it says into a
// file (TeacherCacheWriter). Calls progress(steps done, all), which may throw.
// Throws lutra::Error.
void RunTeacher(const TrainableModel& teacher, StepBatches& batches,
                const std::filesystem::path& path, const nlohmann::json& run,
                const TeacherCacheShape& shape, Executor* executor,
                const std::function<void(int64_t, int64_t)>& progress);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_TEACHER_RUN_H_
