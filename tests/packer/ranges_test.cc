#include "lutra/packer/ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/activations.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/runtime/session.h"
#include "lutra/runtime/window2d.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRangeImages = 100;

qat::LabelledImages RangeImages(std::vector<int64_t> shape) {
  size_t size = 1;
  for (const int64_t d : shape) size *= static_cast<size_t>(d);
  qat::LabelledImages images;
  images.images = RandomFloats(kRangeImages * size, 11);
  images.labels.assign(kRangeImages, 1);
  images.count = kRangeImages;
  images.image_shape.assign(shape.begin(), shape.end());
  return images;
}

class RangesTest : public ::testing::Test {
 protected:
  RangesTest()
      : model_(TwoLayers().Load(dir_ / "m")), images_(RangeImages({kK1})) {}

  ValueRange RangeOfX(const RangeOptions& options) const {
    const RangeReport report = FixRanges(
        model_, images_, SpreadSamples(kRangeImages, 0), options, dir_ / "r");
    EXPECT_EQ(report.values.size(), 2u);
    EXPECT_EQ(report.values[0].value, "x");
    // As in the file.
    const auto ranged = Model::Load(dir_ / "r");
    for (const Node& node : ranged->graph().nodes) {
      if (node.op != OpType::kLinear || node.inputs[0] != "x") continue;
      EXPECT_EQ(NumberAttribute(node, "input_min"), report.values[0].min);
      EXPECT_EQ(NumberAttribute(node, "input_max"), report.values[0].max);
    }
    return report.values[0];
  }

  const TempDir dir_;
  const std::shared_ptr<const Model> model_;
  const qat::LabelledImages images_;
};

TEST_F(RangesTest, EveryRule) {
  const auto [least, most] =
      std::minmax_element(images_.images.begin(), images_.images.end());
  double squares = 0;
  for (const float x : images_.images) squares += double{x} * x;
  const auto rms = static_cast<float>(
      std::sqrt(squares / static_cast<double>(images_.images.size())));
  const auto expect = [&](const RangeOptions& options, float min, float max,
                          float tolerance) {
    SCOPED_TRACE(Name(options.rule));
    const ValueRange range = RangeOfX(options);
    EXPECT_NEAR(range.min, min, tolerance);
    EXPECT_NEAR(range.max, max, tolerance);
  };
  expect({.rule = RangeRule::kMinMax}, *least, *most, 0);
  const float largest = std::max(-*least, *most);
  expect({.rule = RangeRule::kAbsMax}, -largest, largest, 0);
  expect({.rule = RangeRule::kRms, .factor = 1.5}, -1.5f * rms, 1.5f * rms,
         1e-5f);
  expect({.rule = RangeRule::kRms, .factor = 100}, *least, *most, 0);
  expect({.rule = RangeRule::kFixed, .least = -2, .most = 3}, -2, 3, 0);
  std::vector<float> sorted = images_.images;
  std::sort(sorted.begin(), sorted.end());
  expect({.rule = RangeRule::kPercentile, .percentile = 90},
         sorted[sorted.size() / 20], sorted[sorted.size() * 19 / 20], 0.05f);
  const ValueRange mse = RangeOfX({.rule = RangeRule::kMse});
  EXPECT_LT(mse.min, -2);
  EXPECT_GE(mse.min, *least - 0.1f);
  EXPECT_LE(mse.max, *most + 0.1f);
  // With few codes it pays to clip more; around 0 both ends are the same.
  const ValueRange coarse = RangeOfX({.rule = RangeRule::kMse, .bits = 3});
  EXPECT_LT(coarse.max - coarse.min, 0.9f * (mse.max - mse.min));
  const ValueRange around =
      RangeOfX({.rule = RangeRule::kMse, .bits = 3, .symmetric = true});
  EXPECT_EQ(around.min, -around.max);
  for (const RangeRule rule :
       {RangeRule::kMinMax, RangeRule::kAbsMax, RangeRule::kRms,
        RangeRule::kPercentile, RangeRule::kMse, RangeRule::kFixed}) {
    EXPECT_EQ(ParseRangeRule(Name(rule)), rule);
  }
  EXPECT_THAT(ErrorMessage([] { ParseRangeRule("median"); }),
              HasSubstr("'median'"));
}

