#include "tests/golden_replay/train/trajectory.h"

#include <cmath>
#include <limits>
#include <utility>

#include "lutra/qat/gradient_clip.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "qat/train/loss_head.h"
#include "qat/train/param_groups.h"

namespace lutra::golden {
namespace {

constexpr double kExact = 1e-12;

// The root of the mean of the squares of the differences, relative to that of
// what was expected.
float RelativeRms(std::span<const float> got, std::span<const float> expected) {
  if (got.size() != expected.size()) {
    return std::numeric_limits<float>::infinity();
  }
  double difference = 0.0;
  double size = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = double{got[i]} - expected[i];
    difference += d * d;
    size += double{expected[i]} * expected[i];
  }
  return static_cast<float>(std::sqrt(difference / size));
}

void CompareRms(const std::string& what, std::span<const float> got,
                std::span<const float> expected, double tolerance,
                Comparison& comparison) {
  const float rms = RelativeRms(got, expected);
  const double nothing = 0.0;
  comparison.Within("relative RMS of " + what, {&rms, 1}, {&nothing, 1}, 1.0,
                    tolerance);
}

class Replay {
 public:
  Replay(Trajectory& t, const TrajectoryRecord& record, Comparison& comparison)
      : t_(t),
        record_(record),
        comparison_(comparison),
        head_(t.graph, t.parameters, t.loss, nullptr, t.frozen) {
    if (t.teacher != nullptr) head_.SetTeacher(t.graph, *t.teacher);
    MakeOptimizer();
  }

  void Run() {
    for (size_t step = 0; step < t_.steps; ++step) Step(step);
    Compare("loss", losses_, t_.tolerances.loss, /*absolute=*/true);
    Compare("norm", norms_, t_.tolerances.norm);
    Compare("lr", rates_, kExact);
    Compare("inv_slope", slopes_, kExact);
    Compare("weight_decay", decays_, kExact);
    for (const auto& [recorded, name] : record_.names) {
      CompareFinal(recorded, name);
    }
    if (record_.Has("eval")) {
      const qat::SampleBatch batch = t_.batch(t_.steps);
      const auto loss =
          head_.Judge(batch.sequences, batch.Input(), batch.targets);
      Compare("eval", {loss.loss / static_cast<double>(loss.rows)},
              t_.tolerances.eval,
              /*absolute=*/true);
    }
  }

 private:
  void MakeOptimizer() {
    qat::ParamGroups groups = qat::MakeParamGroups(
        t_.parameters, head_.gradients(), t_.schemes, {}, t_.weight_decay);
    optimizer_ = t_.optimizer(std::move(groups.groups));
    if (!t_.parq) return;
    qat::QuantOptimizerOptions options;
    options.warmup_steps = t_.parq->warmup;
    options.quant_period = t_.parq->period;
    options.per_channel = true;
    options.anneal_wd_frac = t_.parq->decay_share;
    auto quantized = std::make_unique<qat::QuantOptimizer>(
        std::move(optimizer_),
        qat::MakeQuantizer(groups.schemes.at(0).quantizer),
        qat::MakeProxParq({.start = t_.parq->start,
                           .end = t_.parq->end,
                           .steepness = t_.parq->steepness}),
        options);
    quantized_ = quantized.get();
    optimizer_ = std::move(quantized);
  }

  void Step(size_t step) {
    const qat::SampleBatch batch = t_.batch(step);
    const size_t rows = batch.targets.size();
    qat::TensorMap& gradients = head_.gradients();
    head_.ClearGradients();
    const auto loss = head_.Run(batch.sequences, batch.Input(), batch.targets,
                                1.0f / static_cast<float>(rows));
    losses_.push_back(loss.loss / static_cast<double>(rows));
    if (step == 0) CompareFirstGradients();
    norms_.push_back(qat::ClipGradients(gradients, t_.clip, nullptr));
    rates_.push_back(t_.learning_rate *
                     t_.schedule.Factor(static_cast<int64_t>(step)));
    for (qat::ParamGroup& group : optimizer_->groups()) {
      group.lr = rates_.back();
    }
    optimizer_->Step(nullptr);
    const qat::ParamGroup& first = optimizer_->groups()[0];
    slopes_.push_back(
        first.inv_slope.value_or(std::numeric_limits<double>::quiet_NaN()));
    decays_.push_back(first.weight_decay);
  }

