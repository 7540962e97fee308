#include "packer/encode/roundings.h"

#include <utility>

#include "lutra/packer/statistics.h"
#include "packer/calibrate/sample_runner.h"

namespace lutra::packer {

Roundings::Roundings(const Model& model, const PackOptions& options,
                     std::function<void()> tick)
    : model_(model), options_(options), tick_(std::move(tick)) {
  if (options.samples != nullptr) {
    CheckSamples(model, *options.samples);
    sequential_.emplace(model, *options.samples, options.which,
                        options.executor);
  }
}

const MomentRounding* Roundings::For(const WeightPlan& plan) {
  if (plan.method != PackMethod::kPostTraining) return nullptr;
  if (sequential_) {
    const std::optional<MatrixInput> input = InputOf(plan.weight.name);
    if (!input) return nullptr;
    return Latest({input->name}, input->columns, [&] {
      return sequential_->Next(*input, [this](size_t) { tick_(); });
    });
  }
  if (options_.statistics == nullptr) return nullptr;
  const std::vector<std::string> values =
      options_.statistics->ValuesOf(model_, plan.weight.name);
  if (values.empty()) return nullptr;
  return Latest(values, static_cast<size_t>(plan.weight.k),
                [&] { return SumOf(values); });
}

const MomentRounding* Roundings::Latest(
    const std::vector<std::string>& values, size_t k,
    const std::function<InputMoments()>& moments_of) {
  if (last_ == nullptr || values != values_) {
    last_.reset();
    InputMoments moments = moments_of();
    last_ = std::make_unique<MomentRounding>(std::move(moments.moments), k,
                                             options_.rounding, moments.cross);
    values_ = values;
  }
  return last_.get();
}

void Roundings::Replace(const std::string& weight, PackedWeight packed) {
  if (!sequential_) return;
  PackedWeight& kept = packed_[weight] = std::move(packed);
  sequential_->Replace(weight, kept.Bytes());
}

// What an embedding gives is needed before what an output matrix takes.
std::optional<MatrixInput> Roundings::InputOf(const std::string& weight) const {
  for (const Node& node : model_.graph().nodes) {
    if (node.weight != weight) continue;
    return FindLayerInput(model_, node);
  }
  return std::nullopt;
}

InputMoments Roundings::SumOf(const std::vector<std::string>& values) const {
  const Statistics& statistics = *options_.statistics;
  InputMoments sum{statistics.Moments(values[0]), {}};
  for (size_t i = 1; i < values.size(); ++i) {
    const std::vector<float> more = statistics.Moments(values[i]);
    for (size_t j = 0; j < more.size(); ++j) sum.moments[j] += more[j];
  }
  return sum;
}

}  // namespace lutra::packer
