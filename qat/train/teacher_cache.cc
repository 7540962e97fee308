#include "qat/train/teacher_cache.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string_view>

#include "kernels/base/parallel.h"
#include "lutra/runtime/error.h"
#include "qat/train/run_description.h"
#include "runtime/base/json.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

// The metadata key of the run.
constexpr std::string_view kTeacherKey = "lutra.teacher";
constexpr const char* kClasses = "classes";
constexpr const char* kLogProbabilities = "log_probabilities";
// What no class gets less than, so that its logarithm is a number.
constexpr double kLeastRest = 1e-12;

std::vector<TensorInfo> Tensors(const TeacherCacheShape& shape) {
  const std::vector<int64_t> dimensions = {shape.steps,
                                           static_cast<int64_t>(shape.rows),
                                           static_cast<int64_t>(shape.top)};
  return {{kClasses, DType::kInt32, dimensions},
          {kLogProbabilities, DType::kFloat32, dimensions}};
}

// The classes of the largest logits, the lower one first where they are equal,
// and the logarithms of their probabilities. `order` is scratch, a number for
// each class.
void MostProbable(std::span<const float> logits, std::span<int32_t> order,
                  std::span<int32_t> classes,
                  std::span<float> log_probabilities) {
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(),
                    order.begin() + static_cast<std::ptrdiff_t>(classes.size()),
                    order.end(), [logits](int32_t a, int32_t b) {
                      const float x = logits[static_cast<size_t>(a)];
                      const float y = logits[static_cast<size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  const double most = logits[static_cast<size_t>(order[0])];
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - most);
  const double log_sum = most + std::log(sum);
  for (size_t k = 0; k < classes.size(); ++k) {
    classes[k] = order[k];
    log_probabilities[k] =
        static_cast<float>(logits[static_cast<size_t>(order[k])] - log_sum);
  }
}

}  // namespace

TeacherCacheWriter::TeacherCacheWriter(const std::filesystem::path& path,
                                       const json& run,
                                       const TeacherCacheShape& shape,
                                       Executor* executor)
    : shape_(shape),
      executor_(executor),
      writer_(path, {{std::string(kTeacherKey), run.dump()}}, Tensors(shape)) {}

void TeacherCacheWriter::Add(int64_t step, size_t row, size_t m,
                             const TeacherLogits& logits) {
  constexpr size_t kBlock = 64;  // rows whose logits are held
  constexpr size_t kTile = 4;
  const size_t top = shape_.top;
  const size_t count = shape_.classes;
  std::vector<float> x(kBlock * count);
  std::vector<int32_t> classes(kBlock * top);
  std::vector<float> values(kBlock * top);
  for (size_t first = 0; first < m; first += kBlock) {
    const size_t rows = std::min(kBlock, m - first);
    logits.Write(first, rows, x.data());
    ParallelFor(executor_, rows, kTile, [&](size_t begin, size_t end) {
      std::vector<int32_t> order(count);
      for (size_t i = begin; i < end; ++i) {
        MostProbable({x.data() + i * count, count}, order,
                     {classes.data() + i * top, top},
                     {values.data() + i * top, top});
      }
    });
    Write(step, row + first, std::span(classes).first(rows * top),
          std::span(values).first(rows * top));
  }
}

void TeacherCacheWriter::FinishStep(int64_t step, size_t rows) {
  const size_t missing = (shape_.rows - rows) * shape_.top;
  if (missing == 0) return;
  Write(step, rows, std::vector<int32_t>(missing), std::vector<float>(missing));
}

void TeacherCacheWriter::Write(int64_t step, size_t row,
                               std::span<const int32_t> classes,
                               std::span<const float> log_probabilities) {
  const size_t begin =
      (static_cast<size_t>(step) * shape_.rows + row) * shape_.top;
  writer_.WritePart(kClasses, begin * sizeof(int32_t), std::as_bytes(classes));
  writer_.WritePart(kLogProbabilities, begin * sizeof(float),
                    std::as_bytes(log_probabilities));
}

TeacherCache::TeacherCache(const std::filesystem::path& path, const json& run,
                           const TeacherCacheShape& shape)
    : file_(SafetensorsFile::Open(path)), shape_(shape) {
  const auto key = file_.metadata().find(std::string(kTeacherKey));
  if (key == file_.metadata().end()) {
    throw Error::InFile(file_.path(), "has no outputs of a teacher");
  }
  const JsonDocument saved = ParseJson(key->second, file_.path(), kTeacherKey);
  if (!saved.root().is_object()) {
    throw Error::InFile(file_.path(), "'lutra.teacher' is not a JSON object");
  }
  CheckRun("outputs of a teacher", saved.root(), run, file_.path());
  const TensorView& classes = file_.Get(kClasses);
  const TensorView& values = file_.Get(kLogProbabilities);
  std::vector<int64_t> wanted = Tensors(shape)[0].shape;
  if (!classes.shape.empty() && classes.shape[0] > wanted[0]) {
    wanted[0] = classes.shape[0];
  }
  for (const TensorView* const tensor : {&classes, &values}) {
    if (tensor->shape != wanted) {
      throw Error::InTensor(file_.path(), tensor->name,
                            "its shape is " + ShapeToString(tensor->shape) +
                                ", not " + ShapeToString(wanted) +
                                " (steps, rows of a step, classes)");
    }
  }
  log_probabilities_ = values.Floats(file_.path());
  if (classes.dtype != DType::kInt32 ||
      std::bit_cast<uintptr_t>(classes.data.data()) % alignof(int32_t) != 0) {
    throw Error::InTensor(file_.path(), kClasses, "is not of aligned int32");
  }
  classes_ = {reinterpret_cast<const int32_t*>(classes.data.data()),
              classes.ElementCount()};
}

void TeacherCache::Seek(int64_t step, size_t row, size_t count) {
  first_ = static_cast<size_t>(step) * shape_.rows + row;
  const auto classes =
      classes_.subspan(first_ * shape_.top, count * shape_.top);
  const auto values =
      log_probabilities_.subspan(first_ * shape_.top, count * shape_.top);
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] >= 0 && static_cast<size_t>(classes[i]) < shape_.classes &&
        std::isfinite(values[i]) && values[i] <= 0.0f) {
      continue;
    }
    throw Error::InFile(file_.path(),
                        "step " + std::to_string(step + 1) +
                            " holds something else than classes and logarithms "
                            "of probabilities");
  }
}

void TeacherCache::Write(size_t row, size_t m, float* logits) const {
  const size_t top = shape_.top;
  const size_t others = shape_.classes - top;
  for (size_t i = 0; i < m; ++i) {
    const size_t begin = (first_ + row + i) * top;
    float* const of_row = logits + i * shape_.classes;
    double rest = 1.0;
    for (size_t k = 0; k < top; ++k) {
      rest -= std::exp(static_cast<double>(log_probabilities_[begin + k]));
    }
    if (others > 0) {
      const double each =
          std::max(rest, kLeastRest) / static_cast<double>(others);
      std::fill_n(of_row, shape_.classes, static_cast<float>(std::log(each)));
    }
    for (size_t k = 0; k < top; ++k) {
      of_row[classes_[begin + k]] = log_probabilities_[begin + k];
    }
  }
}

}  // namespace lutra::qat