  void CompareFirstGradients() {
    for (const auto& [recorded, name] : record_.names) {
      const std::string tensor = "grad0/" + recorded;
      if (!record_.Has(tensor)) continue;
      CompareRms(tensor, head_.gradients().find(name)->second.values,
                 record_.Load<float>(tensor), t_.tolerances.first_gradient,
                 comparison_);
    }
  }

  // A series of numbers, if it was recorded.
  void Compare(const std::string& tensor, std::vector<double> got,
               double tolerance, bool absolute = false) {
    if (!record_.Has(tensor)) return;
    auto expected = record_.Load<double>(tensor);
    for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
      if (std::isnan(got[i]) && std::isnan(expected[i])) {
        got[i] = expected[i] = 0.0;
      }
    }
    if (absolute) {
      std::vector<float> differences;
      for (size_t i = 0; i < got.size() && i < expected.size(); ++i) {
        differences.push_back(static_cast<float>(got[i] - expected[i]));
      }
      const std::vector<double> nothing(expected.size(), 0.0);
      comparison_.Within(tensor, differences, nothing, 1.0, tolerance);
    } else {
      comparison_.Relative(tensor, got, expected, tolerance);
    }
  }

  void CompareFinal(const std::string& recorded, const std::string& name) {
    const auto& got = t_.parameters.find(name)->second.values;
    if (record_.Has(recorded)) {
      CompareRms(recorded, got, record_.Load<float>(recorded),
                 t_.tolerances.final, comparison_);
    }
    if (record_.Has("final/" + recorded)) {
      CompareRms("final " + recorded, got,
                 record_.Load<float>("final/" + recorded), t_.tolerances.final,
                 comparison_);
    }
    if (record_.Has("index/" + recorded)) CompareIndices(recorded, name);
    if (record_.Has("latent/" + recorded)) {
      const auto latent = quantized_->Latent(name);
      CompareRms("latent " + recorded, latent,
                 record_.Load<float>("latent/" + recorded), t_.tolerances.final,
                 comparison_);
    }
    if (record_.Has("quants/" + recorded)) {
      CompareRms("grids of " + recorded, quantized_->Grids(name),
                 record_.Load<float>("quants/" + recorded), t_.tolerances.final,
                 comparison_);
    }
  }

  // weight = scale * (index - 1.5).
  void CompareIndices(const std::string& recorded, const std::string& name) {
    const auto& got = t_.parameters.find(name)->second.values;
    const auto indices = record_.Load<uint8_t>("index/" + recorded);
    const auto scales = record_.Load<float>("scale/" + recorded);
    const size_t group = indices.size() / scales.size();
    std::vector<float> expected;
    size_t others = 0;
    for (size_t i = 0; i < indices.size(); ++i) {
      const float scale = scales[i / group];
      expected.push_back(scale * (static_cast<float>(indices[i]) - 1.5f));
      others += std::lround(got[i] / scale + 1.5f) != long{indices[i]};
    }
    const auto share =
        static_cast<float>(others) / static_cast<float>(indices.size());
    const double nothing = 0.0;
    comparison_.Within("share of other indices of " + recorded, {&share, 1},
                       {&nothing, 1}, 1.0, t_.tolerances.indices);
    if (others == 0) {
      CompareRms("weights of " + recorded, got, expected, t_.tolerances.final,
                 comparison_);
    }
  }

  Trajectory& t_;
  const TrajectoryRecord& record_;
  Comparison& comparison_;
  qat::LossHead head_;
  std::unique_ptr<qat::Optimizer> optimizer_;
  qat::QuantOptimizer* quantized_ = nullptr;
  std::vector<double> losses_, norms_, rates_, slopes_, decays_;
};

}  // namespace

RecordedParq::RecordedParq(const nlohmann::json& description)
    : period(description.at("period")),
      warmup(description.at("warm")),
      start(description.at("start")),
      end(description.at("end")),
      steepness(description.at("steep")),
      decay_share(description.at("wd")) {}

Tolerances RoundedActivationTolerances() {
  return {.loss = 3e-3,
          .norm = 1e-2,
          .first_gradient = 8e-3,
          .final = 4e-2,
          .indices = 2e-2,
          .eval = 2e-3};
}

void ReplayTrajectory(Trajectory& trajectory, const TrajectoryRecord& record,
                      Comparison& comparison) {
  Replay(trajectory, record, comparison).Run();
}

}  // namespace lutra::golden
