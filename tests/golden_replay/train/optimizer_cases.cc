#include "tests/golden_replay/train/optimizer_cases.h"

#include <array>
#include <memory>
#include <optional>
#include <regex>
#include <vector>

#include "lutra/qat/averaging_optimizer.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/gradient_clip.h"
#include "lutra/qat/learning_rate.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
using qat::LearningRateSchedule;

// Tolerances of the README.
constexpr double kParameters = 4e-6;
constexpr double kNorm = 5e-5;
constexpr double kRate = 1e-12;

constexpr const char* kSchedule = "schedule/";

// The number after a word of the schedule's name, as in "warmup5".
std::optional<double> NumberAfter(const std::string& name,
                                  const std::string& word) {
  std::smatch match;
  if (!std::regex_search(name, match, std::regex(word + "([0-9.]+)"))) {
    return std::nullopt;
  }
  return std::stod(match[1]);
}

LearningRateSchedule ScheduleOf(const std::string& name) {
  using Decay = LearningRateSchedule::Decay;
  const auto number = [&](const char* word) {
    return NumberAfter(name, word).value_or(0.0);
  };
  const auto count = [&](const char* word) {
    return static_cast<int64_t>(number(word));
  };
  LearningRateSchedule schedule;
  schedule.warmup = count("warmup");
  if (name.starts_with("torch_linear5")) {
    // From a tenth, which the name does not tell.
    return {.warmup = 5,
            .warmup_start = 0.1,
            .decay = Decay::kCosine,
            .decay_steps = count("cosine")};
  }
  if (name.starts_with("torch_cosine")) {
    return {.decay = Decay::kCosine,
            .decay_steps = count("_T"),
            .floor = number("min")};
  }
  if (name.starts_with("wsd")) {
    schedule.floor = schedule.warmup_start = number("minratio");
    schedule.level = count("stable");
    schedule.decay_steps = count("decay");
    schedule.decay = name.ends_with("linear") ? Decay::kLinear
                     : name.ends_with("sqrt") ? Decay::kInverseSqrt
                                              : Decay::kCosine;
    return schedule;
  }
  schedule.decay_steps = count("total") - schedule.warmup;
  if (name.starts_with("linear")) {
    schedule.decay = Decay::kLinear;
  } else if (name.starts_with("cosine")) {
    schedule.decay = Decay::kCosine;
    schedule.floor = number("minrate");
  } else if (!name.starts_with("constant")) {
    throw Error("no schedule is known for '" + name + "'");
  }
  return schedule;
}

std::unique_ptr<qat::Optimizer> MakeOptimizer(
    const json& c, std::vector<qat::ParamGroup> groups) {
  const json options = c.value("kw", json::object());
  const auto name = c.at("cls").get<std::string>();
  if (name == "SGD") {
    return qat::MakeSgd(std::move(groups),
                        {.momentum = options.value("momentum", 0.0),
                         .nesterov = options.value("nesterov", false)});
  }
  qat::AdamOptions adam;
  if (options.contains("betas")) {
    adam.beta1 = options["betas"].at(0);
    adam.beta2 = options["betas"].at(1);
  }
  adam.epsilon = options.value("eps", adam.epsilon);
  if (name == "Adam") return qat::MakeAdam(std::move(groups), adam);
  if (name == "AdamW") return qat::MakeAdamW(std::move(groups), adam);
  throw Error("no optimizer is known for '" + name + "'");
}

// Row `index` of a tensor [rows, ...].
std::span<const float> RowOf(const std::vector<float>& values, size_t rows,
                             size_t index) {
  const size_t size = values.size() / rows;
  return std::span(values).subspan(index * size, size);
}

class Run {
 public:
  Run(const GoldenFile& file, const json& c) : file_(file), case_(c) {
    for (const json& group : file.description().at("groups")) AddGroup(group);
    optimizer_ = MakeOptimizer(c, std::move(groups_));
    if (c.contains("sched")) schedule_ = ScheduleOf(c["sched"]);
    if (c.contains("ema")) {
      auto averaging = std::make_unique<qat::AveragingOptimizer>(
          std::move(optimizer_), c["ema"].get<double>());
      average_ = averaging.get();
      optimizer_ = std::move(averaging);
    }
  }

  void Replay(Comparison& comparison) {
    const auto name = case_.at("name").get<std::string>();
    const size_t steps = file_.Dimension(name + "/lr", 0);
    const bool has_norms = file_.Has(name + "/norm");
    const auto norms = has_norms ? file_.Load<double>(name + "/norm")
                                 : std::vector<double>(steps);
    const auto rates = file_.Load<double>(name + "/lr");
    for (size_t step = 0; step < steps; ++step) {
      SumGradients(step);
      const double norm =
          qat::ClipGradients(gradients_, case_.value("clip", 0.0), nullptr);
      if (has_norms) {
        comparison.Relative("norm", {{norm}}, {&norms[step], 1}, kNorm);
      }
      SetRates(step, rates, comparison);
      optimizer_->Step(nullptr);
      for (const auto& [parameter, tensor] : parameters_) {
        Compare(name + "/param/" + parameter, steps, step, tensor.values,
                comparison);
        if (average_ != nullptr) {
          Compare(name + "/ema/" + parameter, steps, step,
                  average_->Average(parameter), comparison);
        }
      }
    }
  }

