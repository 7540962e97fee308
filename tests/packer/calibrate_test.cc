#include "lutra/packer/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/dataset.h"
#include "lutra/runtime/session.h"
#include "packer/calibrate/sequential.h"
#include "packer/calibrate/taps.h"
#include "tests/packer/texts.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kImages = 300;

qat::LabelledImages Images() {
  qat::LabelledImages images;
  images.images = RandomFloats(kImages * kK1, 11);
  images.labels.assign(kImages, 1);
  images.count = kImages;
  images.image_shape = {kK1};
  return images;
}

double Largest(const std::vector<float>& values) {
  double largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  return largest;
}

// Of rows that are divided by the root of their mean square.
void AddMoments(const std::vector<double>& row, std::vector<double>& moments) {
  double mean_square = 0;
  for (const double value : row) {
    mean_square += value * value / static_cast<double>(row.size());
  }
  for (size_t i = 0; i < row.size(); ++i) {
    for (size_t j = 0; j < row.size(); ++j) {
      moments[i * row.size() + j] += row[i] * row[j] / mean_square;
    }
  }
}

// x and relu(fc1 x), written down once more.
TEST(CalibrateTest, MomentsOfTwoLayers) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m.safetensors");
  const qat::LabelledImages images = Images();
  const CalibrationPlan plan =
      Calibrate(model, images, {}, dir / "s.statistics");
  EXPECT_EQ(plan.rows, kImages);
  EXPECT_EQ(plan.values, 2u);
  EXPECT_EQ(plan.passes, 1u);
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  EXPECT_EQ(statistics.Rows("x"), kImages);
  EXPECT_EQ(statistics.columns().size(), 2u);
  EXPECT_THAT(statistics.ValuesOf(*model, "fc2.weight"), ElementsAre("r"));
  EXPECT_TRUE(statistics.ValuesOf(*model, "fc1.bias").empty());

  std::vector<double> x(kK1 * kK1);
  std::vector<double> r(kK2 * kK2);
  for (size_t s = 0; s < kImages; ++s) {
    const float* image = images.images.data() + s * kK1;
    std::vector<double> hidden(kN1);
    for (size_t n = 0; n < kN1; ++n) {
      double sum = layers.bias[n];
      for (size_t k = 0; k < kK1; ++k) {
        sum += static_cast<double>(layers.w1[n * kK1 + k]) * image[k];
      }
      hidden[n] = std::max(0.0, sum);
    }
    AddMoments({image, image + kK1}, x);
    AddMoments(hidden, r);
  }
  const std::map<std::string, std::vector<double>> expected = {{"x", x},
                                                               {"r", r}};
  for (const auto& [value, moments] : expected) {
    const std::vector<float> found = statistics.Moments(value);
    ASSERT_EQ(found.size(), moments.size());
    for (size_t i = 0; i < moments.size(); ++i) {
      EXPECT_NEAR(found[i], moments[i], 1e-5 * Largest(found));
    }
  }
}