// Packed layers quantize their inputs for the range: a large value of one row
// no longer changes the steps of the others.
TEST_F(RangesTest, PackedModelsUseThem) {
  FixRanges(model_, images_, {},
            {.rule = RangeRule::kFixed, .least = -1, .most = 1}, dir_ / "r");
  PackOptions options;
  options.rules = qat::SchemeRules(qat::QuantScheme{"absmax", 8, 0});
  PackModel(*Model::Load(dir_ / "r"), dir_ / "p", options);
  PackModel(*model_, dir_ / "q", options);
  const auto run = [&](const char* name, float scale) {
    Session session(Model::Load(dir_ / name), {});
    std::vector<float> x = RandomFloats(kK1, 4, 0.2f);
    x[0] *= scale;
    std::vector<float> y(kN2);
    const void* input = x.data();
    float* output = y.data();
    session.Run(1, {&input, 1}, {&output, 1});
    return y;
  };
  // What lies outside is its end.
  EXPECT_EQ(run("p", 1000), run("p", 2000));
  EXPECT_NE(run("q", 1000), run("q", 2000));
  EXPECT_NE(run("p", 1), run("q", 1));
}

TEST_F(RangesTest, Refusals) {
  qat::LabelledImages images = RangeImages({kK1});
  images.images[7] = std::nanf("");
  EXPECT_THAT(ErrorMessage([&] {
                FixRanges(model_, images, SpreadSamples(kRangeImages, 0), {},
                          dir_ / "r");
              }),
              HasSubstr("the value 'x' is not finite"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "r"));
}

// Layers that read one value, each in its own way.
TEST_F(RangesTest, LayersWithOneInputMayDiffer) {
  const auto build = [&](const std::vector<std::string>& names,
                         const std::string& file) {
    ModelBuilder builder;
    builder.Input("x", {kK1});
    for (const std::string& name : names) {
      builder.Add(OpType::kLinear, {"x"}, name, "w" + name)
          .Set("input_max", name == "a" ? 1.0 : 2.0)
          .Output(name)
          .Floats("w" + name, {16, kK1}, RandomFloats(16 * kK1, 1));
      if (name == "c") builder.Set("input_bits", 4.0).Set("input_type", "int8");
    }
    builder.Write(dir_ / "m2");
    PackOptions options;
    options.rules = qat::SchemeRules(qat::QuantScheme{"absmax", 8, 0});
    PackModel(*Model::Load(dir_ / "m2"), dir_ / file, options);
    Session session(Model::Load(dir_ / file), {});
    std::vector<float> y(16 * names.size());
    const void* input = images_.images.data();
    std::vector<float*> outputs;
    for (size_t i = 0; i < names.size(); ++i) {
      outputs.push_back(y.data() + 16 * i);
    }
    session.Run(1, {&input, 1}, outputs);
    return y;
  };
  std::vector<float> expected;
  for (const char* name : {"a", "b", "c"}) {
    const std::vector<float> y = build({name}, "one");
    expected.insert(expected.end(), y.begin(), y.end());
  }
  EXPECT_EQ(build({"a", "b", "c"}, "all"), expected);
}

