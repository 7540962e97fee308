#include "lutra/packer/rescale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/calibrate.h"
#include "lutra/packer/pack.h"
#include "lutra/qat/dataset.h"
#include "lutra/runtime/language_model.h"
#include "packer/rewrite/column_scales.h"
#include "packer/rewrite/scaling_groups.h"
#include "tests/packer/logits.h"
#include "tests/packer/texts.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kWidth = 24;
constexpr int64_t kHidden = 40;

// A network with every kind of source: norms with and without bias, values of
// attention, a product, relu; and an output matrix that is the embedding.
ModelBuilder RescaledNetwork() {
  ModelBuilder builder;
  uint32_t seed = 1;
  const auto weight = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (const int64_t d : shape) count *= static_cast<size_t>(d);
    std::vector<float> values = RandomFloats(count, ++seed);
    // Columns of very different sizes are what there is to gain.
    for (size_t i = 0; i < count; ++i) {
      values[i] = shape.size() == 1
                      ? (i % 7 == 0 ? 4.0f : 0.5f) * (1 + values[i] / 4)
                      : values[i] / 4;
    }
    builder.Floats(name, shape, values);
  };
  const auto linear = [&](const std::string& in, const std::string& out,
                          const std::string& name, int64_t n, int64_t k) {
    builder.Add(OpType::kLinear, {in}, out, name, name + ".bias");
    weight(name, {n, k});
    weight(name + ".bias", {n});
  };
  const auto norm = [&](OpType op, const std::string& in,
                        const std::string& out) {
    const bool has_bias = op == OpType::kLayerNorm;
    builder.Add(op, {in}, out, out + ".gain", has_bias ? out + ".bias" : "")
        .Set("eps", 1e-5);
    weight(out + ".gain", {kWidth});
    if (has_bias) weight(out + ".bias", {kWidth});
  };
  const auto add = [&](const std::string& a, const std::string& b,
                       const std::string& out) {
    builder.Add(OpType::kAdd, {a, b}, out);
  };
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "x", "embedding");
  weight("embedding", {37, kWidth});
  norm(OpType::kRmsNorm, "x", "n0");
  linear("n0", "q", "wq", kWidth, kWidth);
  linear("n0", "k", "wk", kWidth / 2, kWidth);
  linear("n0", "v", "wv", kWidth / 2, kWidth);
  builder.Add(OpType::kAttention, {"q", "k", "v"}, "a")
      .Set("heads", 4.0)
      .Set("kv_heads", 2.0);
  linear("a", "o", "wo", kWidth, kWidth);
  add("x", "o", "h");
  norm(OpType::kLayerNorm, "h", "n1");
  linear("n1", "g", "wg", kHidden, kWidth);
  linear("n1", "u", "wu", kHidden, kWidth);
  builder.Add(OpType::kSilu, {"g"}, "s");
  builder.Add(OpType::kMul, {"s", "u"}, "m");
  linear("m", "d", "wd", kWidth, kHidden);
  add("h", "d", "y");
  norm(OpType::kRmsNorm, "y", "n2");
  linear("n2", "f1", "w1", kHidden, kWidth);
  builder.Add(OpType::kRelu, {"f1"}, "r");
  linear("r", "f2", "w2", kWidth, kHidden);
  add("y", "f2", "z");
  norm(OpType::kRmsNorm, "z", "n3");
  builder.Add(OpType::kLinear, {"n3"}, "logits", "embedding")
      .Output("logits")
      .Metadata(kContextLengthKey, "32");
  return builder;
}

qat::LabelledImages RescaledImages() {
  qat::LabelledImages images;
  images.images = RandomFloats(8 * kK1, 11);
  images.labels.assign(8, 1);
  images.count = 8;
  images.image_shape = {kK1};
  return images;
}

class RescaleTest : public ::testing::Test {
 protected:
  RescaleTest() {
    RescaledNetwork().Write(dir_ / "m");
    model_ = Model::Load(dir_ / "m");
    Calibrate(model_, Texts(3, 20), {}, dir_ / "s");
    options_.rules = qat::SchemeRules(qat::QuantScheme{"mse-stretched", 2, 16});
  }

  const TempDir dir_;
  std::shared_ptr<const Model> model_;
  RescaleOptions options_;
};

TEST_F(RescaleTest, Groups) {
  std::vector<std::string> found;
  for (const ScalingGroup& group : FindScalingGroups(*model_)) {
    const auto& nodes = model_->graph().nodes;
    std::string text = nodes[group.source].weight + ":";
    for (const size_t layer : group.layers) text += " " + nodes[layer].weight;
    found.push_back(text);
  }
  // Not n3, whose reader's weight is the embedding.
  EXPECT_THAT(found,
              ElementsAre("n0.gain: wq wk wv", "wv: wo", "n1.gain: wg wu",
                          "wu: wd", "n2.gain: w1", "w1: w2"));
}