// Rows count by the gradients of the loss, here by the chain rule.
TEST(CalibrateTest, MomentsWeighedByGradients) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m");
  const qat::LabelledImages images = Images();
  Calibrate(model, images, {.gradients = true}, dir / "s");
  const Statistics statistics = Statistics::Open(dir / "s");
  EXPECT_EQ(statistics.Rows("x"), kImages);
  std::vector<double> x(kK1 * kK1);
  std::vector<double> r(kK2 * kK2);
  for (size_t s = 0; s < kImages; ++s) {
    const float* image = images.images.data() + s * kK1;
    std::vector<double> hidden(kN1);
    for (size_t n = 0; n < kN1; ++n) {
      hidden[n] = layers.bias[n];
      for (size_t k = 0; k < kK1; ++k) {
        hidden[n] += static_cast<double>(layers.w1[n * kK1 + k]) * image[k];
      }
      hidden[n] = std::max(0.0, hidden[n]);
    }
    std::vector<double> p(kN2);
    double sum = 0;
    for (size_t n = 0; n < kN2; ++n) {
      for (size_t k = 0; k < kK2; ++k) {
        p[n] += static_cast<double>(layers.w2[n * kK2 + k]) * hidden[k];
      }
      p[n] = std::exp(p[n]);
      sum += p[n];
    }
    double of_outputs = 0;
    double of_hidden = 0;
    for (size_t n = 0; n < kN2; ++n) {
      p[n] = p[n] / sum - (n == 1 ? 1 : 0);  // all labels are 1
      of_outputs += p[n] * p[n] / kN2;
    }
    for (size_t k = 0; k < kK2; ++k) {
      double gradient = 0;
      for (size_t n = 0; n < kN2; ++n)
        gradient += p[n] * layers.w2[n * kK2 + k];
      if (hidden[k] > 0) of_hidden += gradient * gradient / kK2;
    }
    for (size_t i = 0; i < kK1 * kK1; ++i) {
      x[i] += of_hidden * image[i / kK1] * image[i % kK1];
    }
    for (size_t i = 0; i < kK2 * kK2; ++i) {
      r[i] += of_outputs * hidden[i / kK2] * hidden[i % kK2];
    }
  }
  const std::map<std::string, std::vector<double>> expected = {{"x", x},
                                                               {"r", r}};
  for (const auto& [value, moments] : expected) {
    const std::vector<float> found = statistics.Moments(value);
    for (size_t i = 0; i < moments.size(); ++i) {
      ASSERT_NEAR(found[i], moments[i], 1e-4 * Largest(found)) << value;
    }
  }
  EXPECT_EQ(PlanCalibration(model, images, {.gradients = true}).values, 2u);
  PackOptions options;
  options.rules = qat::SchemeRules(qat::QuantScheme{"mse", 2, 16});
  PackModel(*model, dir / "p", options);
  EXPECT_THAT(ErrorMessage([&] {
                Calibrate(Model::Load(dir / "p"), images, {.gradients = true},
                          dir / "x");
              }),
              HasSubstr("linear nodes with float weights only"));
}

TEST(CalibrateTest, FilesDoNotDependOnMemoryOrThreads) {
  const TempDir dir;
  TinyLanguage{}.Build().Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  const qat::TextSamples texts = Texts(3, 20);
  const auto team = StartThreadTeam(3);
  CalibrateOptions options;
  const CalibrationPlan whole =
      Calibrate(model, texts, options, dir / "a.statistics");
  EXPECT_EQ(whole.passes, 1u);
  EXPECT_EQ(PlanCalibration(model, texts, options).memory, whole.memory);
  options.memory = 1;  // a value at a time
  options.executor = team.get();
  size_t last = 0;
  const CalibrationPlan parts =
      Calibrate(model, texts, options, dir / "b.statistics",
                [&](size_t rows, size_t total) {
                  EXPECT_GT(rows, last);
                  EXPECT_LE(rows, total);
                  last = rows;
                });
  EXPECT_EQ(parts.passes, parts.values);
  EXPECT_LT(parts.memory, whole.memory);
  EXPECT_EQ(last, parts.rows * parts.passes);
  EXPECT_EQ(ReadBytes(dir / "a.statistics"), ReadBytes(dir / "b.statistics"));
}

