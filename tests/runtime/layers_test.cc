// Norms, convolutions, pooling, reshape and the LSTM cell against plain loops
// in double precision.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using List = std::vector<int64_t>;

// Runs a model with one float input and one output.
std::vector<float> RunModel(const ModelBuilder& builder, size_t m,
                            const std::vector<float>& x,
                            ProgramOptions options = {.threads = 2}) {
  const TempDir dir;
  builder.Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  Session session(model, options);
  std::vector<float> y(m * model->outputs()[0].ElementCount(), -1.0f);
  const void* inputs[] = {x.data()};
  float* outputs[] = {y.data()};
  session.Run(m, inputs, outputs);
  return y;
}

void ExpectNear(const std::vector<float>& y,
                const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(y.size(), expected.size());
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(y[i], expected[i], tolerance * (1 + std::abs(expected[i])))
        << i;
  }
}

TEST(LayersTest, Norms) {
  constexpr size_t kRows = 7;
  constexpr size_t kColumns = 37;
  const auto x = RandomFloats(kRows * kColumns, 1, 3.0f);
  const auto w = RandomFloats(kColumns, 2);
  const auto b = RandomFloats(kColumns, 3);
  for (const bool layer : {false, true}) {
    ModelBuilder builder;
    builder.Input("x", {kColumns})
        .Add(layer ? OpType::kLayerNorm : OpType::kRmsNorm, {"x"}, "y", "w",
             layer ? "b" : "")
        .Set("eps", 0.01)
        .Output("y")
        .Floats("w", {kColumns}, w)
        .Floats("b", {kColumns}, b);
    std::vector<double> expected;
    for (size_t row = 0; row < kRows; ++row) {
      double mean = 0;
      double squares = 0;
      for (size_t i = 0; i < kColumns; ++i) {
        mean += double{x[row * kColumns + i]} / kColumns;
      }
      if (!layer) mean = 0;
      for (size_t i = 0; i < kColumns; ++i) {
        squares += std::pow(double{x[row * kColumns + i]} - mean, 2) / kColumns;
      }
      for (size_t i = 0; i < kColumns; ++i) {
        expected.push_back((double{x[row * kColumns + i]} - mean) /
                               std::sqrt(squares + 0.01) * double{w[i]} +
                           (layer ? double{b[i]} : 0.0));
      }
    }
    ExpectNear(RunModel(builder, kRows, x), expected, 1e-5);
  }
}

// An image, a window, and the attributes that say it.
struct ImageCase {
  int64_t height, width, channels;
  List kernel;
  List stride = {1, 1};
  List padding = {0, 0, 0, 0};
  List dilation = {1, 1};

  int64_t Out(size_t side) const {
    const int64_t size = side == 0 ? height : width;
    return (size + padding[2 * side] + padding[2 * side + 1] -
            dilation[side] * (kernel[side] - 1) - 1) /
               stride[side] +
           1;
  }

  // visit(image offset of channel 0, tap) for taps of the window at (oy, ox).
  void ForTaps(
      int64_t image, int64_t oy, int64_t ox,
      const std::function<void(size_t offset, size_t tap)>& visit) const {
    for (int64_t ky = 0; ky < kernel[0]; ++ky) {
      for (int64_t kx = 0; kx < kernel[1]; ++kx) {
        const int64_t y = oy * stride[0] + ky * dilation[0] - padding[0];
        const int64_t x = ox * stride[1] + kx * dilation[1] - padding[2];
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        visit(
            static_cast<size_t>(((image * height + y) * width + x) * channels),
            static_cast<size_t>(ky * kernel[1] + kx));
      }
    }
  }

  void SetAttributes(ModelBuilder& builder, bool with_dilation) const {
    builder.Set("kernel", kernel).Set("stride", stride).Set("padding", padding);
    if (with_dilation) builder.Set("dilation", dilation);
  }
};

const ImageCase kImages[] = {
    {5, 7, 3, {3, 3}},
    {5, 7, 3, {1, 1}},
    {6, 5, 16, {1, 1}, {2, 2}},
    {9, 4, 4, {3, 2}, {2, 1}, {1, 1, 1, 0}},
    {8, 8, 2, {3, 3}, {1, 2}, {2, 2, 2, 2}, {2, 2}},
    {49, 10, 1, {10, 4}, {2, 2}, {4, 5, 1, 1}},
};
constexpr int64_t kImagesOfCall = 3;