TEST_F(RescaleTest, GroupsByName) {
  const auto choose = [&](const char* text) {
    return ChooseScalingGroups(*model_, {ParseScalingLayers(text)});
  };
  EXPECT_EQ(choose("n0=wq,wk,wv").size(), 1u);
  EXPECT_EQ(choose("^n.[.]gain=w").size(), 3u);
  EXPECT_THAT(ErrorMessage([&] { choose("n0=wq,wk"); }),
              HasSubstr("'n0.gain' is read by wq, wk, wv, which are to be"));
  EXPECT_THAT(ErrorMessage([&] { choose("n1=wg,wu,wd"); }),
              HasSubstr("'n1.gain' is read by wg, wu"));
  EXPECT_THAT(ErrorMessage([&] { choose("n3=embedding"); }),
              HasSubstr("'n3' is no norm or layer"));
  for (const char* const text :
       {"n0", "n0=", "=wq", "n0=wq,", "n0=[", "(=wq"}) {
    EXPECT_NE(ErrorMessage([&] { ParseScalingLayers(text); }), "") << text;
  }
}

TEST_F(RescaleTest, SameFunctionSmallerErrors) {
  const std::vector<float> expected = Logits(dir_ / "m");
  double largest = 0;
  for (const float value : expected) {
    largest = std::max(largest, std::abs(double{value}));
  }
  for (const auto method : {RescaleMethod::kAwq, RescaleMethod::kSmoothQuant}) {
    SCOPED_TRACE(Name(method));
    options_.method = method;
    options_.executor = nullptr;
    Statistics statistics = Statistics::Open(dir_ / "s");
    const RescaleReport report =
        RescaleModel(*model_, statistics, options_, dir_ / "r");
    ASSERT_EQ(report.values.size(), 6u);
    double sum = 0;
    for (const RescaledValue& value : report.values) {
      EXPECT_LE(value.result, value.start);
      sum += value.result / value.start / 6;
    }
    EXPECT_LT(sum, 0.9);
    const std::vector<float> found = Logits(dir_ / "r");
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], 3e-5 * largest);
    }
    const auto rescaled = Model::Load(dir_ / "r");
    const auto floats = [](const Model& model, const char* name) {
      const Span<const float> all = model.file().Get(name).Floats("");
      return std::vector<float>(all.begin(), all.end());
    };
    EXPECT_NE(floats(*rescaled, "wd"), floats(*model_, "wd"));
    EXPECT_EQ(floats(*rescaled, "embedding"), floats(*model_, "embedding"));

    // The statistics are those of the new model. (Rows of these values are
    // weighed by the stream, which is the same.)
    Calibrate(rescaled, Texts(3, 20), {}, dir_ / "again");
    const Statistics again = Statistics::Open(dir_ / "again");
    for (const char* const value : {"a", "m"}) {
      const std::vector<float> wanted = again.Moments(value);
      const std::vector<float> divided = statistics.Moments(value);
      const float most = *std::max_element(wanted.begin(), wanted.end());
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_NEAR(divided[i], wanted[i], 1e-4 * most);
      }
      EXPECT_NE(divided, Statistics::Open(dir_ / "s").Moments(value));
    }

    const auto team = StartThreadTeam(3);
    options_.executor = team.get();
    Statistics other = Statistics::Open(dir_ / "s");
    RescaleModel(*model_, other, options_, dir_ / "threads");
    EXPECT_EQ(ReadBytes(dir_ / "r"), ReadBytes(dir_ / "threads"));
  }
}

TEST_F(RescaleTest, Refusals) {
  Statistics statistics = Statistics::Open(dir_ / "s");
  const TwoLayers layers;
  const auto other = layers.Load(dir_ / "t");
  EXPECT_THAT(ErrorMessage([&] {
                RescaleModel(*other, statistics, options_, dir_ / "r");
              }),
              HasSubstr("has 40 columns, but the model's value has 20"));
  Calibrate(other, RescaledImages(), {}, dir_ / "u");
  Statistics others = Statistics::Open(dir_ / "u");
  EXPECT_THAT(ErrorMessage(
                  [&] { RescaleModel(*model_, others, options_, dir_ / "r"); }),
              HasSubstr("says nothing of the value 'n0'"));
  ModelBuilder single;
  single.Input("x", {16})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {16, 16}, RandomFloats(256, 1));
  single.Write(dir_ / "single");
  EXPECT_THAT(ErrorMessage([&] {
                RescaleModel(*Model::Load(dir_ / "single"), statistics,
                             options_, dir_ / "r");
              }),
              HasSubstr("has no layers that a norm"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "r"));
}

