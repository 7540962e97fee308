#include "lutra/eval/anomaly.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "lutra/eval/buffers.h"
#include "lutra/runtime/error.h"

namespace lutra::eval {
namespace {

// Windows per call: enough to keep the matrix kernels busy.
constexpr size_t kAnomalyBatch = 256;

double SquaredDifference(const float* a, const float* b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    sum += difference * difference;
  }
  return sum / static_cast<double>(count);
}

// Of each window.
std::vector<double> ReconstructionErrors(
    Session& session, const qat::LabelledImages& windows,
    const std::function<void(size_t done)>& progress) {
  const Model& model = session.model();
  const size_t values = windows.Features();
  Buffers buffers(model, kAnomalyBatch);
  session.Prepare(kAnomalyBatch);
  std::vector<double> errors;
  for (size_t first = 0; first < windows.count; first += kAnomalyBatch) {
    if (progress) progress(first);
    const size_t count = std::min(kAnomalyBatch, windows.count - first);
    const float* inputs = windows.images.data() + first * values;
    std::memcpy(buffers.input(0), inputs, count * values * sizeof(float));
    buffers.Run(session, count);
    const float* outputs = buffers.output(0).data();
    for (size_t i = 0; i < count; ++i) {
      errors.push_back(
          SquaredDifference(inputs + i * values, outputs + i * values, values));
      if (!std::isfinite(errors.back())) {
        throw Error::InFile(model.path(), "output '" + model.outputs()[0].name +
                                              "' is not finite for window " +
                                              std::to_string(first + i));
      }
    }
  }
  return errors;
}

// By ranks (Mann and Whitney): of `scored`, scores with their labels.
double AreaUnderCurve(std::vector<std::pair<double, uint8_t>> scored) {
  std::sort(scored.begin(), scored.end());
  double below = 0;  // normal recordings with a smaller score
  double normals = 0;
  double anomalies = 0;
  double pairs = 0;
  for (size_t begin = 0; begin < scored.size();) {
    size_t end = begin;
    double equal[2] = {0, 0};
    for (; end < scored.size() && scored[end].first == scored[begin].first;
         ++end) {
      equal[scored[end].second] += 1;
    }
    pairs += equal[1] * (below + equal[0] / 2);
    below += equal[0];
    normals += equal[0];
    anomalies += equal[1];
    begin = end;
  }
  return pairs / (normals * anomalies);
}

}  // namespace

void CheckReconstructs(const Model& model,
                       const qat::LabelledRecordings& data) {
  if (model.inputs().size() != 1 || model.outputs().size() != 1 ||
      model.inputs()[0].type != ValueType::kFloat32 ||
      model.inputs()[0].ElementCount() != model.outputs()[0].ElementCount()) {
    throw Error::InFile(model.path(),
                        "does not reconstruct windows: it must have one "
                        "float32 input and one output of the same size");
  }
  const size_t values = model.inputs()[0].ElementCount();
  if (values != data.windows.Features()) {
    throw Error::InFile(model.path(),
                        "takes " + std::to_string(values) +
                            " values, but a window of the data set has " +
                            std::to_string(data.windows.Features()));
  }
}

AnomalyScores ScoreRecordings(
    Session& session, const qat::LabelledRecordings& data,
    const std::function<void(size_t done)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<double> errors =
      ReconstructionErrors(session, data.windows, progress);
  AnomalyScores result;
  std::vector<std::pair<double, uint8_t>> scored;
  double sums[2] = {0, 0};
  double counts[2] = {0, 0};
  size_t window = 0;
  for (const auto& recording : data.recordings) {
    double sum = 0;
    for (size_t i = 0; i < recording.windows; ++i) sum += errors[window++];
    const double score = sum / static_cast<double>(recording.windows);
    result.scores.push_back(score);
    scored.emplace_back(score, recording.label);
    sums[recording.label] += score;
    counts[recording.label] += 1;
  }
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const bool both = counts[0] > 0 && counts[1] > 0;
  result.auc = both ? AreaUnderCurve(std::move(scored)) : kNone;
  result.normal = counts[0] > 0 ? sums[0] / counts[0] : kNone;
  result.anomalous = counts[1] > 0 ? sums[1] / counts[1] : kNone;
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return result;
}

}  // namespace lutra::eval
