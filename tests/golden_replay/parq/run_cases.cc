#include <cmath>
#include <string>

#include "tests/golden_replay/parq/cases.h"
#include "tests/golden_replay/parq/recorded_run.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

// relu(x w1^T + b1) w2^T + b2 with the mean of squared errors over all outputs,
// the one model that golden training runs have.
class Regression {
 public:
  explicit Regression(const golden::GoldenFile& file)
      : x_(file.Load<float>("x")),
        y_(file.Load<float>("y")),
        rows_(file.Dimension("x", 0)),
        inputs_(file.Dimension("x", 1)),
        hidden_(file.Dimension("init/w1", 0)),
        outputs_(file.Dimension("init/w2", 0)) {
    if (file.Dimension("init/w1", 1) != inputs_ ||
        file.Dimension("init/w2", 1) != hidden_ ||
        y_.size() != rows_ * outputs_) {
      throw Error("the recorded model does not fit its data");
    }
  }

  // Returns the loss and writes the gradients.
  double LossAndGradients(const RecordedRun::Buffers& values,
                          RecordedRun::Buffers& gradients) const {
    const std::vector<float>& w1 = values.at("w1");
    const std::vector<float>& w2 = values.at("w2");
    std::map<std::string, std::vector<double>> sums;
    for (const auto& [name, value] : values) sums[name].resize(value.size());
    double loss = 0.0;
    const double count = static_cast<double>(y_.size());
    std::vector<double> h(hidden_);
    std::vector<double> grad_h(hidden_);
    for (size_t row = 0; row < rows_; ++row) {
      const float* x = &x_[row * inputs_];
      for (size_t i = 0; i < hidden_; ++i) {
        double sum = static_cast<double>(values.at("b1")[i]);
        for (size_t k = 0; k < inputs_; ++k) {
          sum += Product(x[k], w1[i * inputs_ + k]);
        }
        h[i] = std::max(sum, 0.0);
        grad_h[i] = 0.0;
      }
      for (size_t o = 0; o < outputs_; ++o) {
        double sum = static_cast<double>(values.at("b2")[o]);
        for (size_t i = 0; i < hidden_; ++i) {
          sum += h[i] * static_cast<double>(w2[o * hidden_ + i]);
        }
        const double error = sum - static_cast<double>(y_[row * outputs_ + o]);
        loss += error * error / count;
        const double grad = 2.0 * error / count;
        sums["b2"][o] += grad;
        for (size_t i = 0; i < hidden_; ++i) {
          sums["w2"][o * hidden_ + i] += grad * h[i];
          grad_h[i] += grad * static_cast<double>(w2[o * hidden_ + i]);
        }
      }
      for (size_t i = 0; i < hidden_; ++i) {
        if (h[i] <= 0.0) continue;
        sums["b1"][i] += grad_h[i];
        for (size_t k = 0; k < inputs_; ++k) {
          sums["w1"][i * inputs_ + k] += grad_h[i] * static_cast<double>(x[k]);
        }
      }
    }
    for (auto& [name, gradient] : gradients) {
      for (size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = static_cast<float>(sums[name][i]);
      }
    }
    return loss;
  }

 private:
  static double Product(float a, float b) {
    return static_cast<double>(a) * static_cast<double>(b);
  }

  std::vector<float> x_;
  std::vector<float> y_;
  size_t rows_;
  size_t inputs_;
  size_t hidden_;
  size_t outputs_;
};

}  // namespace

void ReplayOptimizer(const golden::GoldenFile& file, const json& c,
                     golden::Comparison& comparison) {
  RecordedRun run(file, c);
  for (size_t step = 0; step < run.steps(); ++step) {
    run.LoadGradients(step);
    run.Step(step);
    run.CompareStep(step, comparison);
  }
  run.CompareFinal(comparison);
}

// Errors accumulate, so the loss is compared ever more loosely.
void ReplayTraining(const golden::GoldenFile& file, const json& c,
                    golden::Comparison& comparison) {
  constexpr size_t kEarly = 5;
  constexpr double kEarlyTolerance = 1e-5;
  constexpr double kTolerance = 1e-3;
  constexpr double kFinalTolerance = 1e-2;
  const Regression model(file);
  RecordedRun run(file, c);
  const auto recorded =
      file.Load<double>(c.at("name").get<std::string>() + "/loss");
  if (recorded.size() != run.steps() || recorded.empty()) {
    throw Error("a loss per step is not recorded");
  }
  std::vector<double> losses;
  for (size_t step = 0; step < run.steps(); ++step) {
    losses.push_back(model.LossAndGradients(run.values(), run.gradients()));
    run.Step(step);
  }
  const size_t last = losses.size() - 1;
  const size_t early = std::min(kEarly, last);
  const std::span<const double> got(losses);
  const std::span<const double> expected(recorded);
  comparison.Relative("early loss", got.first(early), expected.first(early),
                      kEarlyTolerance);
  comparison.Relative("loss", got.subspan(early, last - early),
                      expected.subspan(early, last - early), kTolerance);
  comparison.Relative("final loss", got.last(1), expected.last(1),
                      kFinalTolerance);
}

}  // namespace lutra::qat
