#include "qat/train/teacher_run.h"

#include <set>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "qat/train/loss_head.h"

namespace lutra::qat {

void RunTeacher(const TrainableModel& teacher, StepBatches& batches,
                const std::filesystem::path& path, const nlohmann::json& run,
                const TeacherCacheShape& shape, Executor* executor,
                const std::function<void(int64_t, int64_t)>& progress) {
  std::set<std::string, std::less<>> frozen;
  for (const auto& [name, tensor] : teacher.parameters) frozen.insert(name);
  LossHead network(teacher.graph, teacher.parameters, {}, executor, frozen);
  if (network.classes() != shape.classes) {
    throw Error("the teacher tells " + std::to_string(network.classes()) +
                " classes apart, the model " + std::to_string(shape.classes));
  }
  TeacherCacheWriter writer(path, run, shape, executor);
  for (int64_t step = 0; step < shape.steps; ++step) {
    size_t row = 0;
    for (const std::vector<SampleBatch>& shard : batches.Load(step)) {
      for (const SampleBatch& batch : shard) {
        const size_t rows = batch.targets.size();
        writer.Add(step, row, rows,
                   network.Logits(batch.sequences, batch.Input()));
        row += rows;
      }
    }
    writer.FinishStep(step, row);
    if (progress) progress(step + 1, shape.steps);
  }
  writer.Commit();
}

}  // namespace lutra::qat
