// Training against the same arithmetic written down plainly, in double: the
// options of a run must all reach it.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/random.h"
#include "tests/qat/plain_grids.h"

namespace lutra::qat {
namespace {

constexpr size_t kPlainFeatures = 12;
constexpr size_t kPlainClasses = 3;
constexpr size_t kImages = 50;

// What float32 may lose over a run.
constexpr double kTolerance = 1e-5;

LabelledImages Data() {
  Random random(5);
  LabelledImages images;
  images.count = kImages;
  images.image_shape = {kPlainFeatures};
  for (size_t i = 0; i < kImages; ++i) {
    images.labels.push_back(static_cast<uint8_t>(random.Below(kPlainClasses)));
    for (size_t j = 0; j < kPlainFeatures; ++j) {
      images.images.push_back(
          random.Symmetric() +
          (j % kPlainClasses == images.labels.back() ? 0.5f : 0));
    }
  }
  return images;
}

Vector Doubles(const Tensor& tensor) {
  return {tensor.values.begin(), tensor.values.end()};
}

// One array of parameters under AdamW.
struct Adam {
  Vector value;
  Vector mean = Vector(value.size());
  Vector square = Vector(value.size());

  void Step(const Vector& gradient, double rate, double decay, int64_t t) {
    for (size_t i = 0; i < value.size(); ++i) {
      const double g = gradient[i];
      mean[i] = 0.9 * mean[i] + 0.1 * g;
      square[i] = 0.999 * square[i] + 0.001 * g * g;
      const double m = mean[i] / (1.0 - std::pow(0.9, t));
      const double v = square[i] / (1.0 - std::pow(0.999, t));
      value[i] -= rate * decay * value[i];
      value[i] -= rate * m / (std::sqrt(v) + 1e-8);
    }
  }
};

// A step of training one linear layer, and what is there after it.
struct Record {
  double rate = 0;
  double slope = 0;
  double loss = 0;  // means over the images of the epoch so far
  double accuracy = 0;
  Vector weights;
  Vector biases;
};

class PlainTraining {
 public:
  PlainTraining(const TrainableModel& model, const LabelledImages& data,
                const TrainOptions& options)
      : data_(data),
        options_(options),
        latent_{Doubles(model.parameters.at("fc1.weight"))},
        bias_{Doubles(model.parameters.at("fc1.bias"))},
        weights_(latent_.value) {}

  std::vector<Record> Run() {
    const auto batch = static_cast<int64_t>(options_.batch_size);
    steps_per_epoch_ = (int64_t{kImages} + batch - 1) / batch;
    total_ = steps_per_epoch_ * options_.epochs;
    std::vector<Record> records;
    for (int64_t step = 0; step < total_; ++step) {
      records.push_back(Step(step));
    }
    return records;
  }

 private:
  Record Step(int64_t step) {
    const int64_t epoch = step / steps_per_epoch_;
    if (step % steps_per_epoch_ == 0) {
      order_.resize(kImages);
      std::iota(order_.begin(), order_.end(), size_t{0});
      Random random(options_.seed, static_cast<uint64_t>(epoch));
      Shuffle(order_, random);
      loss_ = 0;
      correct_ = 0;
    }
    const size_t begin =
        static_cast<size_t>(step % steps_per_epoch_) * options_.batch_size;
    const size_t end = std::min(begin + options_.batch_size, kImages);
    Vector weight_gradient(weights_.size());
    Vector bias_gradient(kPlainClasses);
    for (size_t i = begin; i < end; ++i) {
      AddGradient(order_[i], static_cast<double>(end - begin), weight_gradient,
                  bias_gradient);
    }
    latent_.Step(weight_gradient, Rate(step), options_.weight_decay, step + 1);
    bias_.Step(bias_gradient, Rate(step), 0, step + 1);
    weights_ = latent_.value;
    const double slope = options_.quantization ? Project(step) : 1;
    const auto seen = static_cast<double>(end);
    return {Rate(step),      slope,    loss_ / seen,
            correct_ / seen, weights_, bias_.value};
  }

