#ifndef LUTRA_QAT_TRAIN_TEACHER_CACHE_H_
#define LUTRA_QAT_TRAIN_TEACHER_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "lutra/qat/loss.h"
#include "lutra/runtime/safetensors.h"

// What a teacher says about the rows of a training run, in a file, so that
// several runs on the same data need it once: for each row the most probable
// classes and the logarithms of their probabilities. A safetensors file with
// "classes" (int32) and "log_probabilities" (float32), [steps, rows of a step,
// top]; steps of fewer rows end in zeros.

namespace lutra::qat {

struct TeacherCacheShape {
  int64_t steps = 0;
  size_t rows = 0;  // of a step, at most
  size_t top = 0;   // classes that are kept
  size_t classes = 0;
};

class TeacherCacheWriter {
 public:
  // `run` is a JSON object of all that determines what the rows are and
  // what the teacher says. Throws lutra::Error.
  TeacherCacheWriter(const std::filesystem::path& path,
                     const nlohmann::json& run, const TeacherCacheShape& shape,
                     Executor* executor);
  // Rows row ... row + m - 1 of a step, of which `logits` has nothing else.
  void Add(int64_t step, size_t row, size_t m, const TeacherLogits& logits);
  // A step has so many rows.
  void FinishStep(int64_t step, size_t rows);
  // The file appears. Throws lutra::Error.
  void Commit() { writer_.Commit(); }

 private:
  void Write(int64_t step, size_t row, std::span<const int32_t> classes,
             std::span<const float> log_probabilities);

  TeacherCacheShape shape_;
  Executor* executor_;
  SafetensorsWriter writer_;
};

// Reads a file of that run, which may have more steps than the run. Classes
// that were not kept share what probability is left.
class TeacherCache : public TeacherLogits {
 public:
  // Throws lutra::Error that names what differs for one of another run.
  TeacherCache(const std::filesystem::path& path, const nlohmann::json& run,
               const TeacherCacheShape& shape);

  // Rows are counted from this one on. Throws lutra::Error, naming the file, if
  // one of the `count` rows that follow holds something else than classes and
  // probabilities.
  void Seek(int64_t step, size_t row, size_t count);
  void Write(size_t row, size_t m, float* logits) const override;

 private:
  SafetensorsFile file_;
  TeacherCacheShape shape_;
  std::span<const int32_t> classes_;
  std::span<const float> log_probabilities_;
  size_t first_ = 0;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_TEACHER_CACHE_H_