// What a specification says about activations happens: with float weights as
// training runs them, and packed, where integers are multiplied.
TEST(ActivationsTest, SessionsDoWhatSpecificationsSay) {
  const TempDir dir;
  const qat::QuantScheme scheme{"stretched", 4, 16};
  const std::vector<float> x = RandomFloats(kK1, 9);
  const auto run = [&x](const std::filesystem::path& file,
                        ActivationChoice activations = std::nullopt) {
    Session session(Model::Load(file), {.activations = activations});
    std::vector<float> y(kN2);
    const void* const input = x.data();
    float* const output = y.data();
    session.Run(1, {&input, 1}, {&output, 1});
    return y;
  };
  const auto distance = [](const std::vector<float>& a,
                           const std::vector<float>& b) {
    float largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(a[i] - b[i]));
    }
    return largest;
  };
  std::set<std::vector<float>> seen;
  for (const char* activations :
       {R"({})", R"({"symmetric": true})", R"({"dtype": "int4"})",
        R"({"dtype": "int3", "symmetric": true})",
        R"({"dynamic": false, "dtype": "uint8"})",
        R"({"group_size": 16, "symmetric": true})", R"("float32")"}) {
    SCOPED_TRACE(activations);
    const auto spec = qat::QuantizationSpec::Parse(
        std::string(R"({"activations": )") + activations + "}", "spec.json");
    const auto trained = TrainedLayers(scheme).Load(dir / "trained");
    Graph graph = trained->graph();
    const std::vector<qat::StaticInput> wanted =
        qat::QuantizeInputs(spec, graph);
    std::vector<ValueRange> ranges;
    for (const ObservedValue& value : ObservedValues(wanted)) {
      ranges.push_back({value.name, -2, 3});
    }
    SetRanges(ranges, graph);
    EXPECT_TRUE(qat::QuantizeInputs(spec, graph).empty());
    // As training leaves it.
    qat::TrainableModel model = qat::LoadTrainableModel(dir / "trained");
    model.graph = graph;
    qat::WriteModel(dir / "rounded", model,
                    {{"fc1.weight", scheme}, {"fc2.weight", scheme}});
    PackModel(*Model::Load(dir / "rounded"), dir / "packed", {});
    const std::vector<float> y = run(dir / "rounded");
    // The same but for the rounding of float sums.
    EXPECT_LT(distance(run(dir / "packed"), y), 1e-5f);
    // Asked for, floats are floats.
    const auto floats = kernels::ActivationType::kFloat32;
    EXPECT_EQ(run(dir / "rounded", floats), run(dir / "trained"));
    EXPECT_LT(distance(run(dir / "packed", floats), run(dir / "trained")),
              1e-5f);
    EXPECT_TRUE(seen.insert(y).second) << "as something before";
    if (!wanted.empty()) continue;
    // Packing says it, too.
    PackOptions options;
    options.activations = spec;
    PackModel(*trained, dir / "said", options);
    EXPECT_EQ(run(dir / "said"), run(dir / "packed"));
  }
  PackOptions options;
  options.activations = qat::QuantizationSpec::Parse(
      R"({"activations": {"dynamic": false}})", "");
  const auto trained = TrainedLayers(scheme).Load(dir / "trained");
  const auto pack = [&] { PackModel(*trained, dir / "no", options); };
  EXPECT_THAT(ErrorMessage(pack), HasSubstr("lutra calibrate --ranges"));
  options.activations = qat::QuantizationSpec::Parse(
      R"({"activations": {"group_size": 32, "symmetric": true}})", "");
  EXPECT_THAT(ErrorMessage(pack), HasSubstr("'fc1.weight'"));
  EXPECT_FALSE(std::filesystem::exists(dir / "no"));
}

// The windows of a convolution and the states of a cell, written down.
TEST(CalibrateTest, MomentsOfConvolutions) {
  const TempDir dir;
  ModelBuilder builder;
  builder.Input("x", {5, 4, 2})
      .Add(OpType::kConv2d, {"x"}, "c", "w")
      .Set("kernel", std::vector<int64_t>{3, 2})
      .Set("stride", std::vector<int64_t>{2, 1})
      .Set("padding", std::vector<int64_t>{1, 1, 0, 1})
      .Output("c")
      .Floats("w", {16, 12}, RandomFloats(16 * 12, 1))
      .Write(dir / "m");
  const auto model = Model::Load(dir / "m");
  const qat::LabelledImages images = RangeImages({5, 4, 2});
  Calibrate(model, images, {}, dir / "s");
  const Statistics statistics = Statistics::Open(dir / "s");
  EXPECT_THAT(statistics.ValuesOf(*model, "w"),
              ::testing::ElementsAre("c:windows"));
  std::vector<double> moments(144);
  size_t rows = 0;
  for (size_t s = 0; s < kRangeImages; ++s) {
    const float* image = images.images.data() + s * 40;
    double size = 0;
    for (size_t i = 0; i < 40; ++i) size += double{image[i]} * image[i] / 40;
    for (int y = -1; y <= 3; y += 2) {
      for (int x = 0; x < 4; ++x, ++rows) {
        std::vector<double> u;
        for (int ky = 0; ky < 3; ++ky) {
          for (int kx = 0; kx < 2; ++kx) {
            for (int c = 0; c < 2; ++c) {
              const bool inside = y + ky >= 0 && y + ky < 5 && x + kx < 4;
              u.push_back(inside ? image[((y + ky) * 4 + x + kx) * 2 + c] : 0);
            }
          }
        }
        for (size_t i = 0; i < 144; ++i) {
          moments[i] += u[i / 12] * u[i % 12] / size;
        }
      }
    }
  }
  EXPECT_EQ(statistics.Rows("c:windows"), rows);
  const std::vector<float> found = statistics.Moments("c:windows");
  for (size_t i = 0; i < 144; ++i) EXPECT_NEAR(found[i], moments[i], 0.02);
  PackOptions options;
  options.rules = qat::SchemeRules(qat::QuantScheme{"mse", 2, 0});
  options.statistics = &statistics;
  const PackReport report = PackModel(*model, dir / "p", options);
  EXPECT_GT(report.weights[0].output_sqnr_db.value(),
            report.weights[0].start_output_sqnr_db.value() + 0.1);
}

}  // namespace
}  // namespace lutra::packer
