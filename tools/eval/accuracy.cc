#include "lutra/eval/accuracy.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "lutra/eval/buffers.h"
#include "lutra/runtime/error.h"

namespace lutra::eval {
namespace {

// Images per call: enough to keep the matrix kernels busy.
constexpr size_t kBatch = 256;

void CopyImages(const qat::LabelledImages& data, size_t first, size_t count,
                Buffers& buffers) {
  const size_t features = data.Features();
  const size_t bytes = features * sizeof(float);
  for (size_t i = 0; i < count; ++i) {
    const size_t image = (first + i) % data.count;
    std::memcpy(buffers.input(0) + i * bytes,
                data.images.data() + image * features, bytes);
  }
}

// The first of the largest scores; nullopt if one is not finite. Infinities
// count: a dense layer with a NaN weight was seen to give no NaN.
std::optional<uint32_t> LargestScore(std::span<const float> scores) {
  size_t best = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) return std::nullopt;
    if (scores[i] > scores[best]) best = i;
  }
  return static_cast<uint32_t>(best);
}

}  // namespace

void CheckClassifies(const Model& model, const qat::LabelledImages& data) {
  if (model.inputs().size() != 1 || model.outputs().size() != 1 ||
      model.inputs()[0].type != ValueType::kFloat32) {
    throw Error::InFile(model.path(),
                        "does not classify images: it must have one float32 "
                        "input and one output");
  }
  const size_t features = model.inputs()[0].ElementCount();
  if (features != data.Features()) {
    throw Error::InFile(model.path(),
                        "takes " + std::to_string(features) +
                            " values, but an image of the data set has " +
                            std::to_string(data.Features()));
  }
  const size_t scores = model.outputs()[0].ElementCount();
  if (scores < data.Classes()) {
    throw Error::InFile(model.path(), "gives " + std::to_string(scores) +
                                          " scores, but the data set has " +
                                          std::to_string(data.Classes()) +
                                          " classes");
  }
}

double Predictions::Accuracy() const {
  if (classes.empty()) return 0;
  return static_cast<double>(correct) / static_cast<double>(classes.size());
}

Predictions Classify(Session& session, const qat::LabelledImages& data,
                     const std::function<void(size_t done)>& progress) {
  const Model& model = session.model();
  const size_t scores = model.outputs()[0].ElementCount();
  const size_t batch = std::min(kBatch, std::max<size_t>(data.count, 1));
  Buffers buffers(model, batch);
  session.Prepare(batch);
  Predictions predictions;
  const auto start = std::chrono::steady_clock::now();
  for (size_t first = 0; first < data.count; first += batch) {
    if (progress) progress(first);
    const size_t count = std::min(batch, data.count - first);
    CopyImages(data, first, count, buffers);
    buffers.Run(session, count);
    const std::span<const float> outputs = buffers.output(0);
    for (size_t i = 0; i < count; ++i) {
      const std::optional<uint32_t> predicted =
          LargestScore(outputs.subspan(i * scores, scores));
      if (!predicted.has_value()) {
        throw Error::InFile(model.path(), "output '" + model.outputs()[0].name +
                                              "' is not finite for image " +
                                              std::to_string(first + i));
      }
      if (*predicted == data.labels[first + i]) ++predictions.correct;
      predictions.classes.push_back(*predicted);
    }
  }
  predictions.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return predictions;
}

size_t CountDifferent(const Predictions& a, const Predictions& b) {
  size_t different = 0;
  for (size_t i = 0; i < a.classes.size(); ++i) {
    if (a.classes[i] != b.classes[i]) ++different;
  }
  return different;
}

Timing TimeClassification(Session& session, const qat::LabelledImages& data,
                          size_t batch, const TimingOptions& options) {
  Buffers buffers(session.model(), batch);
  CopyImages(data, 0, batch, buffers);
  session.Prepare(batch);
  return TimeCalls([&] { buffers.Run(session, batch); }, options);
}

}  // namespace lutra::eval