std::vector<float> Images(const ImageCase& image) {
  return RandomFloats(static_cast<size_t>(kImagesOfCall * image.height *
                                          image.width * image.channels),
                      1);
}

enum class Weights { kFloat, kHalf, kPacked };

void CheckConv2d(const ImageCase& image, Weights kind) {
  constexpr size_t kFilters = 20;
  const size_t channels = static_cast<size_t>(image.channels);
  const size_t k =
      static_cast<size_t>(image.kernel[0] * image.kernel[1]) * channels;
  const auto x = Images(image);
  const auto bias = RandomFloats(kFilters, 3);
  std::vector<float> w = RandomFloats(kFilters * k, 2);
  ModelBuilder builder;
  builder.Input("x", {image.height, image.width, image.channels})
      .Add(OpType::kConv2d, {"x"}, "y", "w", "b")
      .Output("y")
      .Floats("b", {kFilters}, bias);
  image.SetAttributes(builder, true);
  const List shape = {kFilters, static_cast<int64_t>(k)};
  if (kind == Weights::kFloat) {
    builder.Floats("w", shape, w);
  } else if (kind == Weights::kHalf) {
    // 1.0, -2.0, 0.5 and so on: upper halves of floats.
    std::vector<uint16_t> stored(w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      w[i] = std::ldexp(i % 3 == 0 ? -1.0f : 1.0f, static_cast<int>(i % 5) - 2);
      stored[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(w[i]) >> 16);
    }
    builder.Tensor("w", DType::kBFloat16, shape,
                   std::as_bytes(std::span(stored)));
  } else {
    std::mt19937 rng(4);
    const auto packed = kernels::MakeRandomMatrix(
        {.n = kFilters,
         .k = static_cast<uint32_t>(k),
         .bits = 4,
         .group_size = static_cast<uint32_t>(k < 16 ? k : 16)},
        kernels::TableKind::kSmall, rng);
    builder.Packed("w", {packed.blob.get(), packed.blob_bytes});
    for (uint32_t row = 0; row < kFilters; ++row) {
      kernels::DequantizeRow(packed.matrix, row, &w[row * k]);
    }
  }
  std::vector<double> expected;
  for (int64_t i = 0; i < kImagesOfCall; ++i) {
    for (int64_t oy = 0; oy < image.Out(0); ++oy) {
      for (int64_t ox = 0; ox < image.Out(1); ++ox) {
        for (size_t n = 0; n < kFilters; ++n) {
          double sum = double{bias[n]};
          image.ForTaps(i, oy, ox, [&](size_t offset, size_t tap) {
            for (size_t c = 0; c < channels; ++c) {
              sum +=
                  double{x[offset + c]} * double{w[n * k + tap * channels + c]};
            }
          });
          expected.push_back(sum);
        }
      }
    }
  }
  ExpectNear(RunModel(builder, kImagesOfCall, x,
                      {.activations = kernels::ActivationType::kFloat32,
                       .threads = 2}),
             expected, 2e-5);
}

TEST(LayersTest, Conv2d) {
  for (const ImageCase& image : kImages) {
    for (const Weights kind :
         {Weights::kFloat, Weights::kHalf, Weights::kPacked}) {
      CheckConv2d(image, kind);
    }
  }
}

TEST(LayersTest, DepthwiseConv2d) {
  for (const ImageCase& image : kImages) {
    const size_t channels = static_cast<size_t>(image.channels);
    const int64_t taps = image.kernel[0] * image.kernel[1];
    const auto x = Images(image);
    const auto w = RandomFloats(static_cast<size_t>(taps) * channels, 2);
    const auto bias = RandomFloats(channels, 3);
    for (const bool with_bias : {false, true}) {
      ModelBuilder builder;
      builder.Input("x", {image.height, image.width, image.channels})
          .Add(OpType::kDepthwiseConv2d, {"x"}, "y", "w", with_bias ? "b" : "")
          .Output("y")
          .Floats("w", {taps, image.channels}, w)
          .Floats("b", {image.channels}, bias);
      image.SetAttributes(builder, true);
      std::vector<double> expected;
      for (int64_t i = 0; i < kImagesOfCall; ++i) {
        for (int64_t oy = 0; oy < image.Out(0); ++oy) {
          for (int64_t ox = 0; ox < image.Out(1); ++ox) {
            for (size_t c = 0; c < channels; ++c) {
              double sum = with_bias ? double{bias[c]} : 0.0;
              image.ForTaps(i, oy, ox, [&](size_t offset, size_t tap) {
                sum += double{x[offset + c]} * double{w[tap * channels + c]};
              });
              expected.push_back(sum);
            }
          }
        }
      }
      ExpectNear(RunModel(builder, kImagesOfCall, x), expected, 1e-5);
    }
  }
}