 private:
  void AddGroup(const json& description) {
    qat::ParamGroup group;
    const double rate = case_.at("lr");
    // A text says "half of the case's".
    group.lr = description.contains("lr") ? rate / 2 : rate;
    if (case_.value("wd", false)) {
      group.weight_decay = description.at("weight_decay");
    }
    rates_.push_back(group.lr);
    for (const std::string name : description.at("params")) {
      qat::Tensor& values =
          parameters_.try_emplace(name, file_.Shape("init/" + name))
              .first->second;
      values.values = file_.Load<float>("init/" + name);
      qat::Tensor& gradient =
          gradients_.try_emplace(name, values.shape).first->second;
      recorded_[name] = file_.Load<float>("grad/" + name);
      group.parameters.push_back({.name = name,
                                  .shape = values.shape,
                                  .value = values.values.data(),
                                  .grad = gradient.values.data()});
    }
    groups_.push_back(std::move(group));
  }

  // Of the parts of the step, each divided by their number.
  void SumGradients(size_t step) {
    const auto parts = case_.value("acc", size_t{1});
    for (auto& [name, gradient] : gradients_) {
      const size_t rows = file_.Dimension("grad/" + name, 0);
      std::fill(gradient.values.begin(), gradient.values.end(), 0.0f);
      for (size_t part = 0; part < parts; ++part) {
        const auto row = RowOf(recorded_[name], rows, step * parts + part);
        for (size_t i = 0; i < row.size(); ++i) {
          gradient.values[i] += row[i] / static_cast<float>(parts);
        }
      }
    }
  }

  void SetRates(size_t step, const std::vector<double>& recorded,
                Comparison& comparison) {
    std::vector<qat::ParamGroup>& groups = optimizer_->groups();
    for (size_t i = 0; i < groups.size(); ++i) {
      groups[i].lr = rates_[i] * schedule_.Factor(static_cast<int64_t>(step));
      comparison.Relative("rate", {{groups[i].lr}},
                          {&recorded[step * groups.size() + i], 1}, kRate);
    }
  }

  void Compare(const std::string& tensor, size_t steps, size_t step,
               std::span<const float> got, Comparison& comparison) {
    auto& recorded = recorded_[tensor];
    if (recorded.empty()) recorded = file_.Load<float>(tensor);
    comparison.Absolute(tensor, got, RowOf(recorded, steps, step), kParameters);
  }

  const GoldenFile& file_;
  const json& case_;
  qat::TensorMap parameters_;
  qat::TensorMap gradients_;
  std::map<std::string, std::vector<float>> recorded_;
  std::vector<qat::ParamGroup> groups_;
  std::vector<double> rates_;  // of the groups, before the schedule
  std::unique_ptr<qat::Optimizer> optimizer_;
  LearningRateSchedule schedule_;
  const qat::AveragingOptimizer* average_ = nullptr;
};

}  // namespace

bool IsOptimizerCase(const json& c) {
  return c.is_object() && c.contains("cls") && c.contains("lr");
}

void ReplayOptimizerCase(const GoldenFile& file, const json& c,
                         Comparison& comparison) {
  Run(file, c).Replay(comparison);
}

void ReplaySchedules(const GoldenFile& file, const std::string& prefix,
                     Sink& sink) {
  for (const TensorView& tensor : file.file().tensors()) {
    if (!tensor.name.starts_with(kSchedule)) continue;
    RunCase(sink, prefix + tensor.name, [&](Comparison& comparison) {
      const auto expected = file.Load<double>(tensor.name);
      const LearningRateSchedule schedule =
          ScheduleOf(tensor.name.substr(std::string(kSchedule).size()));
      // After its end a cosine without a floor rises again in the original,
      // which nobody trains with.
      const bool rises =
          schedule.decay == LearningRateSchedule::Decay::kCosine &&
          schedule.floor == 0.0 && !tensor.name.starts_with("schedule/wsd");
      const int64_t end =
          schedule.warmup + schedule.level + schedule.decay_steps;
      std::vector<double> got;
      for (size_t step = 0; step < expected.size(); ++step) {
        if (rises && static_cast<int64_t>(step) > end) break;
        got.push_back(schedule.Factor(static_cast<int64_t>(step)));
      }
      comparison.Relative(tensor.name, got,
                          std::span(expected).first(got.size()), kRate);
    });
  }
}

}  // namespace lutra::golden