TEST(CalibrateTest, FilesAddUp) {
  const TempDir dir;
  TinyLanguage{}.Build().Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  Calibrate(model, Texts(3, 20), {}, dir / "a.statistics");
  Calibrate(model, Texts(8, 20), {}, dir / "b.statistics");
  const Statistics a = Statistics::Open(dir / "a.statistics");
  const Statistics b = Statistics::Open(dir / "b.statistics");
  MergeStatistics({a, b}, dir / "ab.statistics");
  const Statistics sum = Statistics::Open(dir / "ab.statistics");
  EXPECT_EQ(sum.columns(), a.columns());
  for (const auto& [value, columns] : a.columns()) {
    EXPECT_EQ(sum.Rows(value), a.Rows(value) + b.Rows(value));
    const std::vector<float> ma = a.Moments(value);
    const std::vector<float> mb = b.Moments(value);
    const std::vector<float> ms = sum.Moments(value);
    EXPECT_NE(ma, mb);
    for (size_t i = 0; i < ms.size(); ++i) EXPECT_EQ(ms[i], ma[i] + mb[i]);
  }
  const TwoLayers layers;
  Calibrate(layers.Load(dir / "t.safetensors"), Images(), {},
            dir / "t.statistics");
  EXPECT_THAT(
      ErrorMessage([&] {
        MergeStatistics({a, Statistics::Open(dir / "t.statistics")}, dir / "x");
      }),
      HasSubstr("other values"));
}

TEST(CalibrateTest, Refusals) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m.safetensors");
  EXPECT_THAT(ErrorMessage([&] {
                Calibrate(model, Texts(1, 20), {}, dir / "s.statistics");
              }),
              HasSubstr("only input are ids"));
  const qat::TextSamples texts = Texts(1, 20);
  PackOptions options;
  options.samples = &texts;
  EXPECT_THAT(
      ErrorMessage([&] { PackModel(*model, dir / "p.safetensors", options); }),
      HasSubstr("only input are ids"));
  qat::LabelledImages images = Images();
  images.images[5] = std::nanf("");
  EXPECT_THAT(
      ErrorMessage([&] { Calibrate(model, images, {}, dir / "s.statistics"); }),
      HasSubstr("the value 'x' is not finite"));
  EXPECT_THAT(ErrorMessage([&] { Statistics::Open(dir / "m.safetensors"); }),
              HasSubstr("no statistics file"));
  EXPECT_FALSE(std::filesystem::exists(dir / "s.statistics"));
}

TEST(CalibrateTest, DamagedFiles) {
  const TempDir dir;
  const auto write = [&](std::vector<int64_t> shape, std::vector<float> values,
                         bool rows) {
    ModelBuilder builder;
    builder.Metadata(kStatisticsKey, "1").Floats("moments.x", shape, values);
    if (rows) builder.Floats("rows.x", {1}, std::vector<float>(1));
    builder.Write(dir / "s");
    return ErrorMessage([&] { Statistics::Open(dir / "s"); });
  };
  EXPECT_THAT(write({2}, {1, 1}, true), HasSubstr("no half of a matrix"));
  EXPECT_THAT(write({3}, {1, 1, 1}, true), HasSubstr("no half of a matrix"));
  EXPECT_THAT(write({3}, {1, 1, 1}, false), HasSubstr("no half of a matrix"));
}