  void AddGradient(size_t image, double count, Vector& weight_gradient,
                   Vector& bias_gradient) {
    const float* x = &data_.images[image * kPlainFeatures];
    Vector odds(kPlainClasses);
    for (size_t c = 0; c < kPlainClasses; ++c) {
      double logit = bias_.value[c];
      for (size_t j = 0; j < kPlainFeatures; ++j) {
        logit += weights_[c * kPlainFeatures + j] * double{x[j]};
      }
      odds[c] = std::exp(logit);
    }
    const double sum = std::accumulate(odds.begin(), odds.end(), 0.0);
    const size_t label = data_.labels[image];
    const auto best = std::max_element(odds.begin(), odds.end());
    if (best == odds.begin() + data_.labels[image]) ++correct_;
    loss_ -= std::log(odds[label] / sum);
    for (size_t c = 0; c < kPlainClasses; ++c) {
      const double g = (odds[c] / sum - (c == label ? 1 : 0)) / count;
      bias_gradient[c] += g;
      for (size_t j = 0; j < kPlainFeatures; ++j) {
        weight_gradient[c * kPlainFeatures + j] += g * double{x[j]};
      }
    }
  }

  int64_t Steps(double epochs) const {
    return std::lround(epochs * static_cast<double>(steps_per_epoch_));
  }

  double Rate(int64_t step) const {
    // The last step is never one of warm-up.
    const int64_t warmup = std::min(Steps(options_.warmup_epochs), total_ - 1);
    if (step < warmup) {
      return options_.learning_rate * static_cast<double>(step + 1) /
             static_cast<double>(warmup);
    }
    const double turn = std::numbers::pi * static_cast<double>(step - warmup) /
                        static_cast<double>(total_ - warmup);
    return options_.learning_rate * (std::cos(turn) + 1) / 2;
  }

  // Returns the inverse slope.
  double Project(int64_t step) {
    const QuantizedTraining& q = *options_.quantization;
    const QuantScheme& scheme = q.schemes.at("fc1.weight");
    const size_t group = scheme.group_size > 0
                             ? static_cast<size_t>(scheme.group_size)
                             : kPlainFeatures;
    const int64_t start = Steps(q.anneal_start);
    const int64_t end = Steps(q.anneal_end);
    const double done =
        static_cast<double>(step - start) / static_cast<double>(end - start);
    const bool hard = q.prox_map == "hard" || step >= end;
    const double slope =
        hard ? 0 : (done < 0 ? 1 : Slope(done, q.anneal_steepness));
    grids_.resize(weights_.size() / group);
    for (size_t g = 0; g < grids_.size(); ++g) {
      double* p = &weights_[g * group];
      if (step % q.period == 0) grids_[g] = MaxUniform(p, group, scheme.bits);
      for (size_t i = 0; i < group; ++i) {
        if (hard) {
          p[i] = Nearest(grids_[g], p[i]);
        } else if (done >= 0 && q.prox_map == "parq") {
          p[i] = Parq(grids_[g], p[i], slope);
        } else if (done >= 0) {
          p[i] += done * (Nearest(grids_[g], p[i]) - p[i]);
        }
      }
    }
    return slope;
  }

  const LabelledImages& data_;
  const TrainOptions& options_;
  Adam latent_;  // and the weights, if these are not quantized
  Adam bias_;
  Vector weights_;
  std::vector<Vector> grids_;
  std::vector<size_t> order_;
  int64_t steps_per_epoch_ = 0;
  int64_t total_ = 0;
  double loss_ = 0;  // sums over the images of the epoch so far
  double correct_ = 0;
};

TrainOptions FloatOptions() {
  TrainOptions options;
  options.epochs = 5;
  options.batch_size = 16;  // three full steps an epoch, and two images
  options.learning_rate = 0.05;
  options.warmup_epochs = 0.75;
  options.weight_decay = 0.3;
  options.seed = 7;
  return options;
}

TrainOptions ParqOptions() {
  TrainOptions options = FloatOptions();
  QuantizedTraining quantization;
  quantization.schemes = {{"fc1.weight", {"max-uniform", 2, 6}}};
  quantization.anneal_start = 1.0;
  quantization.anneal_end = 4.0;
  quantization.anneal_steepness = 6.0;
  quantization.period = 3;
  options.quantization = quantization;
  return options;
}

struct Change {
  const char* name;
  bool quantized;
  std::function<void(TrainOptions&)> apply;

