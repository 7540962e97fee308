#include "packer/encode/roundings.h"

#include <utility>

#include "lutra/packer/statistics.h"

namespace lutra::packer {

Roundings::Roundings(const Model& model, const PackOptions& options,
                     std::function<void()> tick)
    : model_(model), options_(options), tick_(std::move(tick)) {
  if (options.samples != nullptr) {
    sequential_.emplace(model, *options.samples, options.which,
                        options.executor);
  }
}

const MomentRounding* Roundings::For(const WeightPlan& plan) {
  if (plan.method != PackMethod::kPostTraining) return nullptr;
  std::vector<std::string> values = ValuesOf(plan);
  if (values.empty()) return nullptr;
  if (last_ == nullptr || values != values_) {
    last_.reset();
    const auto k = static_cast<size_t>(plan.weight.k);
    InputMoments moments = MomentsOf(values);
    last_ = std::make_unique<MomentRounding>(std::move(moments.moments), k,
                                             options_.rounding, moments.cross);
    values_ = std::move(values);
  }
  return last_.get();
}

void Roundings::Replace(const std::string& weight, PackedWeight packed) {
  if (!sequential_) return;
  PackedWeight& kept = packed_[weight] = std::move(packed);
  sequential_->Replace(weight, kept.Bytes());
}

std::vector<std::string> Roundings::ValuesOf(const WeightPlan& plan) const {
  const std::string& weight = plan.weight.name;
  if (options_.statistics != nullptr) {
    return options_.statistics->ValuesOf(model_, weight);
  }
  // What an embedding gives is needed before what an output matrix takes.
  if (!sequential_ || plan.weight.op != OpType::kLinear) return {};
  for (const Node& node : model_.graph().nodes) {
    if (node.op == OpType::kLinear && node.weight == weight) {
      return {node.inputs[0]};
    }
  }
  return {};
}

InputMoments Roundings::MomentsOf(const std::vector<std::string>& values) {
  if (sequential_) {
    return sequential_->Next(values[0], [this](size_t) { tick_(); });
  }
  const Statistics& statistics = *options_.statistics;
  InputMoments sum{statistics.Moments(values[0]), {}};
  for (size_t i = 1; i < values.size(); ++i) {
    const std::vector<float> more = statistics.Moments(values[i]);
    for (size_t j = 0; j < more.size(); ++j) sum.moments[j] += more[j];
  }
  return sum;
}

}  // namespace lutra::packer