// Layers whose output joins the stream are weighed by that.
TEST(CalibrateTest, RowsAreWeighedByTheStream) {
  const TempDir dir;
  TinyLanguage{}.Build().Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  EXPECT_EQ(NormalizedSum(model->graph(), "a0"), "h0");
  EXPECT_EQ(NormalizedSum(model->graph(), "m"), "h1");
  EXPECT_EQ(NormalizedSum(model->graph(), "n0"), std::nullopt);
  Calibrate(model, Texts(3, 20), {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  const auto mean_square = [&](const char* value) {
    const std::vector<float> moments = statistics.Moments(value);
    const size_t k = statistics.columns().find(value)->second;
    double sum = 0;
    for (size_t i = 0; i < k; ++i) sum += moments[i * k + i];
    return sum / static_cast<double>(k * statistics.Rows(value));
  };
  EXPECT_NEAR(mean_square("n0"), 1, 1e-4);
  EXPECT_NEAR(mean_square("n2"), 1, 1e-4);
  EXPECT_GT(std::abs(mean_square("a0") - 1), 0.05);
  EXPECT_GT(std::abs(mean_square("m") - 1), 0.05);
}

TEST(CalibrateTest, Subgraph) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m.safetensors");
  const Graph part = Subgraph(model->graph(), {"h"});
  ASSERT_EQ(part.nodes.size(), 1u);
  EXPECT_EQ(part.nodes[0].output, "h");
  ASSERT_EQ(part.inputs.size(), 1u);
  std::vector<std::string> inputs;
  for (const MatrixInput& input : LayerInputs(*model)) {
    inputs.push_back(input.name);
  }
  EXPECT_THAT(inputs, ElementsAre("x", "r"));
  EXPECT_THAT(TapModel(*model, {"r", "x"})->outputs().size(), 2u);
}

// Packing with statistics: smaller errors of the outputs, the same bytes for
// any threads, larger errors of weights than without.
TEST(CalibrateTest, PackWithStatistics) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m.safetensors");
  Calibrate(model, Images(), {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  for (const char* const quantizer :
       {"stretched", "mse", "kmeans", "kmeans-row", "absmax",
        "mse-asymmetric"}) {
    SCOPED_TRACE(quantizer);
    const bool bytes = std::string(quantizer) == "absmax";
    PackOptions options;
    options.rules = qat::SchemeRules(qat::QuantScheme{
        quantizer, bytes ? 8 : 2, 16, qat::ScaleType::kFloat16});
    const PackReport plain = PackModel(*model, dir / "plain", options);
    options.statistics = &statistics;
    const PackReport report = PackModel(*model, dir / "a", options);
    EXPECT_TRUE(report.without_statistics.empty());
    for (size_t i = 0; i < report.weights.size(); ++i) {
      const TensorReport& tensor = report.weights[i];
      ASSERT_TRUE(tensor.output_sqnr_db.has_value());
      EXPECT_FALSE(plain.weights[i].output_sqnr_db.has_value());
      EXPECT_GT(*tensor.output_sqnr_db, *tensor.start_output_sqnr_db);
      EXPECT_EQ(tensor.bytes, plain.weights[i].bytes);
    }
    EXPECT_GT(*report.weights[1].output_sqnr_db,
              *report.weights[1].start_output_sqnr_db + 0.4);
    const auto team = StartThreadTeam(3);
    options.executor = team.get();
    PackModel(*model, dir / "b", options);
    EXPECT_EQ(ReadBytes(dir / "a"), ReadBytes(dir / "b"));
    EXPECT_NE(ReadBytes(dir / "a"), ReadBytes(dir / "plain"));
    options.executor = nullptr;
    options.rounding.turns = 0;
    PackModel(*model, dir / "b", options);
    EXPECT_NE(ReadBytes(dir / "a"), ReadBytes(dir / "b"));
    options.rounding = {.damping = 10};
    PackModel(*model, dir / "b", options);
    EXPECT_NE(ReadBytes(dir / "a"), ReadBytes(dir / "b"));
  }
}

// Without packed weights both models give the same rows, those that Calibrate
// sees. Returns how many have been run.
size_t RunSequentially(const Model& model, const qat::Samples& samples,
                       const Statistics& statistics) {
  SequentialMoments sequential(model, samples,
                               SpreadSamples(samples.Count(), 0), nullptr);
  size_t rows = 0;
  for (const MatrixInput& input : LayerInputs(model)) {
    SCOPED_TRACE(input.name);
    const InputMoments found =
        sequential.Next(input, [&](size_t more) { rows += more; });
    EXPECT_EQ(found.moments, found.cross);
    const std::vector<float> expected = statistics.Moments(input.name);
    EXPECT_EQ(found.moments.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(found.moments[i], expected[i], 1e-4 * Largest(expected));
    }
  }
  return rows;
}

TEST(CalibrateTest, SequentialMomentsOfTheSameModel) {
  const TempDir dir;
  TinyLanguage{}.Build().Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  const qat::TextSamples texts = Texts(3, 20);
  Calibrate(model, texts, {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  // Twice, but for values whose nodes had run already.
  EXPECT_GT(RunSequentially(*model, texts, statistics),
            texts.Count() * texts.RowsOfSample());
}

// Two convolutions of one value, whose windows differ, and one behind them.
TEST(CalibrateTest, SequentialMomentsUnderWindows) {
  const TempDir dir;
  ModelBuilder builder;
  builder.Input("x", {4, 4, 3})
      .Add(OpType::kConv2d, {"x"}, "a", "wa")
      .Set("kernel", std::vector<int64_t>{2, 2})
      .Add(OpType::kConv2d, {"x"}, "b", "wb")
      .Set("kernel", std::vector<int64_t>{1, 1})
      .Set("stride", std::vector<int64_t>{2, 2})
      .Add(OpType::kReshape, {"b"}, "flat")
      .Set("shape", std::vector<int64_t>{16})
      .Add(OpType::kConv2d, {"a"}, "c", "wc")
      .Set("kernel", std::vector<int64_t>{3, 3})
      .Add(OpType::kReshape, {"c"}, "y")
      .Set("shape", std::vector<int64_t>{5})
      .Add(OpType::kConcat, {"y", "flat"}, "all")
      .Output("all")
      .Floats("wa", {4, 12}, RandomFloats(4 * 12, 1))
      .Floats("wb", {4, 3}, RandomFloats(4 * 3, 2))
      .Floats("wc", {5, 36}, RandomFloats(5 * 36, 3))
      .Write(dir / "m");
  const auto model = Model::Load(dir / "m");
  const qat::LabelledImages images = Images();
  Calibrate(model, images, {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  RunSequentially(*model, images, statistics);

  PackOptions options;
  options.rules = qat::SchemeRules(qat::QuantScheme{"mse", 2, 0});
  options.samples = &images;
  options.which = SpreadSamples(kImages, 0);
  const PackReport report = PackModel(*model, dir / "p", options);
  for (const TensorReport& tensor : report.weights) {
    SCOPED_TRACE(tensor.name);
    ASSERT_TRUE(tensor.output_sqnr_db.has_value());
    EXPECT_GE(*tensor.output_sqnr_db, *tensor.start_output_sqnr_db);
  }
}

// The inputs of the second layer, once the first is packed.
TEST(CalibrateTest, SequentialMomentsBehindAPackedLayer) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m");
  PackOptions options;
  options.rules = qat::SchemeRules(qat::QuantScheme{"mse", 2, 16});
  PackModel(*model, dir / "p", options);
  const auto packed = Model::Load(dir / "p");
  const qat::LabelledImages images = Images();
  SequentialMoments sequential(*model, images, SpreadSamples(kImages, 0),
                               nullptr);
  const std::vector<MatrixInput> inputs = LayerInputs(*model);
  const InputMoments first = sequential.Next(inputs[0], {});
  EXPECT_EQ(first.moments, first.cross);
  sequential.Replace("fc1.weight", packed->file().Get("fc1.weight").data);
  const InputMoments second = sequential.Next(inputs[1], {});

  const std::vector<float> rounded = Dequantized(*packed->packed("fc1.weight"));
  const auto hidden = [&](const std::vector<float>& w, const float* x) {
    std::vector<double> row;
    for (size_t n = 0; n < kN1; ++n) {
      double sum = layers.bias[n];
      for (size_t k = 0; k < kK1; ++k) {
        sum += static_cast<double>(w[n * kK1 + k]) * x[k];
      }
      row.push_back(std::max(0.0, sum));
    }
    return row;
  };
  std::vector<double> moments(kK2 * kK2);
  std::vector<double> cross(kK2 * kK2);
  for (size_t s = 0; s < kImages; ++s) {
    const float* x = images.images.data() + s * kK1;
    const std::vector<double> u = hidden(layers.w1, x);
    const std::vector<double> v = hidden(rounded, x);
    double mean_square = 0;
    for (const double value : u) mean_square += value * value / kK2;
    for (size_t i = 0; i < kK2; ++i) {
      for (size_t j = 0; j < kK2; ++j) {
        moments[i * kK2 + j] += v[i] * v[j] / mean_square;
        cross[i * kK2 + j] += u[i] * v[j] / mean_square;
      }
    }
  }
  for (size_t i = 0; i < moments.size(); ++i) {
    EXPECT_NEAR(second.moments[i], moments[i], 1e-4 * Largest(second.moments));
    EXPECT_NEAR(second.cross[i], cross[i], 1e-4 * Largest(second.moments));
  }
}

// A sum of two paths that a norm reads: the float model runs both for the sake
// of the first, and the input of the second must still be there for its turn.
TEST(CalibrateTest, SequentialMomentsOfPathsSideBySide) {
  const TempDir dir;
  ModelBuilder builder;
  builder.Input("x", {kK1})
      .Add(OpType::kRelu, {"x"}, "a")
      .Add(OpType::kTanh, {"x"}, "b")
      .Add(OpType::kLinear, {"a"}, "oa", "wa")
      .Add(OpType::kLinear, {"b"}, "ob", "wb")
      .Add(OpType::kAdd, {"oa", "ob"}, "sum")
      .Add(OpType::kRmsNorm, {"sum"}, "n", "gain")
      .Set("eps", 1e-5)
      .Add(OpType::kLinear, {"n"}, "y", "wy")
      .Output("y")
      .Floats("wa", {kK2, kK1}, RandomFloats(kK2 * kK1, 1))
      .Floats("wb", {kK2, kK1}, RandomFloats(kK2 * kK1, 2))
      .Floats("gain", {kK2}, RandomFloats(kK2, 3))
      .Floats("wy", {kN2, kK2}, RandomFloats(kN2 * kK2, 4))
      .Write(dir / "m");
  const auto model = Model::Load(dir / "m");
  const qat::LabelledImages images = Images();
  Calibrate(model, images, {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  EXPECT_EQ(NormalizedSum(model->graph(), "a"), "sum");
  RunSequentially(*model, images, statistics);
}

// Of the outputs of a network, over all images.
double SquaredError(const Model& expected, const Model& found,
                    const qat::LabelledImages& images) {
  const auto run = [&](const Model& model) {
    Session session(
        std::shared_ptr<const Model>(std::shared_ptr<void>(), &model),
        {.activations = kernels::ActivationType::kFloat32});
    std::vector<float> outputs(kImages * kN2);
    const void* input = images.images.data();
    float* output = outputs.data();
    session.Run(kImages, {&input, 1}, {&output, 1});
    return outputs;
  };
  const std::vector<float> a = run(expected);
  const std::vector<float> b = run(found);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += (static_cast<double>(a[i]) - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

// A layer makes up for the errors of the one before.
TEST(CalibrateTest, PackLayerByLayer) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m");
  const qat::LabelledImages images = Images();
  Calibrate(model, images, {}, dir / "s.statistics");
  const Statistics statistics = Statistics::Open(dir / "s.statistics");
  PackOptions options;
  options.rules = qat::SchemeRules(
      qat::QuantScheme{"mse-stretched", 2, 16, qat::ScaleType::kFloat16});
  PackModel(*model, dir / "plain", options);
  options.statistics = &statistics;
  PackModel(*model, dir / "statistics", options);
  options.statistics = nullptr;
  options.samples = &images;
  options.which = SpreadSamples(kImages, 0);
  PackModel(*model, dir / "layers", options);
  const auto error = [&](const char* name) {
    return SquaredError(*model, *Model::Load(dir / name), images);
  };
  EXPECT_LT(error("statistics"), 0.9 * error("plain"));
  EXPECT_LT(error("layers"), 0.98 * error("statistics"));
  const auto team = StartThreadTeam(3);
  options.executor = team.get();
  PackModel(*model, dir / "threads", options);
  EXPECT_EQ(ReadBytes(dir / "layers"), ReadBytes(dir / "threads"));
}

}  // namespace
}  // namespace lutra::packer