  friend std::ostream& operator<<(std::ostream& stream, const Change& change) {
    return stream << change.name;
  }
};

void ExpectNear(const Tensor& got, const Vector& expected) {
  ASSERT_EQ(got.values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(got.values[i], expected[i], kTolerance) << i;
  }
}

class TrainerReferenceTest : public ::testing::TestWithParam<Change> {};

TEST_P(TrainerReferenceTest, GivesTheSameNumbers) {
  TrainOptions options = GetParam().quantized ? ParqOptions() : FloatOptions();
  GetParam().apply(options);
  const LabelledImages data = Data();
  const TrainableModel model = MakeMlp(kPlainFeatures, {}, kPlainClasses, 3);
  const std::vector<Record> records = PlainTraining(model, data, options).Run();

  Trainer trainer(model, data, options, nullptr);
  size_t steps = 0;
  ASSERT_TRUE(trainer.Run([&](const TrainProgress& progress) {
    if (steps == records.size()) return false;
    SCOPED_TRACE("step " + std::to_string(steps));
    const Record& record = records[steps++];
    EXPECT_NEAR(progress.learning_rate, record.rate, 1e-15);
    EXPECT_NEAR(progress.loss, record.loss, kTolerance);
    EXPECT_NEAR(progress.accuracy, record.accuracy, 1e-12);
    if (options.quantization && options.quantization->prox_map == "parq") {
      EXPECT_NEAR(progress.inverse_slope.value(), record.slope, 1e-14);
    } else {
      EXPECT_FALSE(progress.inverse_slope.has_value());
    }
    const TensorMap& parameters = trainer.model().parameters;
    ExpectNear(parameters.at("fc1.weight"), record.weights);
    ExpectNear(parameters.at("fc1.bias"), record.biases);
    return !HasFailure();
  }));
  EXPECT_EQ(steps, records.size());
}

// Each of them changes the numbers by far more than the tolerance.
TEST(PlainTrainingTest, EveryOptionMatters) {
  const LabelledImages data = Data();
  const TrainableModel model = MakeMlp(kPlainFeatures, {}, kPlainClasses, 3);
  const auto run = [&](const TrainOptions& options) {
    return PlainTraining(model, data, options).Run();
  };
  const std::vector<Record> base = run(ParqOptions());
  const auto changes = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions options = ParqOptions();
    change(options);
    const std::vector<Record> other = run(options);
    double largest = 0;
    for (size_t i = 0; i < std::min(base.size(), other.size()); ++i) {
      for (size_t j = 0; j < base[i].weights.size(); ++j) {
        largest = std::max(largest,
                           std::abs(base[i].weights[j] - other[i].weights[j]));
      }
    }
    return largest > 100 * kTolerance;
  };
  EXPECT_TRUE(changes([](auto& o) { o.epochs = 6; }));
  EXPECT_TRUE(changes([](auto& o) { o.batch_size = 15; }));
  EXPECT_TRUE(changes([](auto& o) { o.learning_rate = 0.045; }));
  EXPECT_TRUE(changes([](auto& o) { o.warmup_epochs = 0.5; }));
  EXPECT_TRUE(changes([](auto& o) { o.weight_decay = 0.2; }));
  EXPECT_TRUE(changes([](auto& o) { o.seed = 8; }));
  EXPECT_TRUE(changes([](auto& o) { o.quantization->anneal_start = 1.25; }));
  EXPECT_TRUE(changes([](auto& o) { o.quantization->anneal_end = 3.75; }));
  EXPECT_TRUE(changes([](auto& o) { o.quantization->anneal_steepness = 10; }));
  EXPECT_TRUE(changes([](auto& o) { o.quantization->period = 2; }));
  EXPECT_TRUE(changes([](auto& o) { o.quantization->prox_map = "hard"; }));
  EXPECT_FALSE(changes([](auto&) {}));
}

INSTANTIATE_TEST_SUITE_P(
    Options, TrainerReferenceTest,
    ::testing::Values(
        Change{"Float", false, [](TrainOptions&) {}},
        Change{"FloatWithoutDecay", false,
               [](TrainOptions& o) { o.weight_decay = 0; }},
        Change{"FloatWithoutWarmUp", false,
               [](TrainOptions& o) { o.warmup_epochs = 0; }},
        Change{"FloatWarmUpOnly", false,
               [](TrainOptions& o) { o.warmup_epochs = 100; }},
        Change{"FloatAtOnce", false,
               [](TrainOptions& o) { o.batch_size = 50; }},
        Change{"Parq", true, [](TrainOptions&) {}},
        Change{"ParqLonger", true, [](TrainOptions& o) { o.epochs = 8; }},
        Change{"ParqGentle", true,
               [](TrainOptions& o) { o.quantization->anneal_steepness = 2; }},
        Change{"ParqRows", true,
               [](TrainOptions& o) {
                 o.quantization->schemes.at("fc1.weight").group_size = 0;
               }},
        Change{"ParqEveryStep", true,
               [](TrainOptions& o) { o.quantization->period = 1; }},
        Change{
            "BinaryRelax", true,
            [](TrainOptions& o) { o.quantization->prox_map = "binaryrelax"; }},
        Change{"Hard", true,
               [](TrainOptions& o) { o.quantization->prox_map = "hard"; }}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace lutra::qat
