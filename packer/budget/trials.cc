#include "packer/budget/trials.h"

#include <algorithm>
#include <utility>

#include "lutra/qat/loss.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/program.h"

namespace lutra::packer {
namespace {

// Rows of a call, whose outputs are held.
constexpr size_t kRows = 128;

}  // namespace

Trials::Trials(const Model& model, const qat::Samples& samples,
               std::vector<uint32_t> which, Executor* executor)
    : model_(model),
      samples_(samples),
      which_(std::move(which)),
      executor_(executor) {
  if (model.inputs().size() != 1 || model.outputs().size() != 1) {
    throw Error::InFile(model.path(),
                        "trials need a model with one input and one output");
  }
  samples.CheckGraph(model.graph(), model.outputs()[0].ElementCount());
  Run(model, [this](Span<const float> outputs, Span<const int32_t>) {
    expected_.insert(expected_.end(), outputs.begin(), outputs.end());
  });
}

// Calls each(outputs, targets) for rows in order.
template <typename Each>
void Trials::Run(const Model& model, const Each& each) const {
  ProgramOptions options;
  options.activations = kernels::ActivationType::kFloat32;
  options.cache = CacheType::kFloat32;
  options.executor = executor_;
  options.threads = 1;
  options.context = samples_.RowsOfSample();
  Program program(std::shared_ptr<const Model>(std::shared_ptr<void>(), &model),
                  options);
  const size_t width = model.outputs()[0].ElementCount();
  const size_t row_bytes = model.inputs()[0].ElementCount() * sizeof(float);
  std::vector<float> outputs(kRows * width);
  qat::SampleBatch batch;
  for (const uint32_t sample : which_) {
    batch.Clear();
    samples_.Load({&sample, 1}, 0, batch);
    Sequence sequence = program.NewSequence();
    const size_t rows = batch.targets.size();
    for (size_t begin = 0; begin < rows; begin += kRows) {
      const size_t count = std::min(kRows, rows - begin);
      const void* input =
          static_cast<const char*>(batch.Input()) + begin * row_bytes;
      float* output = outputs.data();
      const Program::Rows call{&sequence, count};
      program.Run({&call, 1}, {&input, 1}, {&output, 1});
      each(Span<const float>(outputs.data(), count * width),
           Span<const int32_t>(batch.targets.data() + begin, count));
    }
  }
}

double Trials::Divergence(const std::string& weight,
                          Span<const std::byte> blob) const {
  std::vector<TensorView> tensors;
  for (TensorView tensor : model_.file().tensors()) {
    if (tensor.name == weight) {
      tensor.dtype = DType::kUInt8;
      tensor.data = blob;
      tensor.shape = {static_cast<int64_t>(blob.size())};
    }
    tensors.push_back(tensor);
  }
  const auto trial =
      Model::FromTensors(model_.graph(), std::move(tensors), model_.path());
  qat::ClassificationOptions only_teacher;
  only_teacher.distillation = 1.0;
  size_t place = 0;
  double sum = 0;
  size_t rows = 0;
  Run(*trial, [&](Span<const float> outputs, Span<const int32_t> targets) {
    sum += qat::SoftmaxCrossEntropy(outputs, targets, only_teacher, 1.0f, {},
                                    {expected_.data() + place, outputs.size()},
                                    executor_)
               .loss;
    place += outputs.size();
    rows += targets.size();
  });
  return sum / static_cast<double>(rows);
}

}  // namespace lutra::packer