TEST(LayersTest, Pooling) {
  for (ImageCase image : kImages) {
    if (image.dilation[0] != 1) continue;
    // Padding must be smaller than the kernel.
    for (size_t i = 0; i < 4; ++i) {
      image.padding[i] = std::min(image.padding[i], image.kernel[i / 2] - 1);
    }
    const size_t channels = static_cast<size_t>(image.channels);
    const auto x = Images(image);
    for (const bool average : {false, true}) {
      ModelBuilder builder;
      builder.Input("x", {image.height, image.width, image.channels})
          .Add(average ? OpType::kAvgPool2d : OpType::kMaxPool2d, {"x"}, "y")
          .Output("y");
      image.SetAttributes(builder, false);
      std::vector<double> expected;
      for (int64_t i = 0; i < kImagesOfCall; ++i) {
        for (int64_t oy = 0; oy < image.Out(0); ++oy) {
          for (int64_t ox = 0; ox < image.Out(1); ++ox) {
            for (size_t c = 0; c < channels; ++c) {
              double sum = 0;
              double most = -1e30;
              double count = 0;
              image.ForTaps(i, oy, ox, [&](size_t offset, size_t) {
                sum += double{x[offset + c]};
                most = std::max(most, double{x[offset + c]});
                count += 1;
              });
              expected.push_back(average ? sum / count : most);
            }
          }
        }
      }
      ExpectNear(RunModel(builder, kImagesOfCall, x), expected, 1e-6);
    }
  }
}

TEST(LayersTest, ReshapeKeepsTheElements) {
  const auto x = RandomFloats(5 * 24, 1);
  ModelBuilder builder;
  builder.Input("x", {2, 3, 4})
      .Add(OpType::kReshape, {"x"}, "y")
      .Set("shape", List{4, 6})
      .Output("y");
  EXPECT_EQ(RunModel(builder, 5, x), x);
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(LayersTest, LstmCell) {
  constexpr size_t kUnits = 21;
  constexpr size_t kTokens = 9;
  for (const char* order : {"ifgo", "icfo", "ofig"}) {
    const auto x = RandomFloats(kTokens * 4 * kUnits, 1);
    const auto w = RandomFloats(4 * kUnits * kUnits, 2, 0.2f);
    ModelBuilder builder;
    builder.Input("x", {4 * kUnits})
        .Add(OpType::kLstmCell, {"x"}, "y", "w")
        .Set("gates", std::string(order))
        .Output("y")
        .Floats("w", {4 * kUnits, kUnits}, w);
    std::vector<double> h(kUnits, 0.0);
    std::vector<double> c(kUnits, 0.0);
    std::vector<double> expected;
    for (size_t t = 0; t < kTokens; ++t) {
      std::vector<double> gates(4 * kUnits);
      for (size_t n = 0; n < gates.size(); ++n) {
        gates[n] = double{x[t * gates.size() + n]};
        for (size_t i = 0; i < kUnits; ++i) {
          gates[n] += double{w[n * kUnits + i]} * h[i];
        }
      }
      const auto gate = [&](char letter, size_t i) {
        const std::string_view letters(order);
        size_t at = letters.find(letter);
        if (at == std::string_view::npos) at = letters.find('c');
        return gates[at * kUnits + i];
      };
      for (size_t i = 0; i < kUnits; ++i) {
        c[i] = Sigmoid(gate('f', i)) * c[i] +
               Sigmoid(gate('i', i)) * std::tanh(gate('g', i));
        h[i] = Sigmoid(gate('o', i)) * std::tanh(c[i]);
      }
      expected.insert(expected.end(), h.begin(), h.end());
    }
    ExpectNear(RunModel(builder, kTokens, x), expected, 1e-5);
  }
}

}  // namespace
}  // namespace lutra
