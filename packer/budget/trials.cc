#include "packer/budget/trials.h"

#include <utility>

#include "lutra/qat/loss.h"
#include "lutra/runtime/error.h"
#include "packer/calibrate/sample_runner.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

// Rows of a call, whose outputs are held.
constexpr size_t kRows = 128;

}  // namespace

Trials::Trials(const std::shared_ptr<const Model>& model,
               const qat::Samples& samples, std::vector<uint32_t> which,
               Executor* executor)
    : model_(*model),
      samples_(samples),
      which_(std::move(which)),
      executor_(executor) {
  if (model->inputs().size() != 1 || model->outputs().size() != 1) {
    throw Error::InFile(model->path(),
                        "trials need a model with one input and one output");
  }
  width_ = model->outputs()[0].ElementCount();
  samples.CheckGraph(model->graph(), width_);
  SampleRunner runner(model, model->graph(), samples, kRows, executor);
  runner.Run(which_, [&](size_t count, Span<const int32_t>) {
    const float* outputs = runner.outputs()[0].data();
    expected_.insert(expected_.end(), outputs, outputs + count * width_);
  });
}

double Trials::Divergence(const std::string& weight,
                          Span<const std::byte> blob) const {
  const auto trial = Model::FromTensors(
      model_.graph(), TensorsOf(model_.graph(), model_, {{weight, blob}}),
      model_.path());
  qat::ClassificationOptions only_teacher;
  only_teacher.distillation = 1.0;
  SampleRunner runner(trial, model_.graph(), samples_, kRows, executor_);
  size_t row = 0;
  double sum = 0;
  runner.Run(which_, [&](size_t count, Span<const int32_t> targets) {
    const size_t elements = count * width_;
    sum += qat::SoftmaxCrossEntropy(
               {runner.outputs()[0].data(), elements}, targets, only_teacher,
               1.0f, {}, {expected_.data() + row * width_, elements}, executor_)
               .loss;
    row += count;
  });
  return sum / static_cast<double>(row);
}

}  // namespace lutra::packer