// One layer whose columns two by two have the same number, written to be read.
TEST_F(RescaleTest, NumbersAndMeasureOfReference) {
  constexpr size_t n = 6;
  constexpr size_t k = 32;
  const qat::QuantScheme scheme{"mse-stretched", 2, 16};
  const std::vector<float> w = RandomFloats(n * k, 1);
  ModelBuilder builder;
  builder.Input("x", {k})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {n, k}, w)
      .Write(dir_ / "one");
  const auto one = Model::Load(dir_ / "one");
  PackOptions packing;
  packing.rules = qat::SchemeRules(scheme);
  const std::vector<WeightPlan> plans = MakePlan(*one, {}, packing);

  ScalingProblem problem;
  problem.clamp = 1e-4;
  problem.rows = 40;
  problem.layers = {{w, &plans.at(0)}};
  problem.origins = k / 2;
  const std::vector<float> x = RandomFloats(40 * k, 2);
  problem.moments.resize(k * k);
  problem.peaks.resize(k);
  for (size_t c = 0; c < k; ++c) {
    problem.origin.push_back(static_cast<uint32_t>(c / 2));
  }
  const auto input = [&](size_t row, size_t c) {
    return static_cast<double>(x[row * k + c]) * (c % 5 == 0 ? 8 : 1);
  };
  for (size_t row = 0; row < 40; ++row) {
    for (size_t i = 0; i < k; ++i) {
      problem.peaks[i] = std::max<float>(
          problem.peaks[i], static_cast<float>(std::abs(input(row, i))));
      for (size_t j = 0; j < k; ++j) {
        problem.moments[i * k + j] +=
            static_cast<float>(input(row, i) * input(row, j));
      }
    }
  }

  for (const auto method : {RescaleMethod::kAwq, RescaleMethod::kSmoothQuant}) {
    const bool smooth = method == RescaleMethod::kSmoothQuant;
    problem.method = method;
    const double alpha = 0.4;
    std::vector<double> expected;
    for (size_t o = 0; o < k / 2; ++o) {
      double squares = 0;
      double peak = 0;
      double mean = 0;
      double most = 0;
      for (const size_t c : {2 * o, 2 * o + 1}) {
        for (size_t row = 0; row < 40; ++row) {
          squares += input(row, c) * input(row, c) / 80;
          peak = std::max(peak, std::abs(input(row, c)));
        }
        for (size_t row = 0; row < n; ++row) {
          mean += std::abs(double{w[row * k + c]}) / (2 * n);
          most = std::max(most, std::abs(double{w[row * k + c]}));
        }
      }
      expected.push_back(std::pow(smooth ? peak : std::sqrt(squares), alpha) /
                         std::pow(smooth ? most : mean, 1 - alpha));
    }
    const double middle =
        std::sqrt(*std::min_element(expected.begin(), expected.end()) *
                  *std::max_element(expected.begin(), expected.end()));
    const std::vector<float> scales = ScalesOf(problem, alpha, true);
    std::vector<float> scaled = w;
    double step = 0;
    double squares = 0;
    for (size_t c = 0; c < k; ++c) {
      EXPECT_NEAR(scales[c / 2], expected[c / 2] / middle, 1e-5);
      step = std::max(step, problem.peaks[c] / scales[c / 2] / 127.0);
      for (size_t row = 0; row < n; ++row) {
        scaled[row * k + c] *= scales[c / 2];
        squares += std::pow(scaled[row * k + c], 2.0);
      }
    }
    const std::vector<float> rounded = Quantized(scaled, k, scheme);
    double loss = smooth ? 40 * step * step / 12 * squares : 0;
    for (size_t row = 0; row < 40; ++row) {
      for (size_t out = 0; out < n; ++out) {
        double change = 0;
        for (size_t c = 0; c < k; ++c) {
          change += (scaled[out * k + c] - rounded[out * k + c]) /
                    scales[c / 2] * input(row, c);
        }
        loss += change * change;
      }
    }
    EXPECT_NEAR(LossOf(problem, scales), loss, 1e-3 * loss);
    problem.clamp = 0.9;
    for (const float scale : ScalesOf(problem, alpha, true)) {
      EXPECT_GE(scale, 0.9f);
      EXPECT_LE(scale, 1 / 0.9f);
    }
    problem.clamp = 1e-4;
    const double alphas[] = {0.2, alpha};
    const ColumnScales best = FindColumnScales(problem, alphas);
    EXPECT_LE(best.result, LossOf(problem, scales));
    EXPECT_LE(best.result, best.start);
    EXPECT_EQ(best.result, LossOf(problem, best.scales));
  }
}

}  // namespace
}  // namespace lutra::packer
